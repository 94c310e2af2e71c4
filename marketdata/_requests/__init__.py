"""Sends requests: shared, limited, paced by a budget, with timeouts."""
