"""The log of the library: the logger ``marketdata``, level DEBUG.

Nothing is shown unless the program configures logging. Log lines never contain a query, a header, a
body or the text of an exchange's error, because these may contain keys and signatures.
"""

from __future__ import annotations

import logging

logger = logging.getLogger("marketdata")
logger.addHandler(logging.NullHandler())
