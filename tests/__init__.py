"""The tests; the folders mirror the package, `end_to_end` runs the installed command."""
