#!/usr/bin/env bash
# In a pipe, answers are JSON, JSON lines or CSV for the next program.
set -euo pipefail

echo "the last price:"
marketdata ticker BTC/USDT | python3 -c 'import json, sys; print(json.load(sys.stdin)["last"])'

echo "the three pairs with the largest change:"
marketdata tickers --format csv |
    python3 -c 'import csv, sys
rows = [row for row in csv.DictReader(sys.stdin) if row["percentage"]]
rows.sort(key=lambda row: -abs(float(row["percentage"])))
for row in rows[:3]: print(row["pair"], row["percentage"])'

echo "a day of candles in a file:"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
marketdata candles BTC/USDT -t 5m --start -24h --format csv > "$folder/day.csv"
head -n 2 "$folder/day.csv"

echo "an error is one line and a code:"
marketdata ticker BTC/USTD || echo "exit code $?"
