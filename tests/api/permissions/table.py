"""The answer of every route to everybody, written by hand from the contract; nothing here is computed from the code.

A row: method, path, then the status for the owner, for another user, for staff who is not the owner (`=`: as another
user), and the scopes of an API key that open it (`-`: access tokens only; `full_access` opens what any scope does).
Another user's 200 or 201 is about things of their own. `public` rows ask nobody who they are
(503 is what a desk without workers answers, as the tests' is).

Everybody else is refused the same everywhere: 401 without credentials, with a refresh token, a token or key that has
expired or belongs to somebody switched off; a key on a route for tokens 401, a key without the scope 403.
"""

from __future__ import annotations

from dataclasses import dataclass

SCOPES = ("signals", "signals:create", "agents", "positions", "balances", "transactions", "history", "full_access")

_ROWS = """
POST   /auth/login                                          public 200
POST   /auth/refresh                                        public 200
POST   /auth/logout                                         200 200 =   -
POST   /auth/logout-all                                     200 200 =   -
GET    /auth/me                                             200 200 =   -
POST   /auth/ws-ticket                                      201 201 =   -
POST   /auth/password                                       200 200 =   -
GET    /auth/sessions                                       200 200 =   -
DELETE /auth/sessions/{session}                             200 404 =   -
GET    /auth/totp                                           200 200 =   -
POST   /auth/totp                                           201 201 =   -
DELETE /auth/totp                                           409 409 =   -
POST   /auth/totp/confirm                                   409 409 =   -
POST   /auth/totp/recovery-codes                            409 409 =   -

GET    /api-keys                                            200 200 =   -
POST   /api-keys                                            201 201 =   -
GET    /api-keys/{key}                                      200 404 =   -
DELETE /api-keys/{key}                                      200 404 =   -

GET    /agents                                              200 200 =   agents
POST   /agents                                              201 201 =   -
GET    /agents/{agent}                                      200 404 =   agents
PUT    /agents/{agent}                                      200 404 =   -
DELETE /agents/{agent}                                      200 404 =   -
GET    /agents/{agent}/config                               200 404 =   agents
PUT    /agents/{agent}/config                               200 404 =   -
PATCH  /agents/{agent}/config                               200 404 =   -
GET    /agents/{agent}/positions                            200 404 =   positions
POST   /agents/{agent}/positions/{position}/close           200 403 =   -
GET    /agents/{agent}/positions/{position}/events          200 404 =   positions
GET    /agents/{agent}/performance                          200 404 =   agents
GET    /agents/{agent}/balance-history?walletAddress={wallet}  200 404 =   agents
GET    /agents/{agent}/loss-limits                          200 404 =   agents
PUT    /agents/{agent}/loss-limits                          200 404 =   -
GET    /agents/{agent}/token-safety                         200 404 =   agents
PUT    /agents/{agent}/token-safety                         200 404 =   -

GET    /agent-balances?agentId={agent}                      200 404 =   balances
POST   /agent-balances                                      201 404 =   -
GET    /agent-balances/{balance}                            200 404 =   balances
PUT    /agent-balances/{balance}                            200 404 =   -
DELETE /agent-balances/{balance}                            200 404 =   -

GET    /agent-positions/{agent}                             200 404 =   positions
GET    /agent-positions/{agent}/take-profit-summary         200 404 =   positions
POST   /agent-positions/{agent}/{position}/close            200 403 =   -
GET    /agent-positions/{agent}/{position}/events           200 404 =   positions

GET    /agent-transactions?agentId={agent}                  200 403 =   transactions
GET    /agent-transactions/export?agentId={agent}           200 403 =   transactions
POST   /agent-transactions                                  201 403 =   -
GET    /agent-transactions/{deposit}                        200 403 =   transactions
PUT    /agent-transactions/{deposit}                        200 403 =   -
DELETE /agent-transactions/{deposit}                        204 403 =   -

GET    /agent-historical-swaps?agentId={agent}              200 403 =   history
GET    /agent-historical-swaps/export?agentId={agent}       200 403 =   history
POST   /agent-historical-swaps                              201 403 =   -
GET    /agent-historical-swaps/{trade}                      200 403 =   history
PUT    /agent-historical-swaps/{trade}                      409 403 =   -
DELETE /agent-historical-swaps/{trade}                      409 403 =   -

GET    /trading-signals                                     200 200 =   signals
POST   /trading-signals                                     201 201 =   signals signals:create
GET    /trading-signals/export                              200 200 =   signals
DELETE /trading-signals/all?confirm=true                    200 200 =   signals
GET    /trading-signals/{signal}                            200 404 =   signals
PUT    /trading-signals/{signal}                            200 404 =   signals
DELETE /trading-signals/{signal}                            204 404 =   signals

GET    /wallets/agent/{agent}                               200 404 =   -
POST   /wallets/assign                                      200 404 =   -
POST   /wallets/{wallet}/reset                              200 404 =   -
POST   /wallets/{live}/unassign                             200 404 =   -
POST   /wallets/{live}/check-deposits                       503 403 =   -
GET    /wallets/signer                                      403 403 503 -
GET    /wallets/keys                                        200 200 =   -
POST   /wallets/keys                                        403 403 503 -
POST   /wallets/keys/import                                 403 403 503 -
POST   /wallets/keys/{key_address}/unlock                   403 403 503 -
POST   /wallets/keys/{key_address}/lock                     403 403 503 -
POST   /wallets/keys/{key_address}/export                   403 403 409 -

POST   /trades/execute                                      200 404 =   -
GET    /trading-state                                       200 200 =   -
PUT    /trading-state                                       403 403 200 -
GET    /trading-state/loss-limits                           200 200 =   -
PUT    /trading-state/loss-limits                           403 403 200 -

GET    /price-feeds/sol-usd                                 200 200 =   -
GET    /prices/{mint}/candles                               200 200 =   -
GET    /data-sources/status                                 200 200 =   -
GET    /metrics                                             200 200 =   -

POST   /webhooks/test                                       public 200
POST   /webhooks/signals/{token}                            public 201

GET    /webhook-endpoints                                   200 200 =   -
POST   /webhook-endpoints                                   201 201 =   -
GET    /webhook-endpoints/{endpoint}                        200 404 =   -
PUT    /webhook-endpoints/{endpoint}                        200 404 =   -
PATCH  /webhook-endpoints/{endpoint}                        200 404 =   -
DELETE /webhook-endpoints/{endpoint}                        200 404 =   -
POST   /webhook-endpoints/{endpoint}/rotate-secret          200 404 =   -
POST   /webhook-endpoints/{endpoint}/test                   202 404 =   -
GET    /webhook-endpoints/{endpoint}/deliveries             200 404 =   -
GET    /webhook-deliveries/{delivery}                       200 404 =   -
POST   /webhook-deliveries/{delivery}/resend                202 404 =   -

GET    /health                                              public 200
GET    /health/ready                                        public 503
GET    /health/live                                         public 200
"""


@dataclass(frozen=True, slots=True)
class Row:
    """What one method of one route answers to whom."""

    method: str
    path: str
    owner: int
    other: int
    staff: int
    scopes: frozenset[str]
    public: bool = False

    @property
    def name(self) -> str:
        return f"{self.method} {self.path.partition('?')[0]}"


def _read(line: str) -> Row:
    method, path, *cells = line.split()
    if cells[0] == "public":
        status = int(cells[1])
        return Row(method, path, status, status, status, frozenset(), public=True)
    owner, other, staff, *scopes = cells
    opening = frozenset() if scopes == ["-"] else frozenset([*scopes, "full_access"])
    assert opening <= set(SCOPES), line
    return Row(method, path, int(owner), int(other), int(other if staff == "=" else staff), opening)


TABLE = [_read(line) for line in _ROWS.splitlines() if line.strip()]
