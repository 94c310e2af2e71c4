"""Deprecated names warn once, where the caller uses them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

from marketdata._deprecation import deprecated


def test_it_names_the_replacement_and_the_line_of_the_caller() -> None:
    inside: dict[str, Any] = {"__name__": "marketdata._inner", "deprecated": deprecated}
    source = "def old(): deprecated('md.old()', 'md.new()', since='1.2')\ndef older(): old()"
    exec(compile(source, "inner.py", "exec"), inside)
    with pytest.warns(DeprecationWarning, match="deprecated") as warned:
        inside["older"]()
    [one] = warned
    assert one.filename == __file__
    assert str(one.message) == (
        "md.old() is deprecated since version 1.2 and will be removed in the next major version: "
        "use md.new()."
    )


def test_it_warns_each_caller_once() -> None:
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("default")
        for _ in range(3):
            deprecated("md.old()", "md.new()", since="1.2")
        deprecated("md.old()", "md.new()", since="1.2")
    assert len(warned) == 2
