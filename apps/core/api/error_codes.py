"""Every error code the API answers with, in a sentence: for the OpenAPI document's examples and docs/api.md.

Codes of wrong fields (`INVALID_TOKEN_ADDRESS`) follow a rule and are not listed; `sentence` knows it. Tests hold this
table against the code and the document.
"""

from __future__ import annotations

from typing import Any

SENTENCES: dict[str, str] = {
    # The request itself.
    "BAD_REQUEST": "The request cannot be served: its host name or headers are not acceptable.",
    "MALFORMED_JSON": "The body is not valid JSON, or is nested too deeply.",
    "VALIDATION_ERROR": "The body breaks the shape of its route; `details.errors` names every field.",
    "CONFIRMATION_REQUIRED": "The request destroys something and needs its confirmation.",
    "NOT_FOUND": "There is no such route, or the method is not served there.",
    "BODY_TOO_SLOW": "The body did not arrive within 30 seconds.",
    "URI_TOO_LONG": "Path and query are longer than 8,192 characters.",
    "BODY_TOO_LARGE": "The body is larger than 1 MB.",
    "UNSUPPORTED_MEDIA_TYPE": "The body must be sent as application/json.",
    "RATE_LIMITED": "Too many requests: wait as long as `Retry-After` says.",
    "IDEMPOTENCY_IN_PROGRESS": "The first request with this Idempotency-Key still runs: ask again shortly.",
    "IDEMPOTENCY_KEY_REUSED": "This Idempotency-Key was used for another request.",
    "INTERNAL_ERROR": "Something broke inside; the log has it under the answer's `x-request-id`.",
    "DESK_STOPPING": "The desk stops before it has an answer: look whether it was done before you ask again.",
    "DATABASE_UNAVAILABLE": "The database does not answer: try again shortly.",
    "DATABASE_BUSY": "Other work holds what this needs in the database: try again shortly.",
    # What a provider of quotes, prices or the chain did.
    "PROVIDER_UNAVAILABLE": "A provider does not answer: try again shortly.",
    "PROVIDER_TIMEOUT": "A provider took too long: try again shortly.",
    "PROVIDER_RATE_LIMITED": "A provider asks to be asked less: try again shortly.",
    "PROVIDER_REJECTED": "A provider refused the request.",
    "PROVIDER_MALFORMED": "A provider answered something that cannot be understood.",
    "PROVIDER_BUDGET_EXHAUSTED": "The calls a provider allows are used up for now: try again shortly.",
    "PROVIDER_BREAKER_OPEN": "A provider failed too often and is left alone for a while.",
    # Who calls, and what they may do.
    "AUTH_HEADER_MISSING": "The route needs an access token, or an API key where it takes one.",
    "AUTH_HEADER_MALFORMED": "The Authorization header must be `Bearer <token>`.",
    "TOKEN_EXPIRED": "The token has expired: refresh it, or sign in again.",
    "TOKEN_INVALID": "The token is not one of this desk, or was changed.",
    "TOKEN_REVOKED": "The token was signed out, or the ticket was used before.",
    "WRONG_TOKEN_TYPE": "A refresh token was sent where an access token belongs, or the other way round.",
    "USER_GONE": "The user of this token does not exist any more.",
    "USER_DEACTIVATED": "The user of this token was deactivated by an operator.",
    "USER_NOT_FOUND": "The user of this token does not exist any more.",
    "API_KEY_INVALID": "The API key is unknown, or was deleted.",
    "API_KEY_EXPIRED": "The API key has expired.",
    "API_KEY_ADDRESS_DENIED": "The API key does not work from the caller's address.",
    "INVALID_CREDENTIALS": "E-mail or password is wrong; it is never said which.",
    "SESSION_ENDED": "The session was signed out, or an older refresh token was used again: sign in anew.",
    "TOTP_REQUIRED": "The password is right; send the code of the second factor as `totpCode` too.",
    "TOTP_INVALID": "The code of the second factor is wrong, too old, or was used before.",
    "TOTP_ALREADY_ON": "A second factor is set up: turn it off first.",
    "TOTP_NOT_SET_UP": "No second factor is set up, or none waits for its first code.",
    "TOTP_SETUP_REQUIRED": "This desk demands a second factor of its operators: set one up in the admin first.",
    "WRONG_PASSWORD": "The password sent along is not yours. It counts like a wrong sign-in.",
    "INVALID_PASSWORD": "The new password breaks the rules: the message says which. Or `password` is missing.",
    "ACCOUNT_LOCKED": "Too many wrong passwords or codes: sign-in is closed until `lockedUntil`.",
    "AUTHORIZATION_ERROR": "You may not do this.",
    "SCOPE_MISSING": "The API key lacks the scope this route needs; `scope` names it.",
    "OPERATORS_ONLY": "Only operators may do this.",
    "AGENT_NOT_YOURS": "The agent belongs to another user.",
    # What is not there.
    "AGENT_NOT_FOUND": "There is no such agent, or it is not yours.",
    "API_KEY_NOT_FOUND": "There is no such API key, or it is not yours.",
    "BALANCE_NOT_FOUND": "There is no such balance, or it is not yours.",
    "POSITION_NOT_FOUND": "The agent has no such position, or it is not open.",
    "SESSION_NOT_FOUND": "There is no such session of yours, or it has ended.",
    "SIGNAL_NOT_FOUND": "There is no such signal, or it is not yours.",
    "SWAP_NOT_FOUND": "There is no such closed trade.",
    "TRANSACTION_NOT_FOUND": "There is no such transaction.",
    "WALLET_NOT_FOUND": "The agent has no such wallet.",
    "WEBHOOK_ENDPOINT_NOT_FOUND": "There is no such webhook endpoint, or it is not yours.",
    "WEBHOOK_DELIVERY_NOT_FOUND": "There is no such delivery, or its endpoint is not yours.",
    # Webhooks.
    "TOO_MANY_WEBHOOK_ENDPOINTS": "You have as many webhook endpoints as a user may have: delete one first.",
    "WEBHOOK_ENDPOINT_DISABLED": "The webhook endpoint is switched off: switch it on first.",
    "WEBHOOK_DELIVERY_PENDING": "An attempt at this delivery is under way: wait for its end.",
    # Books.
    "BALANCE_EXISTS": "The wallet has a balance of this token already: change that one.",
    "BALANCE_HELD": "Part of the balance is reserved for an order under way.",
    "IMMUTABLE_RECORD": "The engine wrote this row: it cannot be changed.",
    "LIVE_ADDRESS": "A simulation wallet has an address of the form sim_ and letters or digits.",
    "SIMULATION_ADDRESS": "A sim_ address is on no chain: it cannot be a live wallet.",
    "SIMULATION_WALLET": "This is a simulation wallet: only a live one can do that.",
    "WALLET_IN_USE": "The address is assigned to another agent: unassign it there first.",
    "WALLET_RELEASED": "The wallet was unassigned meanwhile.",
    "WALLET_BUSY": "The wallet's books changed whenever the chain was asked: try again shortly.",
    "CHAIN_NOT_CONFIGURED": "The desk has no node of the chain to ask: an operator sets one up.",
    "RPC_ERROR": "No node of the chain answered, or the one that did was behind: try again shortly.",
    "KEY_NOT_FOUND": "The signer has no key of this address.",
    "KEY_EXISTS": "The signer has this key already.",
    "KEY_UNREADABLE": "This is no key file of Soldesk, or it is damaged.",
    "KEY_FROM_ENVIRONMENT": "The key is given to the signer by its environment: it has no file and no passphrase.",
    "PASSPHRASE_WEAK": "A passphrase has twelve characters or more, not the same few again and again.",
    "PASSPHRASE_WRONG": "The passphrase does not open the key.",
    "PASSPHRASE_LOCKED": "Too many wrong passphrases for this key: wait as long as the message says.",
    "SIGNER_UNAVAILABLE": "The signer does not answer, or could not do it: an operator looks after it.",
    "LIVE_WALLET": "A live wallet holds what the chain says: nothing is entered by hand.",
    "POSITION_OPEN": "An open position holds these tokens: close it first.",
    # Signals and trading.
    "INVALID_MINT": "The text is not a Solana mint (base58 of 32 bytes).",
    "INVALID_CONFIG": "The configuration breaks a rule; `details` says where.",
    "SIGNAL_DUPLICATE": "The same token, type and strength was signalled within the last minute.",
    "BUY_PENDING": "The live buy has not landed yet; its order goes on to its end.",
    "CLOSE_PENDING": "The sale takes longer; it is under way and will be finished.",
    "CLOSE_CANCELLED": "The close ended without a sale: the position changed meanwhile.",
    "POSITION_CLOSED": "The position was closed meanwhile.",
    "DCA_AFTER_STOP": "The stop this close had joined ended, as more was bought meanwhile: close again if you want to.",
    "EXPORT_TIMEOUT": "The export took too long: ask for a shorter range.",
    "WEBHOOK_NOT_FOUND": "There is no such webhook, or it is switched off.",
    "FIGURE_TOO_LARGE": "A figure, or the balance it leads to, is larger than the books hold.",
    "TOKEN_LIVES": "The write-off this close had joined ended: the token has a price or a buyer again.",
    "SAME_TOKEN": "A swap must be between two different tokens.",
    "TRANSACTION_STAYS": "A transaction stays with its agent and its wallet: delete it and enter another.",
    "TRANSACTION_OF_ANOTHER_AGENT": "The transaction belongs to another agent.",
    "BAD_TICK": "The stop this close had joined ended, as its price was not confirmed: close again if you want to.",
    "EXITS_HALTED": "Trading is halted with its exits: nothing is sold until it is switched on again.",
    "TRADING_HALTED": "Trading is halted: nothing is bought.",
    "TRADING_REDUCING": "Trading only reduces what it holds: nothing is bought.",
    "DAILY_LOSS_REACHED": "Today's losses have reached a limit: nothing is bought until midnight UTC.",
    "MAX_EXPOSURE_REACHED": "The buy would put more at stake than a limit allows.",
    "COOLDOWN_AFTER_STOP": "A stop loss was sold a moment ago: nothing is bought until the cooldown is over.",
    "INVALID_LOSS_LIMIT": "A limit is more than zero, a cooldown from one second to a week.",
    "INVALID_TOKEN_SAFETY": "A percentage lies outside 0 to 100, or a fee outside 0 to 10000 basis points.",
    "POSITIONS_OPEN": "The agent, or the wallet to be replaced, holds open positions: close them first.",
    "ORDERS_OPEN": "An order of the wallet is under way: try again when it is settled.",
    "CONFIG_ERROR": "The agent's configuration cannot be loaded.",
    "WALLET_MISMATCH": "The wallet belongs to another agent.",
    "WALLET_NOT_LOADED": "No key is loaded for the live wallet, or the caller may not use it.",
    "WALLET_NOT_RECONCILED": "The chain holds another amount than the wallet's books: an operator explains it first.",
    "WALLET_RESET": "The wallet was reset meanwhile.",
    "TRADING_MODE_MISMATCH": "The agent trades in another mode than this wallet's.",
    "INSUFFICIENT_BALANCE": "The wallet holds too little.",
    "BELOW_MINIMUM_THRESHOLD": "The wallet holds less SOL than the agent's minimum balance.",
    "POSITION_EXISTS": "The wallet already holds an open position in this token.",
    "MAX_POSITIONS_EXCEEDED": "The agent holds as many open positions as it may.",
    "INVALID_POSITION_SIZE": "The size of the buy must be at least one lamport.",
    "POSITION_SIZE_EXCEEDS_BALANCE": "The size of the buy is more than the wallet holds.",
    "VIOLATES_MINIMUM_BALANCE": "The buy would leave less than the minimum balance.",
    "EXCEEDS_MAX_PURCHASE": "The size of the buy is more than the largest buy allowed.",
    "POSITION_CALCULATION_ERROR": "No size could be worked out from the balance and the configuration.",
    "PRICE_IMPACT_TOO_HIGH": "The buy would move the price against itself by more than allowed.",
    "TOKEN_NOT_TRADABLE": "Nobody quotes this token.",
    "EXECUTION_FAILED": "The trade could not be carried out; nothing was booked.",
}


def sentence(code: str) -> str:
    """Return what a code means.

    >>> sentence("INVALID_TOKEN_ADDRESS")
    '`tokenAddress` is missing, malformed or out of its range.'
    """
    if names_a_field(code):
        return f"`{field_of(code)}` is missing, malformed or out of its range."
    return SENTENCES.get(code) or f"{code.replace('_', ' ').capitalize()}."


def names_a_field(code: str) -> bool:
    """Tell whether a code only says which field is wrong."""
    return code not in SENTENCES and code.startswith("INVALID_")


def field_of(code: str) -> str:
    """Return the field an INVALID_ code names.

    >>> field_of("INVALID_AGENT_ID")
    'agentId'
    """
    first, *rest = code.removeprefix("INVALID_").lower().split("_")
    return first + "".join(word.title() for word in rest)


def example(code: str) -> dict[str, Any]:
    """Return the body of an error as an answer carries it."""
    if code == "VALIDATION_ERROR":
        wrong = [{"field": "name", "message": "must have at least 3 characters"}]
        return {"success": False, "error": "Validation failed", "code": code, "details": {"errors": wrong}}
    if code in _OF_MIDDLEWARE:
        return {"success": False, "error": sentence(code), "code": code, "details": {}}
    if names_a_field(code):
        field, message = field_of(code), "is required"
        wrong = [{"field": field, "message": message}]
        return {"error": f"{field}: {message}", "code": code, "details": {"errors": wrong}, "field": field}
    return {"error": sentence(code), "code": code, **_EXTRAS.get(code, {})}


_OF_MIDDLEWARE = frozenset({"MALFORMED_JSON", "BODY_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE", "NOT_FOUND"})
_EXTRAS: dict[str, dict[str, Any]] = {
    "RATE_LIMITED": {"retryAfter": 42},
    "ACCOUNT_LOCKED": {"lockedUntil": "2026-03-01T14:18:07.412Z"},
    "SCOPE_MISSING": {"scope": "signals:create"},
    "INVALID_CONFIG": {"details": ["stopLoss.defaultPercentage: must be at most 0"]},
}
