"""Pages that a terminal shows, and what they are made of."""
