"""The parts of which displays of records are made."""

from marketdata.models._display import numbers
from marketdata.models._display.elements import DOWN, UP, WARNING, Column, Table
from marketdata.models._display.pages import page

__all__ = ["DOWN", "UP", "WARNING", "Column", "Table", "numbers", "page"]
