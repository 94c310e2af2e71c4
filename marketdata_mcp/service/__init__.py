"""Makes a service of the server: HTTP, accounts and quota, metrics, logs, checks."""
