"""How requests are made: shared, bounded, paced by a budget, given up in time."""
