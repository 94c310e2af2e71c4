"""Moved modules are found under their old names, and old pickles of records load.

``pickles/0.1.0.json`` holds a pickle of each record, made by the code of that version, and the
record's JSON.
"""

from __future__ import annotations

import base64
import importlib
import json
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

import marketdata as md
from marketdata._aliases import MOVED
from marketdata.models import Record

PICKLES = json.loads((Path(__file__).parent / "pickles/0.1.0.json").read_text())


@pytest.mark.parametrize("name", PICKLES)
def test_a_pickle_from_before_the_move_loads(name: str) -> None:
    record = pickle.loads(base64.b64decode(PICKLES[name]["pickle"]))
    assert type(record) is getattr(md, name.split()[-1])
    assert json.loads(record.model_dump_json()) == PICKLES[name]["json"]
    assert pickle.loads(pickle.dumps(record)) == record


def test_a_pickle_loads_in_a_program_without_imports() -> None:
    program = "import pickle, sys; print(type(pickle.load(sys.stdin.buffer)).__name__)"
    for name in ("Candles", "Comparison", "Ticker"):
        data = base64.b64decode(PICKLES[name]["pickle"])
        done = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
        assert done.stdout.decode().strip() == name, done.stderr.decode()


NEWER = {"AveragePrice", "Day", "Flag", "Missing"}
"""Records that 0.1.0 did not have."""


def test_each_record_has_its_pickle() -> None:
    public = (getattr(md, name) for name in md.__all__)
    records = {one.__name__ for one in public if isinstance(one, type) and issubclass(one, Record)}
    assert records - NEWER == {name.split()[-1] for name in PICKLES}


@pytest.mark.parametrize(("old", "new"), MOVED.items())
def test_a_moved_module_is_the_same_under_both_names(old: str, new: str) -> None:
    module = importlib.import_module(new)
    spec = module.__spec__
    assert importlib.import_module(old) is module
    assert module.__spec__ is spec
    assert module.__name__ == new


def test_an_unknown_module_is_not_found() -> None:
    with pytest.raises(ModuleNotFoundError, match=r"No module named 'marketdata\.customers'"):
        importlib.import_module("marketdata.customers")
