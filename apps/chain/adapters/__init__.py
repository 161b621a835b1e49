"""The outside: one node's JSON-RPC and one node's WebSocket."""
