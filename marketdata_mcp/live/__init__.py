"""Live data for callers that poll: watches, their owners and limits."""
