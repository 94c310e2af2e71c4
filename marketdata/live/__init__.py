"""Live data for callers that poll: watches that are read in the background."""

from marketdata.live.current import BARS, LEVELS, TRADES, Subject, current
from marketdata.live.following import Following
from marketdata.live.news import Condition, News
from marketdata.live.reading import Reading
from marketdata.live.watch import LiveWatch

__all__ = [
    "BARS",
    "LEVELS",
    "TRADES",
    "Condition",
    "Following",
    "LiveWatch",
    "News",
    "Reading",
    "Subject",
    "current",
]
