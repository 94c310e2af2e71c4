"""The error classes: one root, stable codes, and a mapping of everything that ccxt raises."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from ccxt.base import errors as theirs

from marketdata import errors
from marketdata._exchanges import error_mapping
from marketdata._requests import reply

KINDS = [
    kind
    for kind in vars(errors).values()
    if isinstance(kind, type) and issubclass(kind, errors.MarketDataError)
]
GROUPS = (
    errors.MarketDataError,
    errors.InvalidRequestError,
    errors.AccessError,
    errors.UpstreamError,
)


def below(tree: dict[str, Any]) -> Iterator[str]:
    for name, branch in tree.items():
        yield name
        yield from below(branch)


def test_each_code_has_one_class() -> None:
    codes = [kind.code for kind in KINDS if kind not in (*GROUPS, errors.MissingExtraError)]
    assert sorted(codes) == sorted(get_args(errors.Code))


@pytest.mark.parametrize("kind", KINDS)
def test_an_error_survives_the_transfer_between_processes(
    kind: type[errors.MarketDataError],
) -> None:
    if kind is errors.MissingExtraError:
        made: errors.MarketDataError = kind("plot()", "frames")
    else:
        made = kind("what to do", retryable=True, retry_after=2.5, details={"pair": "BTC/USDT"})
    copy = pickle.loads(pickle.dumps(made))
    assert type(copy) is kind
    assert (str(copy), copy.to_dict()) == (str(made), made.to_dict())


def test_an_error_as_json() -> None:
    error = errors.ExchangeUnavailableError("Wait.", retry_after=2.0, details={"exchange": "okx"})
    assert error.to_dict() == {
        "code": "EXCHANGE_UNAVAILABLE",
        "message": "Wait.",
        "retryable": True,
        "retryAfter": 2.0,
        "details": {"exchange": "okx"},
    }
    assert errors.InternalError("Oops.").to_dict() == {
        "code": "INTERNAL_ERROR",
        "message": "Oops.",
        "retryable": False,
    }


def test_a_missing_extra_is_one_line_with_the_command_to_install_it() -> None:
    error = errors.MissingExtraError("to_pandas()", "frames")
    assert (
        str(error) == "to_pandas() needs the extra 'frames': pip install 'ccxt-marketdata[frames]'."
    )
    assert isinstance(error, ImportError)


@pytest.mark.parametrize("name", sorted(set(below(theirs.error_hierarchy))))
def test_every_error_of_ccxt_is_mapped_on_purpose(name: str) -> None:
    kind = getattr(theirs, name)
    path = [one.__name__ for one in kind.__mro__ if issubclass(one, theirs.BaseError)]
    entry = next(one for one in path if one in error_mapping.TRANSLATIONS)
    general = {"BaseError", "ExchangeError", "OperationFailed"}
    assert entry not in general or name in general | {"NetworkError", "ExchangeNotAvailable"}

    made = error_mapping.translate(kind("secret upstream text"), "okx", reply.Reply(asked=1))
    ours, _, retryable, reason = error_mapping.TRANSLATIONS[entry]
    assert (type(made), made.retryable) == (ours, retryable)
    assert "secret" not in f"{made!r} {made.to_dict()}"
    told = {} if ours is not errors.ExchangeUnavailableError else {"reason": reason}
    assert made.details == {"exchange": "okx", **told}


@pytest.mark.parametrize("kind", error_mapping.MALFORMED)
def test_errors_of_parsers_are_bad_data_and_no_bugs(kind: type[Exception]) -> None:
    made = error_mapping.translate(kind("secret"), "okx", reply.Reply())
    assert isinstance(made, errors.DataUnavailableError)
    assert "secret" not in f"{made!r} {made.to_dict()}"


def test_the_table_has_only_classes_of_ccxt() -> None:
    assert not [name for name in error_mapping.TRANSLATIONS if not hasattr(theirs, name)]
