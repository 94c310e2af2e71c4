"""Charts for agents: a view of answers in hosts that have one, a picture elsewhere."""
