"""Pages for a terminal, and their elements."""
