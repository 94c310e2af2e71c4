"""Chosen fields of a list, and another order."""

import csv
import io
import json


def test_tables_and_csv_have_the_chosen_columns(here):
    code, out, _ = here("pairs", "--columns", "pair, price_tick", "-f", "csv")
    assert (code, out.splitlines()[0]) == (0, "pair,price_tick")
    rows = list(csv.DictReader(io.StringIO(out)))
    code, out, _ = here("pairs", "--columns", "pair,price_tick", "-f", "table")
    assert (code, out.splitlines()[0].split()) == (0, ["pair", "price", "tick"])
    assert [line.split()[0] for line in out.splitlines()[1:-1]] == [row["pair"] for row in rows]


def test_lists_are_sorted_by_a_field_up_or_down(here):
    ticks = {}
    for order in ("price_tick", "-price_tick"):
        found = json.loads(here("pairs", "--sort", order, "-f", "json")[1])
        ticks[order] = [one["priceTick"] for one in found]
    assert ticks["price_tick"] == sorted(ticks["price_tick"])
    assert ticks["-price_tick"] == sorted(ticks["price_tick"], reverse=True)


def test_an_unknown_field_is_refused_with_the_known_ones(here):
    for line in (["--sort", "nope"], ["--columns", "nope"]):
        for form in ("csv", "table"):
            code, out, err = here("quotes", *line, "-f", form)
            assert (code, out) == (2, "")
            assert err.startswith("error: INVALID_PARAMETER: Quote has no 'nope'; it has exchange")
    code, _, err = here("quotes", "--columns", "pair", "-f", "json")
    assert code == 2
    assert "--columns is for tables and CSV" in err
