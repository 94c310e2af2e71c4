"""The simulated markets: prices, bars, trades and books, made up or repeated."""
