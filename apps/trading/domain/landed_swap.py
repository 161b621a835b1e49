"""What a transaction on chain did to one wallet: the swap, each fee, the rent; read from its balances, never a quote.

Integers only. `read_swap` takes a getTransaction document in encoding `json` or `jsonParsed`, of any version. It books
nothing: `trading.services.live.settling` does.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from apps.core import base58
from apps.core.money import SOL_MINT

BUY = "buy"
SELL = "sell"
LAMPORTS_PER_SIGNATURE = 5_000
#: Where block engines take their tips: what goes there from the wallet is a tip and no part of the swap.
TIP_ACCOUNTS = frozenset(
    (
        "96gYZGLnJYVFmbjzopPSU6QiEV5fGqZNyN9nmNhvrZU5",
        "HFqU5x63VTqvQss8hp11i4wVV8bD44PvwucfZ2bU7gRe",
        "Cw8CFyM9FkoMi7K7Crf6HNQqf4uEMzpKw6QNghXLvLkY",
        "ADaUMid9yfUytqMBgopwjb2DTLSokTSzL1zt6iGPaS49",
        "DfXygSm4jCyNCybVYYK6DwvWqjKee8pbDmJGcLWNDXjh",
        "ADuUkR4vqLUMWXxW9gh6D6L8pMSawimctcNZ5pGwDcEt",
        "DttWaMuVvTiduZRnguLF7jNxTgiMBZ1hyAumKUiL2KRL",
        "3AVi9Tg9Uo68tJfuvoKvqKNWKkC5wPdSSdeBnizKZ6jT",
    )
)
_SYSTEM_PROGRAM = "11111111111111111111111111111111"
_JUPITER_PROGRAM = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
_TRANSFER = (2).to_bytes(4, "little")
_PLATFORM_FEE_ACCOUNT = 6


class UnreadableSwap(ValueError):
    """The transaction landed, but what it did is not the swap that was asked for. It wants a person's look.

    `code`: NO_BALANCES (ask again), NOT_OF_THIS_WALLET, NOT_THE_TOKEN, NOT_THE_SOL.
    """

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class LandedSwap:
    """One landed transaction as the wallet's books see it. All amounts are lamports or the token's base units.

    `swap_lamports` is the SOL side before fees and rent. `protocol_fee_lamports` is the platform's share where it was
    taken in SOL: on a buy it is inside `swap_lamports`, on a sale it was taken before it. `rent_lamports` is a deposit:
    above zero it is locked in accounts of the wallet, below zero it came back. `wallet_lamports_delta` is the change of
    the wallet's own and its wrapped SOL together; `wallet_token_delta` that of the token. `error` is the chain's word
    for why it failed: then only the fees counted.

    A buy: delta = -(swap + network + priority + tip + rent). A sale: delta = swap - network - priority - tip - rent.
    """

    signature: str
    slot: int
    block_time: int | None
    error: str | None
    side: str
    mint: str
    token_base_units: int
    swap_lamports: int
    network_fee_lamports: int
    priority_fee_lamports: int
    tip_lamports: int
    protocol_fee_lamports: int
    rent_lamports: int
    wallet_lamports_delta: int
    wallet_token_delta: int

    @property
    def fee_lamports(self) -> int:
        """What the wallet paid beside the swap; rent is a deposit, and the protocol's fee is in the swap's amounts."""
        return self.network_fee_lamports + self.priority_fee_lamports + self.tip_lamports

    def as_document(self) -> dict[str, Any]:
        """The same as JSON for the order's row."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> LandedSwap:
        """What `as_document` wrote."""
        return cls(**document)


def read_swap(
    document: Mapping[str, Any],
    *,
    wallet: str,
    mint: str,
    side: str,
    reclaim: bool = False,
    tip_accounts: Collection[str] = TIP_ACCOUNTS,
) -> LandedSwap:
    """Read what `document` did to `wallet` as a swap of `mint` on `side`.

    With `reclaim` it closed token accounts and swapped nothing: then no token need have moved.

    Raises:
        UnreadableSwap: it has no balances, is not this wallet's, or moved something else than it should have.
    """
    meta = document.get("meta")
    if meta is None:
        raise UnreadableSwap("NO_BALANCES", "the node gave the transaction without its balances")
    transaction = document["transaction"]
    keys = _account_keys(transaction["message"], meta)
    if wallet not in keys:
        raise UnreadableSwap("NOT_OF_THIS_WALLET", "the wallet is not among the accounts of the transaction")
    error = None if meta.get("err") is None else json.dumps(meta["err"], separators=(",", ":"))
    native = _lamports_moved(meta, keys.index(wallet))
    network, priority = _fees(meta["fee"], len(transaction["signatures"])) if keys[0] == wallet else (0, 0)
    tokens, account_lamports, wrapped = _token_changes(meta, wallet)
    tip = 0 if error is not None else _tips(transaction["message"], meta, keys, wallet, tip_accounts)
    delta = native + wrapped
    rent = account_lamports - wrapped
    moved = delta + network + priority + tip
    if side == BUY and rent > 0 and -moved < rent:
        rent = 0  # somebody else paid the deposit: it never was the wallet's
    swap = 0 if reclaim else -(moved + rent) if side == BUY else moved + rent
    if error is not None:
        swap = 0
    elif reclaim and moved + rent != 0:
        raise UnreadableSwap("NOT_THE_SOL", f"beside rent and fees {moved + rent} lamports moved in a reclaim")
    elif not reclaim:
        _is_the_swap(side, tokens[mint], swap)
    return LandedSwap(
        signature=transaction["signatures"][0],
        slot=document["slot"],
        block_time=document.get("blockTime"),
        error=error,
        side=side,
        mint=mint,
        token_base_units=abs(tokens[mint]),
        swap_lamports=swap,
        network_fee_lamports=network,
        priority_fee_lamports=priority,
        tip_lamports=tip,
        protocol_fee_lamports=0 if error is not None else _protocol_fee(transaction["message"], meta, keys, wallet),
        rent_lamports=rent,
        wallet_lamports_delta=delta,
        wallet_token_delta=tokens[mint],
    )


def _is_the_swap(side: str, token_delta: int, swap: int) -> None:
    if token_delta == 0 or (token_delta > 0) != (side == BUY):
        raise UnreadableSwap("NOT_THE_TOKEN", f"the wallet's tokens changed by {token_delta} in a {side}")
    if swap < 0:
        raise UnreadableSwap("NOT_THE_SOL", f"the SOL side of a {side} is {swap} lamports")


def _account_keys(message: Mapping[str, Any], meta: Mapping[str, Any]) -> list[str]:
    """All keys in the order the balances are in; with encoding `json` looked-up keys are listed apart."""
    listed = message["accountKeys"]
    if any(isinstance(key, Mapping) for key in listed):
        return [key["pubkey"] for key in listed]
    looked_up = meta.get("loadedAddresses") or {}
    return [*listed, *looked_up.get("writable", []), *looked_up.get("readonly", [])]


def _lamports_moved(meta: Mapping[str, Any], index: int) -> int:
    return int(meta["postBalances"][index]) - int(meta["preBalances"][index])


def _fees(fee: int, signatures: int) -> tuple[int, int]:
    """The network's fee and the priority fee in what was charged; a chain that charges less has no priority fee."""
    network = min(int(fee), LAMPORTS_PER_SIGNATURE * signatures)
    return network, int(fee) - network


def _token_changes(meta: Mapping[str, Any], wallet: str) -> tuple[defaultdict[str, int], int, int]:
    """The wallet's tokens by mint, and the lamports and the wrapped SOL of its token accounts, each as a change."""
    before = {balance["accountIndex"]: balance for balance in meta.get("preTokenBalances") or ()}
    after = {balance["accountIndex"]: balance for balance in meta.get("postTokenBalances") or ()}
    tokens: defaultdict[str, int] = defaultdict(int)
    lamports = 0
    for index in sorted(before.keys() | after.keys()):
        amount_before = _owned_amount(before.get(index), wallet)
        amount_after = _owned_amount(after.get(index), wallet)
        if amount_before is None and amount_after is None:
            continue
        mint = (after.get(index) or before[index])["mint"]
        tokens[mint] += (amount_after or 0) - (amount_before or 0)
        lamports += _lamports_moved(meta, index)
    return tokens, lamports, tokens.pop(SOL_MINT, 0)


def _owned_amount(balance: Mapping[str, Any] | None, wallet: str) -> int | None:
    if balance is None or balance.get("owner") != wallet:
        return None
    return int(balance["uiTokenAmount"]["amount"])


def _tips(
    message: Mapping[str, Any], meta: Mapping[str, Any], keys: list[str], wallet: str, tip_accounts: Collection[str]
) -> int:
    return sum(
        lamports
        for source, destination, lamports in _transfers(message, meta, keys)
        if source == wallet and destination in tip_accounts
    )


def _instructions(message: Mapping[str, Any], meta: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from message["instructions"]
    for inner in meta.get("innerInstructions") or ():
        yield from inner["instructions"]


def _program(instruction: Mapping[str, Any], keys: list[str]) -> str:
    return instruction["programId"] if "programId" in instruction else keys[instruction["programIdIndex"]]


def _accounts(instruction: Mapping[str, Any], keys: list[str]) -> list[str]:
    return [keys[key] if isinstance(key, int) else key for key in instruction.get("accounts") or ()]


def _transfers(message: Mapping[str, Any], meta: Mapping[str, Any], keys: list[str]) -> Iterator[tuple[str, str, int]]:
    """Plain transfers of lamports as (from, to, lamports)."""
    for instruction in _instructions(message, meta):
        if _program(instruction, keys) != _SYSTEM_PROGRAM:
            continue
        parsed = instruction.get("parsed")
        if parsed is not None:
            if parsed.get("type") == "transfer":
                facts = parsed["info"]
                yield facts["source"], facts["destination"], int(facts["lamports"])
            continue
        data = base58.decode(instruction["data"])
        accounts = _accounts(instruction, keys)
        if data[:4] == _TRANSFER and len(data) == 12 and len(accounts) >= 2:
            yield accounts[0], accounts[1], int.from_bytes(data[4:], "little")


def _protocol_fee(message: Mapping[str, Any], meta: Mapping[str, Any], keys: list[str], wallet: str) -> int:
    """What of SOL went to the platform's fee account of the swap, if the swap names one."""
    named = set()
    for instruction in message["instructions"]:
        accounts = _accounts(instruction, keys)
        if _program(instruction, keys) == _JUPITER_PROGRAM and len(accounts) > _PLATFORM_FEE_ACCOUNT:
            named.add(accounts[_PLATFORM_FEE_ACCOUNT])
    named.discard(_JUPITER_PROGRAM)
    taken = 0
    for sign, balances in ((1, meta.get("postTokenBalances")), (-1, meta.get("preTokenBalances"))):
        for balance in balances or ():
            theirs = keys[balance["accountIndex"]] in named and balance.get("owner") != wallet
            if theirs and balance["mint"] == SOL_MINT:
                taken += sign * int(balance["uiTokenAmount"]["amount"])
    return max(taken, 0)
