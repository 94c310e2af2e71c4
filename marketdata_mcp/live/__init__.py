"""Live data for those who ask now and then: watches, whose they are, how they are divided."""
