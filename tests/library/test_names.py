"""One name for each currency: names in answers, names in requests, and tokens kept separate."""

from __future__ import annotations

import asyncio
import contextlib
import importlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from inside.exchanges import QUIRKS, loader, parsing, quirk, spot_exchanges
from inside.markets import Catalogue, Facts, Market, spot_markets

import marketdata as md
from marketdata._exchanges.currencies import ASKED, RENAMED, SPELLED, aliases, renamed
from marketdata.arguments import pair
from marketdata.sim import SimulatedExchange

from .conftest import Factory
from .gateway import Gateway
from .markets import minutes, record
from .test_catalogue import DAY, grow_older, lists

START = datetime(2024, 1, 1, tzinfo=UTC)
END = datetime(2024, 1, 1, 2, tzinfo=UTC)
LISTED = {
    "binance": ["MATIC_USDT", "BTC_USDT", "BCH_BTC"],
    "kraken": ["MATIC_USD", "POL_USD", "BTC_USD", "BCH_BTC"],
}


@pytest.fixture(scope="module")
def renaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatedExchange]:
    """An exchange that knows MATIC by its old name, and one that lists both names."""
    folder = tmp_path_factory.mktemp("tapes")
    tapes = [
        record(folder, minutes(START, END), f"{exchange}_{name}-1m.csv")
        for exchange, names in LISTED.items()
        for name in names
    ]
    with SimulatedExchange(tape=tapes) as started:
        yield started


@pytest.fixture
def tokens(renaming: SimulatedExchange, connect: Factory) -> md.Client:
    renaming.forget()
    return connect(renaming)


def spot(*pairs: str, **more: Any) -> list[dict[str, Any]]:
    """ccxt's description of markets, as short as it gets."""
    return [
        {
            "id": one.replace("/", "_"),
            "symbol": one,
            "base": one.split("/")[0],
            "quote": one.split("/")[1],
            "spot": True,
            "active": True,
            **more,
        }
        for one in pairs
    ]


def kept(*pairs: str, common: dict[str, str] | None = None) -> Catalogue:
    """A catalogue in memory with these pairs of one exchange."""
    catalogue = Catalogue(None)
    markets, facts = spot_markets(spot(*pairs), common or {"XBT": "BTC"})
    catalogue.replace("one", markets, facts=facts, simulated=False)
    return catalogue


def found(catalogue: Catalogue, text: str) -> list[str]:
    return [market.pair for market in catalogue.find("one", pair(text))]


# ---------------------------------------------------------------------------- names out


def test_a_renamed_token_has_its_new_name_everywhere(tokens: md.Client) -> None:
    answers: list[Any] = [
        tokens.ticker("MATIC/USDT"),
        tokens.quote("MATIC/USDT"),
        tokens.orderbook("MATIC/USDT"),
        tokens.candles("MATIC/USDT", "1m", limit=2),
        tokens.fees("MATIC/USDT"),
        *tokens.trades("MATIC/USDT", limit=2),
        *tokens.tickers(["MATIC/USDT"]),
        *tokens.quotes(["MATIC/USDT"]),
    ]
    assert len(answers) == 9
    assert {one.pair for one in answers} == {"POL/USDT"}
    every = ["BCH/BTC", "BTC/USDT", "POL/USDT"]
    assert [one.pair for one in tokens.pairs()] == every
    assert [one.pair for one in tokens.tickers()] == every
    assert [one.pair for one in tokens.quotes()] == every
    listed = tokens.pairs()[2]
    assert (listed.base, listed.quote) == ("POL", "USDT")
    for ticker in tokens.watch_ticker("MATIC/USDT"):
        assert ticker.pair == "POL/USDT"
        break


def test_both_names_stay_if_an_exchange_lists_both(tokens: md.Client) -> None:
    assert [one.pair for one in tokens.pairs(exchange="kraken", quote="USD")] == [
        "BTC/USD",
        "MATIC/USD",
        "POL/USD",
    ]
    for name in ("MATIC/USD", "POL/USD"):
        assert tokens.ticker(name, exchange="kraken").pair == name
    assert [one.pair for one in tokens.pairs(exchange="kraken", base="matic")] == ["MATIC/USD"]


def test_the_next_process_has_the_same_names_from_the_disk(
    tokens: md.Client, renaming: SimulatedExchange, connect: Factory
) -> None:
    tokens.pairs()
    renaming.forget()
    another = connect(renaming)
    assert another.ticker("matic-usdt").pair == "POL/USDT"
    assert [one.pair for one in another.tickers()][-1] == "POL/USDT"
    assert lists(renaming) == 0


def test_a_list_that_now_has_the_new_name_is_read_unchanged(
    renaming: SimulatedExchange, connect: Factory, isolated: Path
) -> None:
    def list_both(sent: Any) -> None:
        [old] = [one for one in sent["symbols"] if one["symbol"] == "MATICUSDT"]
        new = {**old, "symbol": "POLUSDT", "baseAsset": "POL"}
        sent["symbols"].append(new)

    with Gateway(renaming.url) as gateway:
        client = connect(gateway)
        assert client.ticker("MATIC/USDT").pair == "POL/USDT"
        gateway.edit("*/exchangeInfo", list_both)
        grow_older(isolated, DAY)
        names = [one.pair for one in client.pairs(quote="USDT")]
        assert names == ["BTC/USDT", "MATIC/USDT", "POL/USDT"]
        assert client.ticker("MATIC/USDT").pair == "MATIC/USDT"
        assert [one.pair for one in client.tickers(["MATIC/USDT"])] == ["MATIC/USDT"]


def test_ccxts_map_of_an_exchange_wins() -> None:
    listed = {"MATIC", "FTM", "EOS", "USDT"}
    assert renamed(listed, {}) == {"MATIC": "POL", "FTM": "S", "EOS": "A"}
    assert renamed(listed, {"MATIC": "MATIC", "A": "Another", "OLD": "S"}) == {}
    assert renamed({"XRB", "NANO"}, {}) == {}, "two old names at once are two tokens"
    assert renamed({"XRB"}, {}) == {"XRB": "XNO"}
    assert renamed({"MATIC", "POL"}, {}) == {}
    # An exchange's inactive pair shows as well that it has the new name.
    markets, facts = spot_markets([*spot("MATIC/USDT"), *spot("POL/USDT", active=False)], {})
    assert [one.pair for one in markets if one.is_active] == ["MATIC/USDT"]
    assert (facts.renamed, facts.former) == ({}, {"POL": "MATIC"})


def test_a_renamed_market_keeps_its_id_on_the_exchange() -> None:
    [market] = spot_markets(spot("BTC/FTM", baseId="BTC", quoteId="ftm"), {})[0]
    assert market.pair == market.raw["symbol"] == "BTC/S"
    assert (market.raw["quote"], market.raw["quoteId"], market.raw["id"]) == ("S", "ftm", "BTC_FTM")


def test_where_ccxt_requests_by_code_the_old_name_stays_and_the_new_one_finds_it() -> None:
    markets, facts = spot_markets(spot("MATIC/USDT"), {}, asked_by_code=True)
    catalogue = Catalogue(None)
    catalogue.replace("one", markets, facts=facts, simulated=False)
    for text in ("POL/USDT", "polusdt", "MATIC/USDT"):
        assert found(catalogue, text) == ["MATIC/USDT"]
    assert facts.renamed == {}


@pytest.mark.parametrize(
    "exchange",
    [
        *("binance", "coinbaseexchange", "kucoin", "okx"),
        *(name for name, special in QUIRKS.items() if special.asked_by_code),
    ],
)
def test_ccxt_requests_renamed_tokens_by_id(exchange: str) -> None:
    loader.prepare_packages()
    asked: list[str] = []

    async def ask(package: str, *methods: str) -> None:
        try:
            module = importlib.import_module(f"ccxt.{package}.{exchange}")
        except ModuleNotFoundError:
            return  # it has no streams

        async def note(*sent: Any) -> None:
            asked.append(f"{sent[0]} {sent[2:3]}".upper())
            raise asyncio.CancelledError

        api = getattr(module, exchange)({"enableRateLimit": False, "timeout_on_exit": 0})
        [market] = spot("NEWCODE/NEWQUOTE", id="theid", baseId="old", quoteId="oldq", info={})
        api.set_markets([{**market, "type": "spot", "contract": False, "precision": {}}])
        api.fetch = api.watch = api.watch_multiple = note
        for method in methods:
            # Some want a key, or an answer, first.
            with contextlib.suppress(asyncio.CancelledError, Exception):
                await getattr(api, method)("NEWCODE/NEWQUOTE")
        await api.close()

    rest = ("fetch_ticker", "fetch_order_book", "fetch_trades", "fetch_ohlcv")
    asyncio.run(ask("async_support", *rest))
    asyncio.run(ask("pro", *(name.replace("fetch", "watch") for name in rest)))
    assert asked
    assert any("NEWCODE" in one for one in asked) is quirk(exchange).asked_by_code, asked


# ---------------------------------------------------------------------------- names in


@pytest.mark.parametrize(
    "text", ["MATIC/USDT", "matic-usdt", "MATICUSDT", "POL/USDT", "polusdt", "pol_usdt"]
)
def test_old_and_new_names_find_the_pair(tokens: md.Client, text: str) -> None:
    assert tokens.quote(text).pair == "POL/USDT"


@pytest.mark.parametrize(
    ("exchange", "text", "name"),
    [
        ("kraken", "XBT/USD", "BTC/USD"),
        ("kraken", "xbtusd", "BTC/USD"),
        ("binance", "XBT/USDT", "BTC/USDT"),
        ("kraken", "bcc/btc", "BCH/BTC"),
        ("kraken", "BCC-XBT", "BCH/BTC"),
        ("kraken", "bccxbt", "BCH/BTC"),
    ],
)
def test_other_names_of_currencies_find_the_pair(
    tokens: md.Client, exchange: str, text: str, name: str
) -> None:
    assert tokens.quote(text, exchange=exchange).pair == name


def test_names_that_ccxt_separates_on_an_exchange_are_not_synonyms(tokens: md.Client) -> None:
    # ccxt's map of this exchange says that BCC is BCC.
    with pytest.raises(md.PairNotSupportedError) as caught:
        tokens.ticker("BCC/BTC", exchange="binance")
    assert caught.value.details["closest"] == ["BCH/BTC"]


@pytest.mark.parametrize(
    ("wanted", "names"),
    [
        ({"base": "matic"}, ["POL/USDT"]),
        ({"base": "xbt"}, ["BTC/USDT"]),
        ({"quote": "XBT"}, ["BCH/BTC"]),
        ({"search": "xbt", "exchange": "binance"}, ["BCH/BTC", "BTC/USDT"]),
        ({"search": "tic/us", "exchange": "binance"}, ["POL/USDT"]),
        ({"base": "mat"}, []),
    ],
)
def test_filters_know_other_names(
    tokens: md.Client, wanted: dict[str, str], names: list[str]
) -> None:
    assert [one.pair for one in tokens.pairs(**wanted)] == names


def test_an_unknown_pair_suggests_the_closest_by_other_names_too(tokens: md.Client) -> None:
    with pytest.raises(md.PairNotSupportedError) as caught:
        tokens.ticker("MATIC/UDST")
    assert caught.value.details["closest"][0] == "POL/USDT"


def test_several_exchanges_accept_any_name_and_return_one(tokens: md.Client) -> None:
    both = ["binance", "kraken"]
    answer = tokens.compare("MATIC/USDT", exchanges=both, quotes=["usd"])
    assert answer.pair == "POL/USDT"
    assert [(row.exchange, row.pair) for row in answer.rows if row.code is None] == [
        ("binance", "POL/USDT"),
        ("kraken", "MATIC/USD"),
    ]
    book = tokens.consolidated_orderbook("xbt/usd", exchanges=["kraken"])
    assert book.pair == "BTC/USD"
    cost = tokens.execution_cost("xbtusdt", side="buy", amount=0.1, exchanges=["binance"])
    assert cost.pair == "BTC/USDT"


def test_two_names_of_a_quote_currency_do_not_count_a_book_twice(tokens: md.Client) -> None:
    one = tokens.consolidated_orderbook("BCH/BTC", exchanges=["kraken"])
    both = tokens.consolidated_orderbook("BCH/BTC", exchanges=["kraken"], quotes=["XBT", "btc"])
    assert [source.pair for source in both.sources] == ["BCH/BTC"]
    assert [level[:2] for level in both.asks] == [level[:2] for level in one.asks]


def test_a_real_name_wins_over_another_name() -> None:
    catalogue = kept("XBT/USDT", "BTC/USDT", "XB/TUSDC", "BTC/USDC", common={"XBT": "XBT"})
    assert found(catalogue, "XBT/USDT") == ["XBT/USDT"]
    assert found(catalogue, "xbtusdc") == ["XB/TUSDC"]
    assert found(catalogue, "XBT/USDC") == []


def test_an_exchanges_own_id_works_with_any_separator() -> None:
    catalogue = Catalogue(None)
    ids = {"BTC/KRW": "KRW-BTC", "ETH/USDT": "SPOT_ETH_USDT", "SOL/USDT": "sol_usdt"}
    markets = [Market(one, {**spot(one)[0], "id": own}) for one, own in ids.items()]
    catalogue.replace("one", markets, facts=Facts(), simulated=False)
    for name, own in ids.items():
        assert found(catalogue, own) == found(catalogue, own.swapcase()) == [name]
    assert found(catalogue, "KRW/BTC") == [], "with a slash it is base and quote"


# ---------------------------------------------------------------------------- kept apart


def test_the_ticker_of_another_token_suggests_its_name() -> None:
    catalogue = kept("BITCOINFILE/USDT", "ETH/USDT", common={"BIFI": "BITCOINFILE"})
    [market] = catalogue.find("one", pair("BITCOINFILE/USDT"))
    named = Market(market.pair, {**market.raw, "id": "BIFI_USDT"})
    catalogue.replace("one", [named], facts=Facts(), simulated=False)

    assert found(catalogue, "BIFI/USDT") == []
    assert found(catalogue, "BIFI-USDT") == []
    assert catalogue.called("one", pair("BIFI/USDT")) == ["BITCOINFILE/USDT"]
    assert found(catalogue, "BIFI_USDT") == ["BITCOINFILE/USDT"], "that is the exchange's own id"


@pytest.fixture(scope="module")
def maps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, str]]:
    """ccxt's maps of currencies, of all spot exchanges."""
    loader.prepare_packages()
    made = {}
    for one in spot_exchanges(tmp_path_factory.mktemp("known")):
        theirs = getattr(importlib.import_module(f"ccxt.async_support.{one.id}"), one.id)
        made[one.id] = theirs().commonCurrencies
    return made


def test_every_name_in_ccxts_maps_can_be_requested_and_kept(
    maps: dict[str, dict[str, str]],
) -> None:
    from inside.store import SeriesName

    from marketdata._candles.store import _unescaped

    assert len(maps) > 80
    names = {exchange: {*common.values()} for exchange, common in maps.items()}
    assert {"Bitcoin File", "$NAP", "DAO.Casino", "FTX Users' Debt"} <= set().union(*names.values())
    for exchange, codes in names.items():
        one = codes | {"币安人生", "A-B"}
        catalogue = kept(*[f"{code}/USDT" for code in one], common=maps[exchange])
        for code in one:
            for text in (f"{code}/USDT", f"{code.lower()}/usdt", f" {code.upper()} / usdt"):
                assert found(catalogue, text) == [f"{code}/USDT"], (exchange, text)
            [_, folder, _] = SeriesName(exchange, f"{code}/USDT", "1m").folder.split("/")
            assert [_unescaped(part) for part in folder.split("-")] == [code, "USDT"]


def test_the_tables_agree_with_ccxts_maps_and_each_other(
    maps: dict[str, dict[str, str]],
) -> None:
    said = {entry for common in maps.values() for entry in common.items()}
    assert {*SPELLED.items()} <= said
    # Nothing is renamed to what was renamed itself, nor to what somewhere is another name.
    new = {one.code for one in RENAMED.values()}
    assert not new & {*RENAMED, *ASKED, *SPELLED}
    assert not {*RENAMED} & {*ASKED, *SPELLED}
    # Of no exchange does ccxt say that such a code is another token, unless it is respected.
    for exchange, common in maps.items():
        for name, code in {**ASKED, **{old: one.code for old, one in RENAMED.items()}}.items():
            if common.get(name, code) != code:
                assert name not in aliases({code, "USDT"}, common), exchange
                assert renamed({name}, common) == {}, exchange


UNPRINTABLE = ("\x1b[2J", "\x00", "\n", "\r", "\u202e", "\u200b", "\x9b31m", "\u2028", "\ud800")


@pytest.mark.parametrize("evil", UNPRINTABLE)
def test_unprintable_names_are_left_out_and_counted(
    evil: str, caplog: pytest.LogCaptureFixture
) -> None:
    raw = spot("BTC/USDT", f"A{evil}/USDT", f"BTC/U{evil}")
    raw += spot("ETH/USDT", id=f"ETH{evil}")
    raw += spot("XRP/USDT", baseId=f"{evil}XRP")
    raw += spot("=1+1/USDT", "TÜRK/USDT", "币安人生/USDT")
    markets, facts = spot_markets(raw, {})
    assert [one.pair for one in markets] == ["BTC/USDT", "=1+1/USDT", "TÜRK/USDT", "币安人生/USDT"]
    [told] = caplog.messages
    assert told.startswith("4 pairs are left out")
    assert evil not in told + repr(facts)


@pytest.mark.parametrize("evil", UNPRINTABLE)
def test_unprintable_ids_of_trades_are_none(evil: str) -> None:
    raw = {"timestamp": 1e12, "price": 1.0, "amount": 1.0, "id": f"1{evil}"}
    raw["info"] = {"a": 1, "f": f"{evil}1", "l": "2"}
    about = {"exchange": "binance", "pair": "BTC/USDT", "simulated": False}
    [trade] = parsing.trades([raw], received_at=datetime.now(UTC), **about)
    assert (trade.id, trade.first_id, trade.last_id) == (None, None, "2")
