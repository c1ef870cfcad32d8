"""Sources: devices in, readings out. The only room that imports pynvml."""
