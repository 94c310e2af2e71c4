"""Descriptions tell tools apart: for most questions the right one ranks first by its words."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from marketdata_mcp.app import tools

QUESTIONS = [
    (question, tool)
    for tool, question in (
        line.split("\t")
        for line in (Path(__file__).parent / "questions.tsv").read_text().splitlines()
    )
]


_STOP = frozenset(
    re.findall(
        r"\w+",
        """a an and any are as at be by can could do does doing for from had has have how i if in
        into is it its many me much my now of off on or our should so some than that the their them
        then there these they this to was were what when where which who will with would you your
        give show get tell want need right just""",
    )
)
"""Words that tell nothing apart: what search engines leave out, and how requests begin."""


def words(text: str) -> list[str]:
    """Split a text into words without endings, as search engines do."""
    found = re.findall(r"[a-z0-9]+", text.lower())
    return [
        re.sub(r"(?<=\w{3})(?:ing|es|ed|e|s)$", "", word) for word in found if word not in _STOP
    ]


class Ranking:
    """BM25 with the usual constants."""

    def __init__(self, documents: Mapping[str, str]) -> None:
        self._counts = {name: Counter(words(text)) for name, text in documents.items()}
        self._mean = sum(map(Counter.total, self._counts.values())) / len(documents)
        self._holding = Counter(word for one in self._counts.values() for word in one)

    def score(self, name: str, question: str) -> float:
        """Return how well a document fits a question."""
        counts, total = self._counts[name], 0.0
        norm = 1.5 * (0.25 + 0.75 * counts.total() / self._mean)
        for word in words(question):
            holding = self._holding[word]
            rarity = math.log(1 + (len(self._counts) - holding + 0.5) / (holding + 0.5))
            total += rarity * counts[word] * 2.5 / (counts[word] + norm)
        return total

    def first(self, question: str) -> str:
        """Return the document that fits best."""
        return max(self._counts, key=lambda name: self.score(name, question))


def missed(documents: Mapping[str, str]) -> list[tuple[str, str, str]]:
    ranking = Ranking(documents)
    return [
        (question, right, found)
        for question, right in QUESTIONS
        if (found := ranking.first(question)) != right
    ]


def test_there_are_enough_questions_about_each_tool() -> None:
    counts = Counter(tool for _, tool in QUESTIONS)
    assert len(QUESTIONS) >= 200
    assert set(counts) == {tool.name for tool in tools()}
    assert min(counts.values()) >= 8
    assert len({question for question, _ in QUESTIONS}) == len(QUESTIONS)


def test_the_right_tool_ranks_first() -> None:
    named = {tool.name: f"{tool.name} {tool.description}" for tool in tools()}
    alone = {tool.name: str(tool.description) for tool in tools()}
    for documents in (named, alone):
        found = missed(documents)
        assert len(found) <= 0.05 * len(QUESTIONS), found
