"""The comparing with accepted totals itself: no recordings are needed."""

from pathlib import Path

from totals import AGAIN, Accepted, Cell, Totals, more, read, verdict, worse, write

TOTALS: Totals = {
    "first": {"ticker": Cell(3, 3), "trades": Cell(1, 2)},
    "second": {"candles": Cell(5, 5)},
}
ACCEPTED = Accepted("1.2.3", TOTALS)


def test_the_same_is_neither_worse_nor_more() -> None:
    assert worse(ACCEPTED, TOTALS) == more(ACCEPTED, TOTALS) == []


def test_fewer_passes_and_fewer_cases_are_told_with_what_there_was() -> None:
    failing: Totals = {**TOTALS, "first": {"ticker": Cell(2, 3), "trades": Cell(1, 1)}}
    assert worse(ACCEPTED, failing) == [
        "first ticker: 3/3 accepted with ccxt 1.2.3, now 2/3",
        "first trades: 1/2 accepted with ccxt 1.2.3, now 1/1",
    ]
    assert more(ACCEPTED, failing) == []


def test_what_has_vanished_is_told() -> None:
    assert worse(ACCEPTED, {"first": {"ticker": Cell(3, 3)}}) == [
        "first trades: 1/2 accepted with ccxt 1.2.3, now not run",
        "second: 5/5 accepted with ccxt 1.2.3, now nothing of it is run",
    ]
    assert len(worse(ACCEPTED, {})) == 2


def test_more_is_told_and_not_worse() -> None:
    grown: Totals = {
        "first": {"ticker": Cell(4, 4), "trades": Cell(2, 2), "pairs": Cell(1, 1)},
        "second": TOTALS["second"],
        "third": {"ticker": Cell(0, 1)},
    }
    assert worse(ACCEPTED, grown) == []
    assert more(ACCEPTED, grown) == [
        "first ticker: 3/3 accepted with ccxt 1.2.3, now 4/4",
        "first trades: 1/2 accepted with ccxt 1.2.3, now 2/2",
        "first pairs: 0/0 accepted with ccxt 1.2.3, now 1/1",
        "third ticker: 0/0 accepted with ccxt 1.2.3, now 0/1",
    ]


def test_more_of_one_does_not_make_up_for_less_of_another() -> None:
    moved: Totals = {"first": {"ticker": Cell(9, 9)}, "second": TOTALS["second"]}
    assert worse(ACCEPTED, moved) == ["first trades: 1/2 accepted with ccxt 1.2.3, now not run"]


def test_accepted_totals_are_those_of_a_content(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    assert read("one", path) is None
    write("one", ACCEPTED, path)
    write("other", Accepted("1.2.4", {"third": {"pairs": Cell(1, 1)}}), path)
    assert read("one", path) == ACCEPTED
    assert read("unknown", path) is None
    write("one", Accepted("2.0.0", {}), path)
    assert read("one", path) == Accepted("2.0.0", {})


def test_a_run_of_nothing_fails_and_cannot_be_accepted(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    for accept in (False, True):
        assert verdict("one", Accepted("1.2.3", {}), accept=accept, path=path)[1] is True
    assert not path.exists()


def test_a_folder_of_which_nothing_is_accepted_is_merely_told(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    write("one", ACCEPTED, path)
    lines, failed = verdict("other", ACCEPTED, path=path)
    assert lines == [f"no totals are accepted for this folder; {AGAIN}"]
    assert failed is False


def test_less_fails_until_it_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    write("one", ACCEPTED, path)
    less = Accepted("1.2.4", {"first": TOTALS["first"], "third": {"pairs": Cell(1, 1)}})
    assert verdict("one", ACCEPTED, path=path) == (["as accepted"], False)
    assert verdict("one", less, path=path) == (
        [
            "LESS THAN ACCEPTED: second: 5/5 accepted with ccxt 1.2.3, now nothing of it is run",
            "more than accepted: third pairs: 0/0 accepted with ccxt 1.2.3, now 1/1",
            AGAIN,
        ],
        True,
    )
    assert verdict("one", less, accept=True, path=path) == (["accepted, in accepted.json"], False)
    assert verdict("one", less, path=path) == (["as accepted"], False)
    assert verdict("one", ACCEPTED, path=path)[1] is True


def test_more_alone_does_not_fail(tmp_path: Path) -> None:
    path = tmp_path / "accepted.json"
    write("one", ACCEPTED, path)
    grown = Accepted("1.2.3", {**TOTALS, "third": {"pairs": Cell(1, 1)}})
    lines, failed = verdict("one", grown, path=path)
    assert (lines[-1], failed) == (AGAIN, False)
