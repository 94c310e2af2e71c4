"""The commands that are more than one call of the library."""
