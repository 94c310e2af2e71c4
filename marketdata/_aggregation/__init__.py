"""Several exchanges combined: comparison, consolidated order book, execution cost."""
