"""The year of the history benchmark, in Unix milliseconds and candles."""

MINUTE = 60_000
DAY = 1440 * MINUTE
START = 1_672_531_200_000
"""2023-01-01."""
BARS = 365 * 1440
END = START + BARS * MINUTE
ONE_DAY = START + 180 * DAY
"""2023-06-30, the day that is read separately."""
