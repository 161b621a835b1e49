"""A Solana chain on loopback: real transactions in a virtual machine, behind the node's own JSON-RPC and WebSocket.

`ledger` is the chain itself, `accounts` how accounts look on the wire, `journal` what survives the process, `rpc` and
`subscriptions` the doors, `server` puts it on two ports. It knows nothing of the market.
"""
