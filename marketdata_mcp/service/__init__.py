"""What makes the server a service: HTTP, accounts and quota, metrics, logs, checks."""
