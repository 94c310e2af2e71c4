"""What agents ask in the words of other servers, exchanges and people is taken as they mean it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import corpus
import pytest
from corpus import Outcome


@pytest.fixture(scope="module")
def outcomes() -> list[Outcome]:
    return corpus.judged(corpus.calls())


def _told(outcomes: Sequence[Outcome]) -> str:
    return "\n".join(f"{one.call.tool} {one.call.given}: {one.said}" for one in outcomes)


def test_the_corpus_is_large_and_varied() -> None:
    calls = corpus.calls()
    kinds = Counter(call.kind for call in calls)
    assert len({(call.tool, str(call.given)) for call in calls}) == len(calls) >= 600
    assert len(kinds) >= 10
    assert min(kinds.values()) >= 20


def test_nothing_is_understood_wrongly(outcomes: list[Outcome]) -> None:
    wrong = [one for one in outcomes if one.verdict == "wrong"]
    assert not wrong, _told(wrong)


def test_nearly_all_are_right_at_once(outcomes: list[Outcome]) -> None:
    """Of all calls, and of those of each kind: taken as they are meant, or refused as they are."""
    others = [one for one in outcomes if one.verdict != "right"]
    assert len(others) <= 0.01 * len(outcomes), _told(others)
    for kind, count in Counter(one.call.kind for one in outcomes).items():
        of_kind = [one for one in others if one.call.kind == kind]
        assert len(of_kind) <= 0.05 * count, _told(of_kind)


def test_what_is_refused_can_be_mended_by_its_error_alone(outcomes: list[Outcome]) -> None:
    stuck = [one for one in outcomes if one.mended is False]
    assert not stuck, _told(stuck)


def test_the_table_counts_all(outcomes: list[Outcome]) -> None:
    assert corpus.table(outcomes).splitlines()[-1].split()[1] == str(len(outcomes))
