"""The commands that are more than one question to the library."""
