"""Where the market and the chain meet: its tokens have mints there, its pools vaults, and its swaps really happen.

`mints` are the bytes of mints and vaults, `venue` joins a market and a ledger, `building` makes transactions to sign,
`orders` remembers what Jupiter handed out and lands what comes back signed, `tampering` is what a fault makes of a
transaction. Neither the market nor the chain knows of it.
"""
