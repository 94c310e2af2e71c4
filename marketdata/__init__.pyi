# What type checkers and editors know of the package: they cannot follow `__getattr__`.
from marketdata._public import *  # noqa: F403 - there is one list of public names

__version__: str
