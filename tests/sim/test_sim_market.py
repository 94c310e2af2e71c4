"""A generated market is consistent at every timeframe and at every moment."""

from itertools import islice, pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from marketdata.sim import MARKETS
from marketdata.sim.markets.bars import (
    DAY,
    HOUR,
    MINUTE,
    MONDAY,
    SECOND,
    Grid,
    merged,
    months,
    of_trades,
)
from marketdata.sim.markets.listings import listings
from marketdata.sim.markets.seeded import SeededMarket

NOW = 1_750_000_000_123
WHERE = st.sampled_from([(name, index) for name in MARKETS for index in range(12)])
GRIDS = [
    Grid(SECOND),
    Grid(5 * MINUTE),
    Grid(15 * MINUTE),
    Grid(HOUR),
    Grid(4 * HOUR),
    Grid(12 * HOUR, 4 * HOUR),
    Grid(DAY),
    Grid(DAY, 16 * HOUR),
    Grid(7 * DAY, MONDAY),
    months(1),
]


def market(exchange: str = "binance", index: int = 0, seed: int = 3) -> SeededMarket:
    return SeededMarket(seed, exchange, listings(exchange)[index])


@given(WHERE, st.integers(0, 40), st.integers(0, 23), st.integers(0, 2**31))
@settings(deadline=None, max_examples=40)
def test_every_bar_is_the_sum_of_its_parts(where, back: int, hour: int, seed: int) -> None:
    made = market(*where, seed=seed)
    end = NOW if made.last is None else made.last - 1
    start = (end // DAY - 1 - back) * DAY
    (day,) = made.level(DAY, start, start + DAY)
    hours = made.level(HOUR, start, start + DAY)
    assert merged(start, hours) == day
    assert merged(start, made.level(MINUTE, start, start + DAY)) == day
    begin = start + hour * HOUR
    for minute in made.level(MINUTE, begin, begin + HOUR):
        trades = made.block_trades(minute)
        assert of_trades(minute.start, trades) == minute
        assert all(minute.start <= trade.ms < minute.start + MINUTE for trade in trades)
        assert all(trade.amount > 0 for trade in trades)
        assert all(a.id + 1 == b.id and a.nanos < b.nanos for a, b in pairwise(trades))


@given(WHERE, st.integers(0, 3_000), st.integers(0, DAY), st.integers(0, 20 * MINUTE))
@settings(deadline=None, max_examples=40)
def test_a_window_holds_exactly_its_trades(where, back: int, at: int, length: int) -> None:
    made = market(*where)
    end = NOW - back * DAY - at
    trades = [trade for trade in islice(made.backwards(end), 3_000) if trade.ms >= end - length]
    window = made.window(end - length, end)
    if trades:
        assert window == of_trades(max(end - length, made.first), trades[::-1])
    else:
        assert window is None or (window.volume, window.trades) == (0, 0)


@given(st.integers(0, 400), st.integers(1, 3 * DAY), st.integers(1, 3 * DAY))
@settings(deadline=None, max_examples=30)
def test_two_windows_make_one(back: int, first: int, second: int) -> None:
    made = market("okx", 3)
    end = NOW - back * DAY
    middle = end - second
    parts = [made.window(middle - first, middle - 1), made.window(middle, end)]
    found = [part for part in parts if part is not None and part.trades]
    whole = made.window(middle - first, end)
    assert whole is not None
    if found:
        assert merged(middle - first, found) == whole._replace(start=middle - first)


@pytest.mark.parametrize("grid", GRIDS, ids=str)
@pytest.mark.parametrize("index", [0, 10])
def test_bars_of_any_grid_are_their_minutes(grid: Grid, index: int) -> None:
    made = market("binance", index)
    start = grid.floor(NOW - 2 * grid.step)
    found = made.bars(grid, start, NOW + 1, NOW)
    if grid.step < MINUTE:
        trades = made.forwards(NOW, ms=start)
        assert found == grid.group(of_trades(trade.ms, [trade]) for trade in trades)
    else:
        assert found == grid.group(made.bars(Grid(MINUTE), start, NOW + 1, NOW))


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_filled_bars_leave_no_place_out(grid: Grid) -> None:
    made = market("binance", 10)
    start = grid.floor(NOW - 40 * grid.step)
    found = made.grid_bars(grid, start, NOW + 1, NOW)
    assert found[0].start == start
    assert found[-1].start == grid.floor(NOW)
    for before, after in pairwise(found):
        assert after.start == grid.after(before.start)
        if not after.trades:
            assert after[1:7] == (before.close,) * 4 + (0, 0)
    assert [bar for bar in found if bar.trades] == made.bars(grid, start, NOW + 1, NOW)


def test_a_quiet_pair_has_minutes_without_trades() -> None:
    made = market("kraken", 10)
    day = made.bars(Grid(MINUTE), NOW - DAY, NOW, NOW)
    assert 50 < len(day) < 1_000


@pytest.mark.parametrize("grid", [Grid(MINUTE), Grid(HOUR), Grid(DAY), months(1)], ids=str)
def test_the_forming_bar_knows_nothing_of_the_future(grid: Grid) -> None:
    made = market()
    forming = made.bars(grid, grid.floor(NOW), NOW + 1, NOW)[-1]
    last = made.last_trade(NOW)
    assert last is not None
    assert last.ms <= NOW
    assert (forming.close, forming.last_id) == (last.price, last.id)
    assert forming == made.window(grid.floor(NOW), NOW)
    assert made.bars(grid, grid.after(grid.floor(NOW)), NOW + 99 * DAY, NOW) == []


@given(WHERE, st.integers(0, 2_000_000))
@settings(deadline=None, max_examples=60)
def test_a_trade_is_found_by_its_id(where, trade_id: int) -> None:
    made = market(*where)
    found = list(islice(made.forwards(NOW, trade_id=trade_id), 12))
    assert [trade.id for trade in found] == list(range(trade_id, trade_id + 12))
    assert all(a.nanos < b.nanos for a, b in pairwise(found))


@pytest.mark.parametrize("index", range(12))
def test_the_first_trade_of_a_market_has_id_0(index: int) -> None:
    made = market("binance", index)
    first = next(made.forwards(NOW, trade_id=0))
    assert first.id == 0
    assert made.first <= first.ms < made.first + DAY
    assert made.last_trade(first.ms - 1) is None
    assert made.window(made.first - DAY, first.ms - 1) is None
    assert made.book(first.ms - 1, 5) is None


def test_nothing_comes_after_a_market_was_closed() -> None:
    made = market("okx", 11)
    assert made.last is not None
    last = made.last_trade(NOW)
    assert last is not None
    assert last.ms < made.last
    assert made.bars(Grid(DAY), made.last, NOW, NOW) == []
    assert list(made.forwards(NOW, trade_id=last.id + 1)) == []
    window = made.window(NOW - DAY, NOW)
    assert window is not None
    assert (window.close, window.volume) == (last.price, 0)


@given(WHERE, st.integers(0, 10**10), st.integers(1, 300))
@settings(deadline=None, max_examples=60)
def test_the_book_encloses_the_last_price(where, back: int, depth: int) -> None:
    made = market(*where)
    moment = NOW - back
    book, last = made.book(moment, depth), made.last_trade(moment)
    assert book is not None
    assert last is not None
    assert book.bids[0][0] <= last.price <= book.asks[0][0]
    assert book.bids[0][0] < book.asks[0][0]
    assert all(a > b for (a, _), (b, _) in pairwise(book.bids))
    assert all(a < b for (a, _), (b, _) in pairwise(book.asks))
    assert len(book.asks) == depth
    assert len(book.bids) <= depth
    assert all(price > 0 and amount > 0 for price, amount in book.bids + book.asks)
    shallow = made.book(moment, 1)
    assert shallow is not None
    assert (shallow.bids, shallow.asks) == (book.bids[:1], book.asks[:1])


def test_every_aggregate_is_one_price_and_side() -> None:
    made = market()
    trades = list(islice(made.forwards(NOW, trade_id=400_000), 400))
    for before, after in pairwise(trades):
        step = made.aggregate_of(after.id) - made.aggregate_of(before.id)
        assert step in (0, 1)
        if not step:
            assert (before.price, before.buy, before.ms) == (after.price, after.buy, after.ms)
    for number in range(100):
        assert made.aggregate_of(made.first_of_aggregate(number)) == number


def test_a_seed_decides_everything() -> None:
    grid = Grid(HOUR)
    assert market().bars(grid, NOW - DAY, NOW, NOW) == market().bars(grid, NOW - DAY, NOW, NOW)
    assert market().book(NOW, 20) == market().book(NOW, 20)
    other = market(seed=4)
    assert other.bars(grid, NOW - DAY, NOW, NOW) != market().bars(grid, NOW - DAY, NOW, NOW)


def test_prices_of_one_pair_are_close_on_all_exchanges() -> None:
    closes = []
    for name in MARKETS:
        made = market(name)
        last = made.last_trade(NOW)
        assert last is not None
        closes.append(last.price / 10**made.price_scale)
    assert max(closes) / min(closes) < 1.03


@pytest.mark.parametrize("exchange", MARKETS)
def test_a_padded_list_has_no_name_twice(exchange: str) -> None:
    found = listings(exchange, 2_000)
    assert len({listing.pair for listing in found}) == len(found) == 2_000
    assert found[:12] == listings(exchange)[:12]
    assert any(not listing.active for listing in found)
    assert listings(exchange, 3) == listings(exchange)[:3]


@pytest.mark.parametrize("filled", [True, False])
def test_the_newest_and_the_oldest_bars(filled: bool) -> None:
    made = market("binance", 10)
    grid = Grid(MINUTE)
    find = made.grid_bars if filled else made.bars
    whole = find(grid, NOW - DAY, NOW + 1, NOW)
    assert made.newest(grid, 50, 0, NOW + 1, NOW, filled=filled) == whole[-50:]
    assert made.oldest(grid, 50, NOW - DAY, NOW + 1, NOW, filled=filled) == whole[:50]
    assert made.newest(grid, 9_999, NOW - DAY, NOW + 1, NOW, filled=filled) == whole
    assert made.oldest(grid, 9_999, NOW - DAY, NOW + 1, NOW, filled=filled) == whole
    assert made.newest(grid, 5, NOW, NOW, NOW, filled=filled) == []


@given(st.integers(0, 2**31), st.integers(0, 10), st.integers(0, 1_000), st.integers(0, DAY))
@settings(deadline=None, max_examples=60)
def test_exchanges_agree_on_a_price(seed: int, index: int, back: int, at: int) -> None:
    made = [market(name, index, seed) for name in MARKETS]
    assert len({one.listing.pair for one in made}) == 1
    for now in range(NOW - back * DAY - at, NOW - back * DAY - at + 3_000, 300):
        books = [(one.book(now, 1), 10**one.price_scale) for one in made]
        best = [(book.bids[0][0] / of, book.asks[0][0] / of) for book, of in books if book]
        assert len(best) in (0, len(made))  # before its listing no exchange has the pair
        if not best:
            continue
        bid, ask = max(bid for bid, _ in best), min(ask for _, ask in best)
        assert bid <= ask * (1 + 1e-12)
        middles = [(low + high) / 2 for low, high in best]
        tick = 1 / min(of for _, of in books)
        assert max(middles) - min(middles) <= 0.0003 * bid + 2 * tick


@pytest.mark.parametrize("index", [0, 1, 2, 4, 6, 8])
def test_no_seed_crosses_the_exchanges(index: int) -> None:
    for seed in range(21):
        made = [market(name, index, seed) for name in MARKETS]
        books = [(one.book(NOW, 1), 10**one.price_scale) for one in made]
        best = [(book.bids[0][0] / of, book.asks[0][0] / of) for book, of in books if book]
        assert max(bid for bid, _ in best) < min(ask for _, ask in best)


def test_exchanges_differ_by_less_than_half_a_spread() -> None:
    made = [market(name) for name in MARKETS]
    books = [(one.book(NOW, 20), 10**one.price_scale) for one in made]
    rows = {tuple(price / of for price, _ in book.bids) for book, of in books if book}
    assert len(rows) == len(MARKETS)
