"""Live trading: the chain's nodes, the signer's door, and limits no order goes beyond.

The signer has its own settings in its own file, which no other process reads: `apps.wallets.signer`.
"""

from config.env import env

_local_nodes = [f"http://127.0.0.1:{env.sandbox_rpc_port}", f"http://127.0.0.1:{env.sandbox_rpc_port + 2}"]

#: In order of preference. The local chain has two nodes, each with its WebSocket one port above. A test names its own.
SOLANA_RPC_URLS = env.solana_rpc_urls or (_local_nodes if env.soldesk_demo and env.soldesk_env != "test" else [])
SOLANA_WS_URLS = env.solana_ws_urls
SOLANA_RPC_CALLS_PER_SECOND = env.solana_rpc_calls_per_second
SIGNER_SOCKET = None if env.signer_socket is None else str(env.signer_socket)
LIVE_LANDING_ROUTE = env.live_landing_route
LIVE_SWAP_API = env.live_swap_api
LIVE_MAX_SLIPPAGE_BPS = env.live_max_slippage_bps
LIVE_MAX_FEE_LAMPORTS = env.live_max_fee_lamports
