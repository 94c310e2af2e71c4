"""Budgets of requests, and how long a call may take."""

from marketdata._requests.deadline import patient, within
from marketdata._requests.portal import portal
from marketdata._requests.rate_ledger import APART, Account, Answer, Ledger, LedgerBusyError, Limit
from marketdata._requests.rate_limit import Budget, Step
from marketdata._requests.reply import Reply
from marketdata._requests.request import current

__all__ = [
    "APART",
    "Account",
    "Answer",
    "Budget",
    "Ledger",
    "LedgerBusyError",
    "Limit",
    "Reply",
    "Step",
    "current",
    "patient",
    "portal",
    "within",
]
