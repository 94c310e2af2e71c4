"""The log of the library, for whoever looks for what it did: the logger ``marketdata``, at DEBUG.

Nothing is shown unless the program sets logging up. What is logged never has a query, a header, a
body or the text of an exchange's error: keys and signatures may be in any of them.
"""

from __future__ import annotations

import logging

__all__ = ["logger"]

logger = logging.getLogger("marketdata")
logger.addHandler(logging.NullHandler())
