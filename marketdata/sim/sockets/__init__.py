"""The sockets of the simulated exchanges: frames, subscriptions, what is sent when."""
