"""Every spot exchange of the installed ccxt, and what none of them may do."""
