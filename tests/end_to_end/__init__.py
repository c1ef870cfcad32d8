"""The installed command, run as a person would run it."""
