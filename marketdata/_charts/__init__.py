"""The chart page: one self-contained document on TradingView's Lightweight Charts."""
