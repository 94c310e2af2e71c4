"""Rules by which a simulated exchange misbehaves."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase
from threading import Lock
from typing import Any, Literal, get_args

Body = Literal["truncated", "malformed", "html", "empty"]
Drop = Literal["request", "body"]
FrameEffect = Literal["lose", "twice", "swap", "checksum", "cut", "stray", "garbage"]

_BODIES = get_args(Body)
_FRAMES = get_args(FrameEffect)
_STREAM = "stream/"
_INTEGERS = ("every", "times", "after", "seed", "status", "short", "flood")
_FLOATS = ("probability", "latency", "retry_after", "stale", "silence")
_OF_REQUESTS = ("latency", "stale", "short", "status", "retry_after", "body", "hang", "drop")


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One rule: the requests or frames that it matches, and the effect.

    It matches those of ``exchange`` whose path matches the glob ``path`` (``*`` includes slashes).
    The first ``after`` are skipped. Then every ``every``-th is affected, each with ``probability``
    (repeatable with ``seed``), at most ``times`` times (None: no limit).

    Effects on a request, including one that opens a socket: the response waits ``latency`` seconds;
    it is ``stale`` seconds old; it has only ``short`` candles; ``status`` replaces it by the
    exchange's own error body, with a ``Retry-After`` of ``retry_after`` seconds; ``body`` is
    ``truncated``, ``malformed``, ``html`` or ``empty``; ``hang`` does not answer until the client
    or the server closes the connection; ``drop`` closes the socket after the ``request`` or within
    the ``body``. Many clients, such as ccxt's, silently repeat a GET once if the socket closes
    without a response, so a noticeable drop needs ``times`` of 2 or more.

    A frame has the path ``stream/CHANNEL/SYMBOL``, in the exchange's own names. Paths without a
    symbol are ``stream/reply/`` (answers to the client), ``stream/status/``, ``stream/heartbeat/``
    and ``stream/pong/``. ``frame`` is the effect: ``lose`` leaves it out, ``twice`` repeats it,
    ``swap`` sends it after the next one of its channel and symbol, ``checksum`` makes its checksum
    wrong, ``stray`` adds a level that crosses the book, ``garbage`` sends invalid JSON and an
    unknown message before it, ``cut`` drops the socket instead. ``flood`` is the number of further
    valid updates that follow it at once. After a frame with ``silence``, matching frames are lost
    for so many seconds of the exchange's time.

    Raises ValueError when a value makes no sense.
    """

    exchange: str = "*"
    path: str = "*"
    every: int = 1
    times: int | None = None
    after: int = 0
    probability: float = 1.0
    seed: int = 0
    latency: float = 0.0
    stale: float = 0.0
    short: int | None = None
    status: int | None = None
    retry_after: float | None = None
    body: Body | None = None
    hang: bool = False
    drop: Drop | None = None
    frame: FrameEffect | None = None
    flood: int = 0
    silence: float = 0.0

    def __post_init__(self) -> None:
        if self.every < 1:
            raise ValueError(f"every must be at least 1, was {self.every}")
        if not 0 <= self.probability <= 1:
            raise ValueError(f"probability must be from 0 to 1, was {self.probability}")
        if self.status is not None and not 100 < self.status < 600:
            raise ValueError(f"status must be an HTTP status, was {self.status}")
        if self.body is not None and self.body not in _BODIES:
            raise ValueError(f"body must be one of {', '.join(_BODIES)}, was {self.body!r}")
        if self.drop is not None and self.drop not in get_args(Drop):
            raise ValueError(f"drop must be 'request' or 'body', was {self.drop!r}")
        if self.frame is not None and self.frame not in _FRAMES:
            raise ValueError(f"frame must be one of {', '.join(_FRAMES)}, was {self.frame!r}")
        if self.of_frames and any(getattr(self, name) for name in _OF_REQUESTS):
            raise ValueError("what happens to requests and to frames are two rules")
        for name in ("times", "after", "latency", "short", "retry_after", "flood", "silence"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise ValueError(f"{name} must not be negative, was {value}")

    @property
    def of_frames(self) -> bool:
        """Whether the rule meets frames; all others meet requests."""
        return bool(self.frame or self.flood or self.silence)

    @classmethod
    def parse(cls, text: str) -> Fault:
        """Read ``EXCHANGE:PATH:EFFECT,EFFECT...``.

        An effect is ``name=value``, or only ``hang``, ``drop``, or a value of ``body`` or
        ``frame``: ``binance:*/ticker*:status=429,retry_after=2,times=3``,
        ``kraken:stream/book/*:lose,every=100``. Raises ValueError if it is invalid.
        """
        exchange, first, rest = text.partition(":")
        path, second, effects = rest.rpartition(":")
        if not first or not second or not effects:
            raise ValueError(f"a fault reads EXCHANGE:PATH:EFFECT,..., was {text!r}")
        values: dict[str, Any] = {"exchange": exchange or "*", "path": path or "*"}
        for effect in effects.split(","):
            name, given, value = effect.strip().partition("=")
            if given:
                values[name] = value
            elif name in _BODIES:
                values["body"] = name
            elif name in _FRAMES:
                values["frame"] = name
            elif name == "drop":
                values["drop"] = "request"
            elif name == "hang":
                values["hang"] = True
            else:
                raise ValueError(f"{name!r} in the fault {text!r} needs a value or is unknown")
        return cls.from_mapping(values)

    @classmethod
    def from_mapping(cls, values: Mapping[str, Any]) -> Fault:
        """Make a rule of names and values, such as a JSON object; numbers may be text.

        Raises ValueError for a name that is not a rule's or a value of the wrong kind.
        """
        known = {field.name for field in fields(cls)}
        unknown = sorted(set(values) - known)
        if unknown:
            raise ValueError(
                f"a fault has no {', '.join(unknown)}; it has {', '.join(sorted(known))}"
            )
        return cls(**{name: _read(name, value) for name, value in values.items()})


class Faults:
    """The rules of one simulated exchange, in order; the first that meets something applies."""

    def __init__(self) -> None:
        self._rules: list[_Rule] = []
        self._lock = Lock()

    def add(self, fault: Fault | str | None = None, /, **values: Any) -> Fault:
        """Add a rule, given as such, as text, or as named values, and return it.

        Raises ValueError when it cannot be read.
        """
        if isinstance(fault, str):
            fault = Fault.parse(fault)
        elif fault is None:
            fault = Fault.from_mapping(values)
        with self._lock:
            self._rules.append(_Rule(fault))
        return fault

    def clear(self) -> None:
        """Remove all rules."""
        with self._lock:
            self._rules.clear()

    def list(self) -> list[Fault]:
        """Return the rules in order."""
        with self._lock:
            return [rule.fault for rule in self._rules]

    def meet(self, exchange: str, path: str) -> Fault | None:
        """Count a request or a frame and return the rule that applies to it, if any."""
        with self._lock:
            return next((rule.fault for rule in self._rules if rule.meets(exchange, path)), None)


class _Rule:
    def __init__(self, fault: Fault) -> None:
        self.fault = fault
        self._seen = 0
        self._met = 0
        self._dice = random.Random(fault.seed)  # noqa: S311 repeatable on purpose

    def meets(self, exchange: str, path: str) -> bool:
        fault = self.fault
        if fault.of_frames != path.startswith(_STREAM):
            return False
        if not fnmatchcase(exchange, fault.exchange) or not fnmatchcase(path, fault.path):
            return False
        self._seen += 1
        due = self._seen - fault.after
        if due < 1 or due % fault.every:
            return False
        if fault.times is not None and self._met >= fault.times:
            return False
        if self._dice.random() >= fault.probability:
            return False
        self._met += 1
        return True


def _read(name: str, value: Any) -> Any:
    if value is None:
        return None
    try:
        if name in _INTEGERS:
            return int(value)
        if name in _FLOATS:
            return float(value)
    except (TypeError, ValueError):
        raise ValueError(f"{name} of a fault must be a number, was {value!r}") from None
    if name == "hang":
        if value not in (True, False, "1", "0", "true", "false"):
            raise ValueError(f"hang of a fault must be true or false, was {value!r}")
        return value in (True, "1", "true")
    return str(value)
