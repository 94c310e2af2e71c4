"""The WebSockets of the simulated exchanges: frames, subscriptions, and when they are sent."""
