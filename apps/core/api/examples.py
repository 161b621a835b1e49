"""Real-looking values for the OpenAPI document's examples, by the name of their field.

`of_schema` builds a whole body from a schema; a field that follows no rule has its own line in `VALUES`. Figures are
written as text and become numbers or strings as their schema wants.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

Schema = dict[str, Any]

MINT = "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263"
SOL = "So11111111111111111111111111111111111111112"
WALLET = "sim_8hZ5Q3vX1nKcLwYtR6uFjBmDpAeGs2T4N7"
LIVE_WALLET = "9WzDXwBbmkg8ZTbNMqUxvQRAyrZzDsGYdLVL9zYtAWWM"
KEY = "nex_Q2hhbmdlTWVOb3dQbGVhc2VPck5ldmVy"
TOKEN = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJ0eXBlIjoiYWNjZXNzIn0.b3JkZXJseQ"  # noqa: S105 - nobody's
SIGNATURE = "5VERv8NMvzbJMEkV8xnrLkEaWRtSz9CosKDYjCJjBRnbJLgp8uirBgmQpjKhoR4tjF3ZpRzrFmBV6UjKdiSZkQUW"
MOMENT = "2026-03-01T14:03:07.412Z"
_IDS = "6f1f0d1e-9c1b-4a7e-8f60-{:012d}"

#: A field's value, by its name or by its component and name.
VALUES: dict[str, Any] = {
    "url": "https://hooks.example.com/soldesk",
    "allowedIps": ["203.0.113.7", "10.0.0.0/8"],
    "email": "ann@example.com",
    "password": "correct horse battery staple",
    "accessToken": TOKEN,
    "refreshToken": TOKEN,
    "ticket": "tk_4Jw9cQ7mVx2Lr8Nz",
    "expiresIn": "30",
    "key": KEY,
    "prefix": "nex_Q2hh",
    "scopes": ["signals", "positions"],
    "success": True,
    "message": "Done.",
    "deleted": "3",
    "duration": "84",
    "confirm": True,
    "name": "Momentum scout",
    "ApiKey.name": "My scanner",
    "NewApiKey.name": "My scanner",
    "ApiKeyRequest.name": "My scanner",
    "tokenAddress": MINT,
    "mint": MINT,
    "tokenSymbol": "BONK",
    "symbol": "BONK",
    "walletAddress": WALLET,
    "address": WALLET,
    "destinationAddress": LIVE_WALLET,
    "inputMint": SOL,
    "inputSymbol": "SOL",
    "inputAmount": "1.06",
    "inputPrice": "151.2",
    "outputMint": MINT,
    "outputSymbol": "BONK",
    "outputAmount": "1250",
    "outputPrice": "0.12822",
    "transactionHash": SIGNATURE,
    "hash": SIGNATURE,
    "routes": [{"swapInfo": {"label": "Orca V2"}, "percent": 100}],
    "transactionValueUsd": "160.272",
    "slippage": "0.5",
    "priceImpact": "0.0012",
    "fees": "0.0012",
    "protocolFeeSol": "0.001",
    "networkFeeSol": "0.0002",
    "balance": "8.94",
    "priceSol": "0.000848",
    "priceUsd": "0.12822",
    "price": "151.20000000",
    "signalType": "Momentum",
    "signalStrength": "4",
    "activationReason": "Volume tripled within five minutes",
    "source": "my-scanner",
    "SolUsd.source": "pyth",
    "signalId": "4711",
    "Signal.id": "4711",
    "intentId": "815",
    "amount": "1250",
    "purchasePrice": "0.000848",
    "salePrice": "0.00115",
    "changePercent": "35.61",
    "profitLossSol": "0.3763",
    "profitLossUsd": "56.9",
    "closeReason": "stop_loss",
    "reason": "manual",
    "TradingState.reason": "Maintenance of the node",
    "TradingStateRequest.reason": "Maintenance of the node",
    "state": "reducing",
    "purchaseAmount": "1250",
    "positionSize": "0.5",
    "stopLossPercentage": "-32",
    "percentage": "-32",
    "peakPrice": "0.00124",
    "timeframe": "24h",
    "interval": "1m",
    "limit": "100",
    "offset": "0",
    "cursor": "WyIyMDI2LTAzLTAxVDE0OjAzOjA3LjQxMjAwMCswMDowMCIsIjQ3MTEiXQ",
    "timezone": "Europe/Berlin",
    "currency": "SOL",
    "solPrice": "151.2",
    "Idempotency-Key": "order-2026-03-01-0001",
    "open": "0.00083",
    "high": "0.00124",
    "low": "0.00081",
    "close": "0.00115",
    "ticks": "58",
    "minProfitLossUsd": "-25",
    "maxProfitLossUsd": "100",
    "portfolioBalanceSol": "12.406",
    "totalProfitLossSol": "2.406",
    "realizedProfitLossSol": "1.981",
    "unrealizedProfitLossSol": "0.425",
    "averageReturn": "8.43",
    "winRate": "61.5",
    "totalClosedTrades": "26",
    "totalOpenPositions": "3",
    "solBalance": "8.94",
    "positionsValueSol": "3.466",
    "unrealizedPnLSol": "0.425",
    "priceNative": "0.000848",
    "valueNative": "1.4375",
    "valueUsd": "217.35",
    "native": "0.3763",
    "usd": "56.9",
    "percent": "35.5",
    "priceChangePercent": "35.61",
    "totalInvestedSol": "1.06",
    "soldPercent": "25",
    "remainingPercent": "75",
    "remainingAmount": "937.5",
    "originalAmount": "1250",
    "StoryEvent.id": "intent-4711",
    "StoryEvent.kind": "sold",
    "StoryEvent.title": "Stop loss: sold 1,250, profit 0.3763 SOL",
    "StoryEvent.text": (
        "Peak 0.00124 (+46.2\u202f%) set the stop at +36.2\u202f%; price fell to 0.00115 at 14:03:07 UTC;"
        " sold 1,250 for 1.4363 SOL, profit 0.3763 SOL after 0.0012 SOL fees."
    ),
    "StoryEvent.priceSol": "0.00115",
    "StoryEvent.priceSource": "jupiter",
    "StoryEvent.priceAgeSeconds": "0.412",
    "StoryEvent.rule": "stop_loss",
    "StoryEvent.facts": {"peakPriceSol": "0.00124", "stopPercent": "36.2", "netSol": "1.4363", "profitSol": "0.3763"},
    "StoryEvent.count": "1",
    "StoryPosition.closeReason": "stop_loss",
    "latency": "0.42",
    "uptime": "86400",
    "status": "healthy",
}

#: Optional fields that an example request leaves out: sent as they stand they would bar the caller.
LEFT_OUT = frozenset({"LoginRequest.totpCode", "ApiKeyRequest.allowedIps", "ApiKeyRequest.expiresAt"})

_FITS: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "array": (list,),
    "object": (dict,),
    "string": (str,),
}


def of_schema(schema: Schema, components: Mapping[str, Schema], name: str = "") -> Any:
    """Return an example of a schema; `name` is the field's, or the component's at the top."""
    return _of(schema, components, name, "")


def of_parameter(parameter: Schema, components: Mapping[str, Schema]) -> Any:
    return of_schema(parameter["schema"], components, parameter["name"])


def _of(schema: Schema, components: Mapping[str, Schema], name: str, holder: str) -> Any:
    if "$ref" in schema:
        target = schema["$ref"].rpartition("/")[2]
        return _of(components[target], components, name, target)
    if "example" in schema or "examples" in schema:
        return schema["example"] if "example" in schema else schema["examples"][0]
    for known in (f"{holder}.{name}", name):
        if known in VALUES:
            fitting = _fitting(VALUES[known], schema)
            if fitting is not None:
                return fitting
    for choice in ("oneOf", "anyOf"):
        options = [option for option in schema.get(choice, ()) if option.get("type") != "null"]
        if options and "properties" not in schema:
            return _of(options[0], components, name, holder)
    if "allOf" in schema:
        return _merged(schema["allOf"], components, name, holder)
    return _of_type(schema, components, name, holder)


def _merged(parts: list[Schema], components: Mapping[str, Schema], name: str, holder: str) -> Any:
    made = [_of(part, components, name, holder) for part in parts]
    if all(isinstance(each, dict) for each in made):
        return {key: value for each in made for key, value in each.items()}
    return made[0]


def _of_type(schema: Schema, components: Mapping[str, Schema], name: str, holder: str) -> Any:
    if "const" in schema:
        return schema["const"]
    if "enum" in schema:
        return schema["default"] if "default" in schema else schema["enum"][0]
    kind = _kind(schema)
    if kind == "object":
        if "properties" not in schema:
            return {"any": "JSON"}
        return {
            key: _of(inner, components, key, holder if holder else name)
            for key, inner in schema.get("properties", {}).items()
            if f"{holder or name}.{key}" not in LEFT_OUT
        }
    if kind == "array":
        return [_of(schema.get("items", {}), components, _singular(name), "")]
    if kind == "string":
        return _text(schema, name)
    if "default" in schema and schema["default"] is not None:
        return schema["default"]
    if kind in ("integer", "number"):
        return _figure(schema)
    return True if kind == "boolean" else {"any": "JSON"}


def _text(schema: Schema, name: str) -> str:
    if schema.get("format") == "uuid":
        return _IDS.format(sum(map(ord, name)) or 1)
    if schema.get("format") == "date-time":
        return MOMENT
    if schema.get("format") == "decimal" or "\\d{1," in schema.get("pattern", ""):
        return "1.5"
    if schema.get("default"):
        return str(schema["default"])
    words = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name).lower() or "text"
    return words[: schema.get("maxLength", len(words))]


def _figure(schema: Schema) -> int | float:
    lowest = max(schema.get("minimum", 0), schema.get("exclusiveMinimum", -1) + 1)
    highest = min(schema.get("maximum", lowest + 1), schema.get("exclusiveMaximum", lowest + 2) - 1)
    return min(lowest + 1, highest)


def _fitting(value: Any, schema: Schema) -> Any:
    """Return a value of the table as the schema wants it, or None if it is of another kind or no allowed word."""
    kind = _kind(schema)
    if "enum" in schema and value not in schema["enum"]:
        return None
    options = {_kind(option) for option in schema.get("oneOf", ())}
    if options and not options & {"integer", "number"}:
        return None
    if options or kind in ("integer", "number"):
        if not isinstance(value, str) or not re.fullmatch(r"-?\d+(\.\d+)?", value):
            return None
        return float(value) if "." in value else int(value)
    if kind == "array" and isinstance(value, list):
        allowed = schema.get("items", {}).get("enum")
        return value if allowed is None or set(value) <= set(allowed) else None
    if kind == "string" and (schema.get("format") in ("uuid", "date-time")):
        return None
    if kind is None and not {"oneOf", "anyOf", "allOf", "$ref"} & set(schema):
        return value
    return value if isinstance(value, _FITS.get(kind or "", ())) else None


def _kind(schema: Schema) -> str | None:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((each for each in kind if each != "null"), None)
    if kind is None and "properties" in schema:
        return "object"
    return kind


def _singular(name: str) -> str:
    return name[:-1] if name.endswith("s") else name
