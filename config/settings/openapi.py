"""The OpenAPI document, its pages, and what it says about the whole API."""

_DESCRIPTION = """
The API of a self-hosted trading desk for Solana tokens: agents trade the signals you post, positions are watched and
closed by rule, and every movement is in the books.

**Start** with `POST /auth/login` and send its `accessToken` as `Authorization: Bearer …`, or make an API key for a
program. The ten first things to do, with curl: docs/api.md in the repository. The live feed is a WebSocket at `/ws`
(docs/live-feed.md).

* **Errors** are `{"error": "a sentence", "code": "A_STABLE_CODE"}`; programs decide by status and `code`. Every
  operation lists its codes. What breaks inside is 500 `INTERNAL_ERROR`, and a bug.
* **Numbers**: JSON numbers carry every digit they have; amounts in books are decimal strings. Both are taken on input,
  unrounded; fees in SOL are kept to the lamport. Figures in US dollars are null while SOL/USD is unknown.
* **Times** are ISO 8601 in UTC with milliseconds.
* **Unknown fields** of a body are dropped; new fields may appear in answers.
* **Every answer** carries `x-request-id`: the request's own, else a new one.
"""

_TAGS = {
    "auth": "Signing in and out, sessions, second factors, tickets for the WebSocket.",
    "agents": "Agents, how they trade, and what they made.",
    "agent-balances": "What wallets hold. Balances of simulation wallets can be entered by hand.",
    "agent-positions": "Open positions: what they are worth, their story, closing them by hand.",
    "agent-transactions": "Every movement of a wallet: deposits, swaps, burns.",
    "agent-historical-swaps": "Closed trades with their profit.",
    "trading-signals": "Signals: what your agents trade on.",
    "wallets": "Wallets of agents: assigned, reset, funded.",
    "trades": "Buying by hand.",
    "trading-state": "The switch: trading active, only reducing, or halted.",
    "api-keys": "Keys for programs, with scopes.",
    "prices": "Prices of tokens over time.",
    "price-feeds": "SOL in US dollars.",
    "data-sources": "Where prices and quotes come from.",
    "webhooks": "Being told of events, and signals that come in as webhooks.",
    "health": "Whether the desk works. Public.",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Soldesk API",
    "DESCRIPTION": _DESCRIPTION.strip(),
    "VERSION": "1.0.0",
    "OAS_VERSION": "3.1.1",
    "CONTACT": {"name": "The operator of this desk", "url": "/admin/"},
    "LICENSE": {"name": "As stated in the repository"},
    "SERVERS": [
        {"url": "/", "description": "The desk this document came from"},
        {
            "url": "http://localhost:{port}",
            "description": "A desk on this machine",
            "variables": {"port": {"default": "8000", "description": "PORT of the desk"}},
        },
    ],
    "TAGS": [{"name": name, "description": text} for name, text in _TAGS.items()],
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["rest_framework.permissions.AllowAny"],
    "SERVE_AUTHENTICATION": [],
    "SCHEMA_PATH_PREFIX": r"/api/v1",
    "COMPONENT_SPLIT_REQUEST": True,
    "COMPONENT_SPLIT_PATCH": False,
    "ENUM_GENERATE_CHOICE_DESCRIPTION": False,
    # The same words under several names of fields.
    "ENUM_NAME_OVERRIDES": {"TradingModeEnum": ["simulation", "live"]},
    "POSTPROCESSING_HOOKS": ["apps.core.api.document.complete"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SWAGGER_UI_SETTINGS": {
        "deepLinking": True,
        "persistAuthorization": True,
        "displayRequestDuration": True,
        "docExpansion": "none",
        "filter": True,
        "tryItOutEnabled": True,
        "defaultModelsExpandDepth": 0,
    },
    "REDOC_UI_SETTINGS": {
        "hideDownloadButton": True,
        "pathInMiddlePanel": True,
        "sortRequiredPropsFirst": True,
        "theme": {
            "colors": {"primary": {"main": "#4f46e5"}},
            "typography": {
                "fontFamily": "system-ui, sans-serif",
                "headings": {"fontFamily": "system-ui, sans-serif"},
                "code": {"fontFamily": "ui-monospace, monospace"},
            },
        },
    },
}
