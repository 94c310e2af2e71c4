"""Who may ask a server, and how much: accounts, keys, tiers, quota.

`gate` puts them together for one call; nothing in here knows a protocol or a tool.
"""
