"""A Solana chain on loopback: real transactions in a virtual machine, behind the node's own JSON-RPC and WebSocket.

`ledger` is the chain itself, `states` what accounts were, `accounts` how they look on the wire, `journal` what survives
the process. `rpc` and `subscriptions` are the doors of a node, `nodes` one node, `faults` and `lies` what it does
wrong; `server` puts two of them on their ports. None of it knows of the market.
"""
