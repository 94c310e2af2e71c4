"""ccxt's connectors with nothing replaced but ``fetch``, which plays recorded bodies back."""

import copy
import functools
import importlib
import json
import re
from collections.abc import Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from inside.exchanges import Connector, loader
from inside.markets import Facts, Lists
from recorded import Case
from yarl import URL

from marketdata import AsyncClient
from marketdata._exchanges import exchange
from marketdata._exchanges.connector import _connector_class
from marketdata.settings import Settings

Answer = Callable[[str], Any]
"""Gives the body for a URL."""

KEYS = {"apiKey": "key", "secret": "secret", "password": "password"}
"""Of nobody; ccxt refuses to sign without."""
VARIABLES = {"apiKey": "API_KEY", "secret": "SECRET", "password": "PASSWORD"}


class Playback:
    """Answers for the requests of one test, and what was asked."""

    def __init__(
        self,
        *bodies: Any,
        answer: Answer | None = None,
        date: str | None = None,
        further: Any = None,
    ) -> None:
        """Answer with the bodies, one a request, or with what ``answer`` gives for its URL.

        ``date`` is the Date header of all answers. ``further`` answers requests beyond the bodies,
        of which there may be none where it is None: why bars are missing is looked for in what
        was not recorded.
        """
        self._further = further
        self._bodies = iter(bodies)
        self._answer = answer
        self._date = date
        self.urls: list[str] = []

    def __call__(self, url: str) -> tuple[str, dict[str, str]]:
        """Return the text and the headers of the answer to one request."""
        self.urls.append(url)
        if self._answer is not None:
            body = self._answer(url)
        else:
            body = next(self._bodies, self._further)
            assert body is not None, f"one request more than recorded: {url}"
        headers = {"Content-Type": "application/json"}
        if self._date is not None:
            headers["Date"] = self._date
        return body if isinstance(body, str) else json.dumps(body), headers

    @property
    def paths(self) -> list[str]:
        """Where the requests went, without their queries."""
        return [path(url) for url in self.urls]


def path(url: str) -> str:
    """Return where a URL goes, without its query."""
    return "{0.netloc}{0.path}".format(urlsplit(url))


def plain_connector(
    name: str, playback: Playback, *, unmarked: bool = False, **options: Any
) -> type[Any]:
    """Make ccxt's class of an exchange with another ``fetch``.

    That does what ccxt's own does with an answer, in the same order, from its text on. An answer
    that is ``unmarked`` lacks what tells success from failure, which is then not looked for.
    """
    theirs = getattr(importlib.import_module(f"ccxt.async_support.{name}"), name)

    class Recorded(theirs):
        timeout_on_exit = 0

        def describe(self) -> Any:
            return self.deep_extend(super().describe(), {"options": options})

        async def fetch(
            self, url: str, method: str = "GET", headers: Any = None, body: Any = None
        ) -> Any:
            asked = self.prepare_request_headers(headers)
            text, answered = playback(url)
            request = (method, answered)
            if isinstance(self, Connector):
                self.transport.asks()
                self.transport.answered(method, URL(url, encoded=True), 200, answered, text)
            text = self.on_rest_response(200, "OK", url, *request, text, asked, body)
            parsed = self.parse_json(text)
            if not unmarked:
                self.handle_errors(200, "OK", url, *request, text, parsed, asked, body)
            self.handle_http_status_code(200, "OK", url, method, text)
            return parsed

    return type(name, (Recorded,), {})


def connector(name: str, playback: Playback, monkeypatch: Any, **options: Any) -> type[Any]:
    """Make the library's own class of an exchange, on top of `plain_connector`."""
    with monkeypatch.context() as patch:
        module = importlib.import_module(f"ccxt.async_support.{name}")
        patch.setattr(module, name, plain_connector(name, playback, **options))
        made: type[Any] = _connector_class.__wrapped__(name, False)
    return made


@asynccontextmanager
async def client(
    home: Path,
    name: str,
    playback: Playback,
    markets: Iterable[dict[str, Any]] | None = None,
    *,
    monkeypatch: Any,
    listed: list[dict[str, Any]] | None = None,
    **options: Any,
) -> Any:
    """Yield a client of ours to one exchange, which is a playback.

    Its catalogue holds the spot markets among ``markets``; nothing, where they are None. With
    ``listed`` that is what ccxt's own market call gives, contracts and all.
    """
    made = connector(name, playback, monkeypatch, **options)
    if listed is not None:

        async def fetch_markets(self: Any, params: Any = None) -> list[dict[str, Any]]:
            return copy.deepcopy(listed)

        made.fetch_markets = fetch_markets
    monkeypatch.setattr(exchange, "connector_class", lambda wanted, **_: {name: made}[wanted])
    if markets is not None:
        spot = [one for one in markets if is_served(one)]
        api = plain_connector(name, playback)()
        facts = Facts(
            api.precisionMode, {side: api.fees["trading"].get(side) for side in ("maker", "taker")}
        )
        Lists(home).plant(name, spot, facts=facts)
    settings = Settings(exchange=(name,), home=home, retries=0)
    async with AsyncClient(settings=settings) as made_client:
        yield made_client


def is_served(market: dict[str, Any]) -> bool:
    """Return whether ccxt's market is a spot pair that is traded."""
    return bool(market.get("spot")) and market.get("active") is not False


async def plain_ccxt(
    name: str,
    playback: Playback,
    markets: Iterable[dict[str, Any]],
    method: str,
    arguments: Iterable[Any] = (),
    options: dict[str, Any] | None = None,
    keys: dict[str, str] | None = None,
    *,
    unmarked: bool = False,
) -> Any:
    """Return what ccxt alone, without any of ours, makes of recorded bodies."""
    made = plain_connector(name, playback, unmarked=unmarked, **(options or {}))
    api = made({"enableRateLimit": False, **(keys or {})})
    if listed := list(markets):
        api.set_markets(listed)
    # A list of pairs that is not recorded is not asked for either.
    snake = re.sub("([a-z0-9])([A-Z])", r"\1_\2", method).lower()
    try:
        return await getattr(api, snake)(*arguments)
    finally:
        await api.close()


@dataclass(frozen=True)
class Oracle:
    """What ccxt alone makes of a case, and how it asked."""

    parsed: Any
    asked: Playback
    signed: bool
    """Whether it wanted a key."""


async def oracle(case: Case, markets: list[dict[str, Any]]) -> Oracle:
    """Have ccxt alone answer a case; what it raises is raised."""

    async def ask(keys: dict[str, str]) -> Oracle:
        # One body answers all requests of a call, as in ccxt's own tests.
        asked = Playback(*case.bodies, further=case.bodies[0] if len(case.bodies) == 1 else None)
        parsed = await plain_ccxt(
            case.exchange, asked, markets, case.method, case.input, case.options, keys
        )
        return Oracle(parsed, asked, bool(keys))

    try:
        return await ask({})
    except loader.ccxt_errors().AuthenticationError:
        return await ask(KEYS)


@functools.cache
def described(name: str) -> Any:
    """Return ccxt's own connector of an exchange, to look at and never to ask."""
    loader.prepare_packages()
    return plain_connector(name, Playback())()


def completed(name: str, markets: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return markets as ccxt completes them, with the exchange's fees above all."""
    api = plain_connector(name, Playback())()
    api.set_markets(markets)
    return list(api.markets.values())


def step_of(name: str) -> Callable[[Any], float | None]:
    """Return what makes a step of a precision of ccxt's, for an exchange."""
    loader.prepare_packages()
    modes = importlib.import_module("ccxt.base.decimal_to_precision")
    mode = described(name).precisionMode
    if mode == modes.TICK_SIZE:
        return lambda precision: None if precision is None else float(precision)
    if mode == modes.DECIMAL_PLACES:
        return lambda precision: None if precision is None else float(f"1e{-int(precision)}")
    return lambda precision: None
