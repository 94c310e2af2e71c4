"""How many tokens a model reads: counted by o200k_base, the encoding of OpenAI's models.

Others differ by a fifth at most.
"""

from __future__ import annotations

import functools
import json
import warnings
from collections.abc import Callable
from typing import Any

__all__ = ["count", "count_definition"]


def count(text: str) -> int:
    """Count the tokens of a text."""
    return len(_encode()(text))


def count_definition(tool: Any) -> int:
    """Count what a model reads of a tool: its name, description and arguments."""
    read = {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.input_schema,
    }
    return count(json.dumps(read, ensure_ascii=False, separators=(",", ":")))


@functools.cache
def _encode() -> Callable[[str], Any]:
    with warnings.catch_warnings():
        # It opens its tables by a call that Python 3.11 says is old.
        warnings.simplefilter("ignore", DeprecationWarning)
        from bpe_openai import get_encoding
    encode: Callable[[str], Any] = get_encoding("o200k_base").encode
    return encode
