"""The Postman collection (format v2.1, which Insomnia reads too), made from the OpenAPI document. Pure.

One folder per tag, one request per operation, bodies and parameters from the document's examples. Ids the collection
has seen are kept in its variables: sign in, make an agent, and the rest can be sent as it stands.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from typing import Any
from uuid import NAMESPACE_URL, uuid5

Node = dict[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")
SCHEMA = "https://schema.getpostman.com/json/collection/v2.1.0/collection.json"
_JSON = "application/json"

#: What the collection remembers, and where it starts.
VARIABLES: dict[str, str] = {
    "baseUrl": "http://localhost:8000",
    "email": "admin@soldesk.local",
    "password": "soldesk-demo",
    "accessToken": "",
    "refreshToken": "",
    "apiKey": "",
    "agentId": "",
    "walletAddress": "",
    "signalId": "",
    "positionId": "",
    "keyId": "",
    "mint": "DezXAZ8z7PnrnRJjz3wXBoRgixCa6xjnB7YaB1pPB263",
    "balanceId": "",
    "transactionId": "",
    "tradeId": "",
    "sessionId": "",
    "endpointId": "",
    "deliveryId": "",
    "webhookToken": "",
}
#: Scripts that run after an answer, by operation: they keep what later requests need.
_KEPT: dict[str, dict[str, str]] = {
    "login": {"accessToken": "accessToken", "refreshToken": "refreshToken"},
    "refresh": {"accessToken": "accessToken", "refreshToken": "refreshToken"},
    "create_agent": {"agentId": "id"},
    "list_agents": {"agentId": "[0].id"},
    "list_wallets": {"walletAddress": "agentWallets[0].walletAddress"},
    "create_signal": {"signalId": "id"},
    "list_signals": {"signalId": "[0].id", "mint": "[0].tokenAddress"},
    "list_positions": {"positionId": "[0].id"},
    "execute_trade": {"positionId": "positionId"},
    "create_api_key": {"apiKey": "key", "keyId": "id"},
    "list_api_keys": {"keyId": "items[0].id"},
    "create_balance": {"balanceId": "id"},
    "list_balances": {"balanceId": "[0].id"},
    "create_transaction": {"transactionId": "id"},
    "list_transactions": {"transactionId": "[0].id"},
    "create_swap": {"tradeId": "id"},
    "list_swaps": {"tradeId": "[0].id"},
    "list_sessions": {"sessionId": "[0].id"},
    "create_webhook_endpoint": {"endpointId": "id"},
    "list_webhook_endpoints": {"endpointId": "[0].id"},
    "list_webhook_deliveries": {"deliveryId": "[0].id"},
}
#: What fields of bodies and parts of paths are called among the variables, where they are.
_OF_BODIES = {name: name for name in ("agentId", "walletAddress", "email", "password", "refreshToken")} | {
    "tokenAddress": "mint"
}
#: What may be left out of a body, and would name a row that no desk has.
_LEFT_OUT = {"signalId", "purchaseTransactionId", "saleTransactionId"}
_OF_PATHS = {"address": "walletAddress", "token": "webhookToken"}


def collection(document: Node) -> Node:
    """Return the collection of a document."""
    document = json.loads(json.dumps(document, default=_plain))
    folders: dict[str, Node] = {
        tag["name"]: {"name": tag["name"], "description": tag["description"], "item": []} for tag in document["tags"]
    }
    for path, item in document["paths"].items():
        for method, operation in item.items():
            if method in METHODS:
                folders[operation["tags"][0]]["item"].append(_request(document, path, method, operation))
    return {
        "info": {
            "_postman_id": _id("collection"),
            "name": document["info"]["title"],
            "description": document["info"]["description"],
            "schema": SCHEMA,
        },
        "auth": {"type": "bearer", "bearer": [{"key": "token", "value": "{{accessToken}}", "type": "string"}]},
        "variable": [{"key": name, "value": value, "type": "string"} for name, value in VARIABLES.items()],
        "item": [folder for folder in folders.values() if folder["item"]],
    }


def _request(document: Node, path: str, method: str, operation: Node) -> Node:
    request: Node = {
        "method": method.upper(),
        "description": operation["description"],
        "header": _headers(document, operation),
        "url": _url(path, operation),
    }
    body = operation.get("requestBody", {}).get("content", {}).get(_JSON)
    if body is not None:
        text = json.dumps(_with_variables(_example(body)), indent=2, ensure_ascii=False)
        request["body"] = {"mode": "raw", "raw": text, "options": {"raw": {"language": "json"}}}
    if not operation.get("security"):
        request["auth"] = {"type": "noauth"}
    made: Node = {"id": _id(operation["operationId"]), "name": operation["summary"], "request": request, "response": []}
    script = _script(operation)
    if script:
        made["event"] = [{"listen": "test", "script": {"type": "text/javascript", "exec": script}}]
    return made


def _headers(document: Node, operation: Node) -> list[Node]:
    headers: list[Node] = []
    if _JSON in operation.get("requestBody", {}).get("content", {}):
        headers.append({"key": "Content-Type", "value": _JSON})
    if any("apiKey" in requirement for requirement in operation.get("security", ())):
        scheme = document["components"]["securitySchemes"]["apiKey"]
        headers.append({"key": scheme["name"], "value": "{{apiKey}}", "disabled": True, "description": "Or a key."})
    for parameter in operation.get("parameters", ()):
        if parameter["in"] == "header":
            headers.append(
                {
                    "key": parameter["name"],
                    "value": "{{$guid}}",
                    "disabled": True,
                    "description": parameter["description"],
                }
            )
    return headers


def _url(path: str, operation: Node) -> Node:
    parameters = operation.get("parameters", ())
    parts = [re.sub(r"^\{(\w+)\}$", r":\1", part) for part in path.strip("/").split("/")]
    query = [
        {
            "key": parameter["name"],
            "value": _parameter_value(parameter),
            "description": parameter["description"],
            "disabled": not parameter.get("required", False),
        }
        for parameter in parameters
        if parameter["in"] == "query"
    ]
    variables = [
        {"key": parameter["name"], "value": _parameter_value(parameter), "description": parameter["description"]}
        for parameter in parameters
        if parameter["in"] == "path"
    ]
    sent = "&".join(f"{each['key']}={each['value']}" for each in query if not each["disabled"])
    url: Node = {"raw": "{{baseUrl}}/" + "/".join(parts) + (f"?{sent}" if sent else ""), "host": ["{{baseUrl}}"]}
    return {
        **url,
        "path": parts,
        **({"query": query} if query else {}),
        **({"variable": variables} if variables else {}),
    }


def _parameter_value(parameter: Node) -> str:
    name = _OF_PATHS.get(parameter["name"], parameter["name"]) if parameter["in"] == "path" else parameter["name"]
    if name in VARIABLES:
        return "{{" + name + "}}"
    value = parameter.get("example", "")
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _example(content: Node) -> Any:
    if "example" in content:
        return content["example"]
    return next(iter(content["examples"].values()))["value"]


def _with_variables(body: Any) -> Any:
    if not isinstance(body, dict):
        return body
    filled = {name: "{{" + _OF_BODIES[name] + "}}" if name in _OF_BODIES else value for name, value in body.items()}
    if "agentIds" in filled:
        filled["agentIds"] = ["{{agentId}}"]
    return {name: value for name, value in filled.items() if name not in _LEFT_OUT}


def _script(operation: Node) -> list[str]:
    kept = _KEPT.get(operation["operationId"])
    if kept is None:
        return []
    lines = ["if (pm.response.code < 300) {", "  const answer = pm.response.json();"]
    for variable, where in kept.items():
        read = "answer" + "".join(f"?.{part}" for part in where.replace("[", ".[").strip(".").split("."))
        lines.append(f"  if ({read}) pm.collectionVariables.set({json.dumps(variable)}, String({read}));")
    return [*lines, "}"]


def _plain(value: Any) -> Any:
    """Return what JSON has for a value of an example: exact numbers are only looked at here."""
    return float(value) if isinstance(value, Decimal) else str(value)


def _id(name: str) -> str:
    """Return an id that stays the same, so that importing again updates."""
    return str(uuid5(NAMESPACE_URL, f"https://soldesk.invalid/postman/{name}"))
