"""The market's rules: pools, motions, tokens, quotes. Pure: no network, no clock, no hidden randomness."""
