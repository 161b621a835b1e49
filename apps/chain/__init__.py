"""The Solana side of the outside world: nodes and what they say. Knows no wallet, no order and no position."""
