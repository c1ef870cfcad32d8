"""Settings: read from files, environment and flags, checked against one grammar, merged into one frozen object."""
