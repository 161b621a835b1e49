"""What a trader wants to know before real money moves: is everything there, and if not, what is to be done.

`run` looks at everything; the looks are in `desk` (what runs here), `chain` (nodes and their fees), `keys` (signer,
wallets, limits). A look that fails says so in a line of its own and never hides the others.
"""
