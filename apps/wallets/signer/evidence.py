"""What a transaction does, judged from its simulation on the signer's own node. Pure: answers in, a verdict out.

Balances before and after come from the one simulation, so that nothing else that happens to the wallet meanwhile can
hide what this transaction takes.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from solders.pubkey import Pubkey

from apps.wallets.signer.nodes import ChainAccount, read_account
from apps.wallets.signer.policy import SYSTEM, TOKEN, TOKEN_2022, Outline, SwapTerms
from apps.wallets.signer.reading import Reading
from apps.wallets.signer.reasons import Reason, Refused

_TOKEN_ACCOUNT_BYTES, _KIND_AT, _IS_TOKEN_ACCOUNT = 165, 165, 2
_OWNER, _DELEGATE, _CLOSE_AUTHORITY = slice(32, 64), slice(72, 108), slice(129, 165)
_NOBODY = bytes(4)


@dataclass(frozen=True, slots=True)
class Effect:
    """What the wallet and its own accounts of the trade lose and gain; `sol_out` is negative for what comes in."""

    sol_out: int
    tokens_in: int
    fee_lamports: int


def watched(reading: Reading, outline: Outline) -> list[str]:
    """Return the accounts whose state after the simulation is asked for, in the order `judge` expects them."""
    return [str(reading.payer), *map(str, outline.own)]


def check_programs(
    keys: Sequence[Pubkey], accounts: Sequence[ChainAccount | None], allowed: Collection[Pubkey]
) -> None:
    """Want every program that the transaction could reach to be a known one.

    Programs a transaction does not name cannot be called in it, whatever happens between now and its block.

    Raises:
        Refused: PROGRAM_NOT_ALLOWED, SIMULATION_INCOMPLETE.
    """
    if len(accounts) != len(keys):
        raise Refused(Reason.SIMULATION_INCOMPLETE, "The node left accounts of the transaction out.")
    for key, account in zip(keys, accounts, strict=True):
        if account is not None and account.executable and key not in allowed:
            raise Refused(Reason.PROGRAM_NOT_ALLOWED, f"The swap would go through a program that is not known: {key}.")


def judge(value: Mapping[str, Any], reading: Reading, outline: Outline) -> Effect:
    """Read a simulation, and want nothing of the wallet's to be touched but the trade's own accounts.

    Raises:
        Refused: BLOCKHASH_UNKNOWN, SIMULATION_FAILED, SIMULATION_INCOMPLETE, OWN_ACCOUNT_AT_RISK, AUTHORITY_CHANGED.
    """
    error = value.get("err")
    if error == "BlockhashNotFound":
        raise Refused(Reason.BLOCKHASH_UNKNOWN, "The signer's node does not know the transaction's blockhash.")
    if error is not None:
        raise Refused(Reason.SIMULATION_FAILED, f"The transaction fails: {json.dumps(error)[:200]}")
    wallet = str(reading.payer)
    own = {str(key) for key in outline.own}
    places = {str(key): place for place, key in enumerate(reading.keys)}
    before, after = value.get("preBalances"), value.get("postBalances")
    tokens_before, tokens_after = value.get("preTokenBalances"), value.get("postTokenBalances")
    if not all(isinstance(told, list) for told in (before, after, tokens_before, tokens_after)):
        raise Refused(Reason.SIMULATION_INCOMPLETE, "The node does not tell balances around a simulation.")
    if len(before) != len(reading.keys) or len(after) != len(reading.keys):  # type: ignore[arg-type]  # lists
        raise Refused(Reason.SIMULATION_INCOMPLETE, "The node told the balances of other accounts.")
    for told in (*tokens_before, *tokens_after):  # type: ignore[misc]  # lists
        key = str(reading.keys[told["accountIndex"]])
        if told.get("owner") == wallet and key not in own:
            raise Refused(Reason.OWN_ACCOUNT_AT_RISK, f"The swap names another of the wallet's accounts: {key}.")
    _check_states(value, reading, outline)
    touched = [places[key] for key in (wallet, *own) if key in places]
    place = places.get(str(outline.token_account))
    return Effect(
        sol_out=sum(before[at] - after[at] for at in touched),  # type: ignore[index]  # lists
        tokens_in=_amount(tokens_after, place) - _amount(tokens_before, place),
        fee_lamports=_fee(value.get("fee"), outline.fee_lamports),
    )


def check_swap(effect: Effect, terms: SwapTerms, *, max_fee_lamports: int) -> None:
    """Want the promised minimum to come in within the transaction, and nothing to go out but the price and fees.

    Lamports are counted over the wallet and its own accounts together, so that a deposit in one of them is no loss.

    Raises:
        Refused: TOO_LITTLE_IN, TOO_MUCH_OUT.
    """
    if terms.buys:
        came, least = effect.tokens_in, terms.minimum_out
        gone, most = effect.sol_out, terms.in_amount + max_fee_lamports
    else:
        came, least = effect.fee_lamports - effect.sol_out, terms.minimum_out
        gone, most = -effect.tokens_in, terms.in_amount
    if came < least:
        raise Refused(Reason.TOO_LITTLE_IN, f"{came} base units come in, {least} were promised.")
    if gone > most:
        raise Refused(Reason.TOO_MUCH_OUT, f"{gone} base units go out, {most} may.")


def check_reclaim(effect: Effect) -> None:
    """Want closing an account to cost its fee, and no token.

    Raises:
        Refused: NOT_EMPTY, TOO_MUCH_OUT.
    """
    if effect.tokens_in != 0:
        raise Refused(Reason.NOT_EMPTY, "The account that would be closed is not empty.")
    if effect.sol_out > effect.fee_lamports:
        raise Refused(Reason.TOO_MUCH_OUT, f"{effect.sol_out} lamports go out, the fee is {effect.fee_lamports}.")


def _check_states(value: Mapping[str, Any], reading: Reading, outline: Outline) -> None:
    told = value.get("accounts")
    if not isinstance(told, list) or len(told) != 1 + len(outline.own) or told[0] is None:
        raise Refused(Reason.SIMULATION_INCOMPLETE, "The node does not tell the wallet's accounts after a simulation.")
    payer = read_account(told[0])
    if payer is None or payer.owner != str(SYSTEM) or payer.space != 0:
        raise Refused(Reason.AUTHORITY_CHANGED, "The wallet itself would belong to a program afterwards.")
    for state in told[1:]:
        account = read_account(state)
        if account is None or (account.lamports == 0 and not account.data):
            continue  # closed, or never opened: its lamports are counted with the wallet's
        _check_token_account(account, bytes(reading.payer))


def _check_token_account(account: ChainAccount, wallet: bytes) -> None:
    data = account.data
    if account.owner not in (str(TOKEN), str(TOKEN_2022)) or len(data) < _TOKEN_ACCOUNT_BYTES:
        raise Refused(Reason.AUTHORITY_CHANGED, "A token account of the wallet would be none afterwards.")
    if len(data) > _KIND_AT and data[_KIND_AT] != _IS_TOKEN_ACCOUNT:
        raise Refused(Reason.AUTHORITY_CHANGED, "A token account of the wallet would be none afterwards.")
    if data[_OWNER] != wallet:
        raise Refused(Reason.AUTHORITY_CHANGED, "A token account of the wallet would belong to somebody else.")
    if data[_DELEGATE][:4] != _NOBODY:
        raise Refused(Reason.AUTHORITY_CHANGED, "Somebody else may spend from a token account of the wallet.")
    if data[_CLOSE_AUTHORITY][:4] != _NOBODY:
        raise Refused(Reason.AUTHORITY_CHANGED, "Somebody else may close a token account of the wallet.")


def _fee(told: Any, reckoned: int) -> int:
    """Return the fee the node told, but never more than the instructions say: it is added to what came in."""
    return min(told, reckoned) if isinstance(told, int) else reckoned


def _amount(told: Any, place: int | None) -> int:
    return sum(int(each["uiTokenAmount"]["amount"]) for each in told if each["accountIndex"] == place)
