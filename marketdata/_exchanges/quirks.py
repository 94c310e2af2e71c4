"""The differences between exchanges."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, Literal


@dataclass(frozen=True)
class CandleLayout:
    """The positions of a candle's fields in the exchange's array."""

    time: int = 0
    open: int = 1
    high: int = 2
    low: int = 3
    close: int = 4
    volume: int = 5
    """In base currency."""
    trades: int | None = None
    """The number of trades; None if it is not sent."""
    seconds: bool = False
    """Whether the time is in seconds and not in milliseconds."""
    quoted: bool = False
    """Whether a response has only rows of numbers, some of them in quotes."""

    @property
    def prices_and_volume(self) -> tuple[int, int, int, int, int]:
        """The positions of open, high, low, close and volume."""
        return self.open, self.high, self.low, self.close, self.volume

    @property
    def last(self) -> int:
        """The last position that is read."""
        return max(self.time, *self.prices_and_volume, self.trades or 0)


@dataclass(frozen=True)
class Quirk:
    """The differences of one exchange from ccxt's unified calls."""

    envelope: str | None = None
    """The field of each response that holds the data."""
    depths: tuple[int, ...] | None = None
    """The only order book depths that it accepts, ascending; None: any up to `max_depth`."""
    max_depth: int | None = None
    """Maximum number of levels a side; None: no limit, or unknown."""
    not_offered: dict[str, str] = field(default_factory=dict)
    """Calls of ccxt that do not work for spot data, with the reason."""
    keyed: tuple[str, ...] = ()
    """Calls of ccxt that need an API key although their data are public."""
    keyless_call: tuple[str, dict[str, Any]] | None = None
    """ccxt's call for one path, with its parameters, that needs no key when all others do. It shows
    whether the exchange can be reached."""
    ticker_pairs: tuple[str, ...] | None = None
    """The only pairs with tickers; None: all."""
    tickers_of_named: bool = False
    """Whether its bulk requests must name the pairs."""
    tickers_of_all: bool = False
    """Whether its bulk tickers are only available for all pairs."""
    bars_from_start: bool = False
    """Whether requests for candles need a start time."""
    bars_until: bool = False
    """Whether requests for candles need an end time."""
    bars_from: str | None = None
    """The parameter with the start time of candles, if ccxt would round it up to a multiple of the
    timeframe since 1970. But weeks open on Mondays, and months on their first day."""
    bars_per_request: dict[str, int] = field(default_factory=dict)
    """Candles in a page by timeframe, if ccxt requests fewer than its documented number."""
    moved_timeframes: tuple[str, ...] = ()
    """Timeframes that are not offered because ccxt changes the times of the candles."""
    options: dict[str, Any] = field(default_factory=dict)
    """Options of ccxt that prevent requests that spot data do not need."""
    markets_params: dict[str, Any] = field(default_factory=dict)
    """Parameters of the request for markets that prevent such requests."""
    asked_by_code: bool = False
    """Whether ccxt builds requests or subscriptions from its own currency codes and not from the
    exchange's ids, so that a renamed token would not be found."""
    unneeded: tuple[str, ...] = ()
    """Parts of URLs of requests that ccxt always sends with the list but spot data do not need."""
    pair_fee_scale: str = "1"
    """Factor that makes a pair's fees fractions: 0.01 if they are in percent."""
    fee_scale: str = "1"
    """The same factor for the exchange's fees in ccxt."""
    highest_fee: float = 0.01
    """Highest believable public fee; a higher one counts as unknown."""
    fees_unknown: bool = False
    """Whether ccxt's fees are unreliable."""
    alias_field: str | None = None
    """The raw field of a market with the market whose order book it shares."""
    bursts: bool = False
    """Whether its rate limit has a time window, which ccxt knows, and not a minimum interval."""
    used_weight: tuple[str, float] | None = None
    """The response header, in lower case, with the used part of the rate limit of this IP address,
    and the limit."""
    full_tickers: bool = True
    """Whether its bulk tickers have all fields of a single one."""
    best_in_tickers: bool = True
    """Whether its bulk tickers have the best bid and ask."""
    best_in_ticker_stream: bool = True
    """Whether its streamed tickers have the best bid and ask."""
    quote_params: dict[str, Any] = field(default_factory=dict)
    """Parameters of the order book request for the best level only."""
    windows: tuple[str, ...] = ()
    """Units of the rolling windows, and ``day``, for which it has tickers."""
    average_price: tuple[str, str] | None = None
    """The window of its own average price, and ccxt's call for it."""
    candle_layout: CandleLayout | None = None
    """The positions of a candle's fields; None: ccxt parses candles."""
    quiet_bars: bool = False
    """Whether it has a candle with volume 0 for a time without trades. A missing candle then means
    that the exchange was down."""
    newest_bars_only: bool = False
    """Whether it always returns one page of the newest candles, whatever the start time."""
    bars_kept: int | None = None
    """Number of its newest candles; it refuses requests for earlier ones."""
    misnamed_timeframes: tuple[str, ...] = ()
    """Timeframes that are not offered because ccxt requests another timeframe, or none."""
    book_is_list: bool = False
    """Whether an order book response is a list of levels, which may be empty."""
    plain_levels: bool = False
    """Whether levels are price and size although ccxt has its own parser."""
    keyless_paths: tuple[str, ...] = ()
    recent_trades: dict[str, Any] = field(default_factory=dict)
    """Parameters of the trades request for single instead of aggregated trades."""
    aggregates: bool = False
    """Whether the trades request returns aggregated trades by default."""
    aggregated_ids: bool = False
    """Whether a raw aggregated trade has its id and the ids of its first and last trade as ``a``,
    ``f`` and ``l``."""
    newest_trades: bool = True
    """Whether the newest trades can be requested."""
    trades_from_id: str | None = None
    """How to request trades from an id. The name of the parameter follows ``=`` if it takes the id
    itself, ``>`` if it takes the id before, and ``<`` if pages run backwards and it takes the id
    after the page."""
    trades_from_id_params: dict[str, Any] = field(default_factory=dict)
    trades_from_time: bool = False
    """Whether the trades request respects a start time."""
    trades_since: bool = False
    """Whether ccxt sends a start time whose effect is not documented. Trades from a start time are
    then returned only if the response begins there."""
    trades_until: bool = False
    """Whether a start time needs an end time."""
    trade_seconds: int | None = None
    """The field of a raw trade with its time in seconds, a float that can be slightly too small."""
    trades_after_nanoseconds: str | None = None
    """The parameter that takes the nanosecond before the start time; ccxt sends whole seconds."""
    trades_span: int | None = None
    """Milliseconds after the start time that one response covers; None: all."""
    trades_before_time: str | None = None
    """The parameter that requests the trades before a time; ids continue from there."""
    trades_before_time_params: dict[str, Any] = field(default_factory=dict)
    trades_per_request: int = 1_000
    old_trades_per_request: int | None = None
    """The same for requests from a time or an id; None: the same number."""
    subscriptions_a_line: int | None = None
    """Number of streams that share a socket, if ccxt would open one for each."""
    book_wire: Literal["numbered", "linked", "checked", "sided"] | None = None
    """The format of its order book stream (`_streams.wires`); None: ccxt keeps the book."""
    book_stream_params: dict[str, Any] = field(default_factory=dict)
    """Parameters for the public order book stream."""
    ticker_stream_params: dict[str, Any] = field(default_factory=dict)
    """Parameters for the full ticker stream with best bid and ask."""
    numbered_trades: bool = False
    """Whether the trade ids of a pair are consecutive numbers."""

    @property
    def is_searchable(self) -> bool:
        """Whether the first trade after a time can be found by trade ids."""
        return self.numbered_trades and (self.trades_from_id or "").startswith("<")


_BYBIT = Quirk(
    bursts=True,
    bars_from="start",
    max_depth=200,
    candle_layout=CandleLayout(),
    quiet_bars=True,
    trades_per_request=60,
)

# 400 levels; above, ccxt turns to a heavier endpoint that has 5,000. History pages backwards
# from an id, 100 at a time.
_OKX = Quirk(
    max_depth=5_000,
    envelope="data",
    candle_layout=CandleLayout(),
    quiet_bars=True,
    trades_from_id="<after",
    trades_from_id_params={"method": "publicGetMarketHistoryTrades", "type": "1"},
    trades_before_time="after",
    trades_before_time_params={"method": "publicGetMarketHistoryTrades", "type": "2"},
    trades_per_request=500,
    old_trades_per_request=100,
    book_wire="linked",
)

# Depths, max_depth and trades_per_request come from the exchange's reference, whose page is named,
# or from a comment in ccxt. Without either, the requested number is sent, and after a refusal
# ccxt's default.
QUIRKS: dict[str, Quirk] = {
    "binance": Quirk(
        # It has rolling and trading-day tickers. Trades are aggregated by default. ccxt requires a
        # key for old trades, Binance does not. With a key, ccxt would request the pairs with margin
        # trading.
        bursts=True,
        max_depth=5_000,
        used_weight=("x-mbx-used-weight-1m", 6_000),
        options={"fetchMargins": False},
        windows=("m", "h", "d", "day"),
        average_price=("5m", "publicGetAvgPrice"),
        candle_layout=CandleLayout(trades=8, quoted=True),
        quiet_bars=True,
        keyless_paths=("historicalTrades",),
        recent_trades={"fetchTradesMethod": "publicGetTrades"},
        aggregates=True,
        aggregated_ids=True,
        trades_from_id="=fromId",
        trades_from_id_params={"fetchTradesMethod": "publicGetHistoricalTrades"},
        trades_from_time=True,
        trades_span=3_600_000,
        # ccxt opens a socket for each stream. Binance limits sockets; each can have 1,024 streams.
        subscriptions_a_line=200,
        ticker_stream_params={"name": "ticker"},
        book_wire="numbered",
        numbered_trades=True,
    ),
    "binanceus": Quirk(
        # Binance's API, without the futures hosts.
        bursts=True,
        max_depth=5_000,
        used_weight=("x-mbx-used-weight-1m", 1_200),
        windows=("m", "h", "d"),
        average_price=("5m", "publicGetAvgPrice"),
        candle_layout=CandleLayout(trades=8, quoted=True),
        quiet_bars=True,
        recent_trades={"fetchTradesMethod": "publicGetTrades"},
        aggregates=True,
        aggregated_ids=True,
        trades_from_time=True,
        trades_span=3_600_000,
        subscriptions_a_line=200,
        ticker_stream_params={"name": "ticker"},
        book_wire="numbered",
        numbered_trades=True,
    ),
    # It accepts only 1, 25 or 100 levels. Trades from a start time are oldest first.
    "bitfinex": Quirk(
        depths=(1, 25, 100),
        book_is_list=True,
        trades_from_time=True,
        candle_layout=CandleLayout(open=1, close=2, high=3, low=4),
    ),
    # With a key, ccxt would request the type of the account, and then all contracts.
    "bitget": Quirk(
        bars_per_request=dict.fromkeys(("3d", "1w", "1M"), 100),
        trades_since=True,
        bursts=True,
        max_depth=150,
        options={"uta": False},
        unneeded=("/margin/currencies",),
    ),
    # Spot books have at most 1,000 levels. Its server time belongs to the contract API.
    "bingx": Quirk(bursts=True, max_depth=1_000, unneeded=("/swap/v2/quote", "/cswap/")),
    "bybit": _BYBIT,
    "bybiteu": _BYBIT,
    "bybitid": _BYBIT,
    # With a key, ccxt would request a summary of the account's fees. The first fee tier takes 1.2%
    # from takers. BTC/USDC shares the order book of BTC/USD, its alias. Its bulk tickers are its
    # list of products, which has no best prices.
    "coinbase": Quirk(
        best_in_tickers=False,
        trades_since=True,
        trades_until=True,
        highest_fee=0.012,
        alias_field="alias",
        keyed=("fetchBidsAsks",),
        unneeded=("product_type=FUTURE", "/transaction_summary"),
    ),
    # Level 1 is the best bid and ask. Level 2, which ccxt requests, is the whole book. Bulk tickers
    # have only last prices. Trades page backwards from an id. ccxt's book stream needs a key, the
    # batched one does not.
    "coinbaseexchange": Quirk(
        full_tickers=False,
        quote_params={"level": 1},
        candle_layout=CandleLayout(low=1, high=2, open=3, close=4, seconds=True),
        trades_from_id="<after",
        book_wire="sided",
        book_stream_params={"channels": ["level2_batch"]},
        numbered_trades=True,
    ),
    # Bulk tickers cover one pair or all. "public/get-trades": at most 150; "public/get-book": up to
    # 50.
    "cryptocom": Quirk(
        trades_per_request=150, trades_since=True, max_depth=50, tickers_of_all=True
    ),
    # With a key, ccxt would request the type of the account. Gate refuses earlier candles with the
    # error "Candlestick too long ago. Maximum 10000 points recently are allowed".
    "gate": Quirk(
        bars_kept=10_000,
        bursts=True,
        max_depth=1_000,
        options={"unifiedAccount": False},
        unneeded=("/margin/currency_pairs",),
    ),
    "gateeu": Quirk(
        bars_kept=10_000,
        bursts=True,
        max_depth=100,
        options={"unifiedAccount": False},
        unneeded=("/margin/currency_pairs",),
    ),
    # ccxt's table for spot lacks 8h, so it would request "None". It requests at most 500 candles.
    "mexc": Quirk(
        bars_per_request=dict.fromkeys(
            ("1m", "5m", "15m", "30m", "1h", "4h", "1d", "1w", "1M"), 500
        ),
        average_price=("5m", "spotPublicGetAvgPrice"),
        trades_since=True,
        trades_until=True,
        max_depth=5_000,
        misnamed_timeframes=("8h",),
        unneeded=("/contract/",),
    ),
    # Fees of pairs are fractions, such as 0.001. ccxt's own table has 0.1 for 0.1%.
    "weex": Quirk(
        fee_scale="0.01", max_depth=200, newest_bars_only=True, unneeded=("api-contract.",)
    ),
    "xt": Quirk(max_depth=500, bars_from="startTime", unneeded=("fapi.xt.com", "dapi.xt.com")),
    "aster": Quirk(
        trades_since=True,
        aggregated_ids=True,
        depths=(5, 10, 20, 50, 100, 500, 1_000),
        unneeded=("fapi.",),
    ),
    "bigone": Quirk(max_depth=200, unneeded=("/contract/",)),
    "independentreserve": Quirk(asked_by_code=True),
    "mercado": Quirk(trades_since=True, asked_by_code=True),
    # Other depths are an error.
    "htx": Quirk(bursts=True, depths=(5, 10, 20, 150)),
    # Its week has three days.
    "bitstamp": Quirk(misnamed_timeframes=("1w",)),
    # The third position of a level is its time. Two weeks have 15 days.
    "kraken": Quirk(
        envelope="result",
        asked_by_code=True,
        newest_bars_only=True,
        misnamed_timeframes=("2w",),
        bursts=True,
        max_depth=500,
        candle_layout=CandleLayout(volume=6, trades=7, seconds=True),
        plain_levels=True,
        trades_from_time=True,
        trade_seconds=2,
        trades_after_nanoseconds="since",
        numbered_trades=True,
        book_wire="checked",
        ticker_stream_params={"event_trigger": "bbo"},
    ),
    # Other depths are an error. ccxt would request all tickers for the fees of pairs and, with a
    # key, the pairs with margin trading and the type of the account. ccxt requests the newest
    # candles up to the current second, and the range lacks the candle that opens in it.
    "kucoin": Quirk(
        bars_from_start=True,
        depths=(20, 100),
        options={"fetchMarkets": {"fetchTickersFees": False}, "hf": False},
        markets_params={"marginables": False},
    ),
    "okx": _OKX,
    "myokx": _OKX,
    "okxus": _OKX,
    # It returns a number of candles up to an end time.
    "nado": Quirk(max_depth=100, trades_per_request=500, bars_until=True, best_in_tickers=False),
    # ccxt's 4h requests 8h. Requests for candles need a start and an end. Fees are in percent. ccxt
    # does not read the best prices of its tickers.
    "zebpay": Quirk(
        pair_fee_scale="0.01",
        misnamed_timeframes=("4h",),
        bars_from_start=True,
        bars_until=True,
        best_in_tickers=False,
    ),
    # Its list of markets needs an account, but its prices do not.
    "alpaca": Quirk(
        trades_since=True,
        keyed=("fetchMarkets", "fetchTime"),
        keyless_call=(
            "marketPublicGetV1beta3CryptoLocLatestOrderbooks",
            {"loc": "us", "symbols": "BTC/USD"},
        ),
    ),
    "backpack": Quirk(depths=(5, 10, 20, 50, 100, 500), best_in_tickers=False),
    "bitbns": Quirk(keyed=("fetchStatus",)),
    # ccxt sends no start time for candles of spot pairs. "orderbook": 30 levels for one pair. 1 to
    # 100 trades are documented for v1.2.0. The page of the newer call, v1/trades/ticks, has no
    # maximum. Without a number the call returns one trade, so a refused number would be costly.
    "bithumb": Quirk(
        trades_per_request=100,
        max_depth=30,
        newest_bars_only=True,
        best_in_tickers=False,
        best_in_ticker_stream=False,
    ),
    "bitopro": Quirk(
        depths=(1, 5, 10, 20, 30, 50), best_in_tickers=False, best_in_ticker_stream=False
    ),
    "bitrue": Quirk(
        max_depth=1_000,
        newest_bars_only=True,
        tickers_of_named=True,
        best_in_ticker_stream=False,
        not_offered=dict.fromkeys(
            ("watchTicker", "watchTrades", "watchOHLCV"), "ccxt streams those of contracts only"
        ),
    ),
    "bitteam": Quirk(newest_bars_only=True),
    "bittrade": Quirk(newest_bars_only=True),
    "blockchaincom": Quirk(best_in_tickers=False, best_in_ticker_stream=False),
    "cryptomus": Quirk(best_in_tickers=False),
    # ccxt requests 400 levels, and at most 500 trades.
    "deepcoin": Quirk(
        trades_per_request=500, asked_by_code=True, max_depth=400, newest_bars_only=True
    ),
    # Its bulk tickers have only last prices.
    "gemini": Quirk(
        trades_per_request=500, trades_since=True, newest_bars_only=True, best_in_tickers=False
    ),
    # For 1M and 3M, ccxt requests multiples of 2,592,000 seconds, or 30 days. "Query Order Book" of
    # the spot API returns 30 levels; only contracts have deeper books.
    "phemex": Quirk(max_depth=30, newest_bars_only=True, misnamed_timeframes=("1M", "3M")),
    # It returns trades after an id and has no call for the newest. "Depth Result" and "History": 1
    # to 100.
    "p2b": Quirk(
        max_depth=100,
        trades_per_request=100,
        newest_bars_only=True,
        newest_trades=False,
        trades_from_id=">lastId",
    ),
    # Without a start time, ccxt requests candles from before 1970. For years, it refuses every
    # limit. "Trades": at most 50.
    "btcturk": Quirk(trades_per_request=50, bars_from_start=True, misnamed_timeframes=("1y",)),
    "pacifica": Quirk(bars_from_start=True, best_in_tickers=False, best_in_ticker_stream=False),
    # For 1M, ccxt requests 43,200 minutes, or 30 days.
    "btse": Quirk(trades_per_request=500, max_depth=50, misnamed_timeframes=("1M",)),
    # Its candles are made of bids or asks, not of trades.
    "cex": Quirk(
        trades_since=True,
        asked_by_code=True,
        not_offered={"fetchOHLCV": "its bars are of bids or asks, not of trades"},
        keyed=("watchTicker", "watchOrderBook"),
    ),
    "coinbaseinternational": Quirk(
        max_depth=10_000, not_offered={"fetchTickers": "ccxt makes a request for each"}
    ),
    "coincheck": Quirk(ticker_pairs=("BTC/JPY",)),
    # ccxt accepts only these depths, and requests at most 200 trades.
    # Its tickers have lists of best prices, which ccxt does not read.
    "coinone": Quirk(
        trades_per_request=200, asked_by_code=True, depths=(5, 10, 15, 16), best_in_tickers=False
    ),
    "coinsph": Quirk(max_depth=200),
    "coinspot": Quirk(keyed=("fetchOrderBook", "fetchTrades")),
    # For 1M, ccxt requests "30d".
    "delta": Quirk(misnamed_timeframes=("1M",)),
    "deribit": Quirk(
        trades_since=True,
        depths=(1, 5, 10, 20, 50, 100, 1_000, 10_000),
        not_offered={"fetchTickers": "they are of one base currency at a time"},
    ),
    "foxbit": Quirk(trades_per_request=200, max_depth=100),
    # Both are ccxt's maximum.
    "hashkey": Quirk(trades_per_request=100, max_depth=200),
    # The fee of a pair is in the field trade_fee_percent.
    "indodax": Quirk(pair_fee_scale="0.01"),
    "hollaex": Quirk(best_in_tickers=False),
    # "L2 book snapshot": at most 20 levels a side.
    "hyperliquid": Quirk(
        max_depth=20,
        best_in_tickers=False,
        not_offered={"fetchTrades": "ccxt's call gives those of one account"},
    ),
    "latoken": Quirk(max_depth=1_000, trades_per_request=100),
    # "Depth information": 1 to 200; "trades.do": 1 to 600.
    "lbank": Quirk(
        max_depth=200,
        trades_per_request=600,
        trades_since=True,
        best_in_tickers=False,
        best_in_ticker_stream=False,
    ),
    "lighter": Quirk(
        max_depth=250,
        trades_per_request=100,
        best_in_tickers=False,
        best_in_ticker_stream=False,
        not_offered={"watchTicker": "ccxt streams those of contracts only"},
    ),
    "luno": Quirk(trades_since=True, keyed=("fetchOHLCV", "watchOrderBook", "watchTrades")),
    # For 1M and 4M, ccxt requests multiples of 2,419,200 seconds, or 28 days. The bids in its list
    # of tickers are not best bids.
    "ndax": Quirk(misnamed_timeframes=("1M", "4M"), best_in_tickers=False),
    # ccxt rounds the times of candles down to multiples of the timeframe since 1970.
    "onetrading": Quirk(best_in_ticker_stream=False, moved_timeframes=("1w", "1M")),
    # These values are in a comment of ccxt.
    "poloniex": Quirk(depths=(5, 10, 20, 50, 100, 150)),
    "revolutx": Quirk(trades_since=True, max_depth=50, trades_per_request=100),
    # ccxt has 0.0075, with a comment that this is 0.1%.
    "tokocrypto": Quirk(max_depth=5_000, aggregated_ids=True, fees_unknown=True),
    # "Recent Trades History": up to 500; "List Orderbooks": count, 1 to 30.
    "upbit": Quirk(
        max_depth=30,
        trades_per_request=500,
        best_in_tickers=False,
        best_in_ticker_stream=False,
    ),
    # "Orderbook": 0 to 100.
    "whitebit": Quirk(max_depth=100),
    "bequant": Quirk(trades_since=True),
    "fmfwio": Quirk(trades_since=True),
    "hitbtc": Quirk(trades_since=True),
    "derive": Quirk(trades_since=True),
    "bullish": Quirk(
        bars_per_request=dict.fromkeys(("1m", "5m", "30m", "1h", "6h", "12h", "1d"), 100),
        trades_since=True,
    ),
    "bitvavo": Quirk(trades_since=True, max_depth=1_000),
    "toobit": Quirk(max_depth=100, trades_per_request=60),
    # Its reference has no maximum; note.com/b_ap/n/n633befa8196f says that it returns at most 500.
    "bitflyer": Quirk(trades_per_request=500),
    # "Get orderbook": at most 150; "Get recent trades": at most 500.
    "digifinex": Quirk(max_depth=150, trades_per_request=500),
    "woo": Quirk(
        not_offered={
            "fetchTicker": "its tickers are of contracts",
            "fetchTickers": "its tickers are of contracts",
        }
    ),
}

_PLAIN = Quirk()


def quirk(exchange: str) -> Quirk:
    """Return the differences of an exchange; most have none."""
    return QUIRKS.get(exchange, _PLAIN)
