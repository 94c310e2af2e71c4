"""Access control of a server: accounts, keys, tiers, quota.

`gate` combines them for one call. Nothing in here knows the protocol or the tools.
"""
