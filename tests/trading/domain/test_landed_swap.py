"""What a getTransaction document says one wallet did: the swap, each fee and the rent, to the lamport."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.core import base58
from apps.core.money import SOL_MINT
from apps.trading.domain import landed_swap
from apps.trading.domain.landed_swap import LandedSwap, UnreadableSwap, read_swap

WALLET, POOL, ACCOUNT, WRAPPED = "Wallet", "Pool", "TokenAccount", "WrappedAccount"
TOKEN = "Token"
SYSTEM = "11111111111111111111111111111111"
JUPITER = "JUP6LkbZbjS1jKKwapdHNy74zcZ3tLUZoi5QNyVTaV4"
TIP_ACCOUNT = sorted(landed_swap.TIP_ACCOUNTS)[0]
RENT = 2_039_280


def balance(index: int, mint: str, owner: str, amount: int) -> dict[str, Any]:
    return {"accountIndex": index, "mint": mint, "owner": owner, "uiTokenAmount": {"amount": str(amount)}}


def document(
    keys: list[Any],
    pre: list[int],
    post: list[int],
    *,
    fee: int = 5_000,
    tokens_before: list[dict[str, Any]] | None = None,
    tokens_after: list[dict[str, Any]] | None = None,
    looked_up: list[str] | None = None,
    instructions: list[dict[str, Any]] | None = None,
    error: Any = None,
    version: Any = 0,
) -> dict[str, Any]:
    return {
        "slot": 77,
        "blockTime": 1_795_000_000,
        "version": version,
        "transaction": {"signatures": ["Sig"], "message": {"accountKeys": keys, "instructions": instructions or []}},
        "meta": {
            "err": error,
            "fee": fee,
            "preBalances": pre,
            "postBalances": post,
            "preTokenBalances": tokens_before or [],
            "postTokenBalances": tokens_after or [],
            "innerInstructions": None,
            "loadedAddresses": {"writable": looked_up or [], "readonly": []},
        },
    }


def buy_document(*, swap: int, tokens: int, fee: int = 15_000, **more: Any) -> dict[str, Any]:
    before = 5_000_000_000
    return document(
        [WALLET, ACCOUNT],
        [before, 0, 9 * 10**9],
        [before - swap - fee - RENT, RENT, 9 * 10**9 + swap],
        fee=fee,
        looked_up=[POOL],
        tokens_after=[balance(1, TOKEN, WALLET, tokens)],
        **more,
    )


def read(source: dict[str, Any], side: str = "buy", **more: Any) -> LandedSwap:
    return read_swap(source, wallet=WALLET, mint=TOKEN, side=side, **more)


def agrees(fill: LandedSwap) -> bool:
    beside = fill.network_fee_lamports + fill.priority_fee_lamports + fill.tip_lamports + fill.rent_lamports
    swap = -fill.swap_lamports if fill.side == "buy" else fill.swap_lamports
    return fill.wallet_lamports_delta == swap - beside


@pytest.mark.parametrize("version", ["legacy", 0, 1])
def test_a_buy_splits_what_left_the_wallet_into_swap_fees_and_the_deposit_of_the_new_account(version: Any) -> None:
    fill = read(buy_document(swap=500_000_000, tokens=1_000_000_000, version=version))
    assert (fill.swap_lamports, fill.token_base_units, fill.rent_lamports) == (500_000_000, 1_000_000_000, RENT)
    assert (fill.network_fee_lamports, fill.priority_fee_lamports) == (5_000, 10_000)
    assert (fill.wallet_lamports_delta, fill.wallet_token_delta) == (-502_054_280, 1_000_000_000)
    assert (fill.signature, fill.slot, fill.error) == ("Sig", 77, None)
    assert agrees(fill)


def test_a_sale_that_closes_the_token_account_returns_its_rent_beside_the_proceeds() -> None:
    fill = read(
        document(
            [WALLET, ACCOUNT],
            [10**9, RENT],
            [10**9 + 480_000_000 + RENT - 5_000, 0],
            tokens_before=[balance(1, TOKEN, WALLET, 7)],
        ),
        "sell",
    )
    assert (fill.swap_lamports, fill.token_base_units, fill.rent_lamports) == (480_000_000, 7, -RENT)
    assert fill.wallet_token_delta == -7
    assert agrees(fill)


def test_a_failed_transaction_that_landed_cost_its_fees_and_nothing_else() -> None:
    refused = {"InstructionError": [4, {"Custom": 6001}]}
    fill = read(document([WALLET, ACCOUNT], [10**9, 0], [10**9 - 9_000, 0], fee=9_000, error=refused))
    assert fill.error == '{"InstructionError":[4,{"Custom":6001}]}'
    assert (fill.swap_lamports, fill.token_base_units, fill.rent_lamports) == (0, 0, 0)
    assert (fill.network_fee_lamports, fill.priority_fee_lamports) == (5_000, 4_000)
    assert agrees(fill)


def test_wrapped_sol_that_stays_in_an_account_of_the_wallet_is_its_sol() -> None:
    fill = read(
        document(
            [WALLET, ACCOUNT, WRAPPED],
            [10**9, RENT, 0],
            [10**9 - 5_000 - RENT, RENT, RENT + 300_000_000],
            tokens_before=[balance(1, TOKEN, WALLET, 7)],
            tokens_after=[balance(1, TOKEN, WALLET, 0), balance(2, SOL_MINT, WALLET, 300_000_000)],
        ),
        "sell",
    )
    assert (fill.swap_lamports, fill.rent_lamports) == (300_000_000, RENT)
    assert fill.wallet_lamports_delta == 300_000_000 - 5_000 - RENT
    assert agrees(fill)


def tip_in_bytes(lamports: int) -> dict[str, Any]:
    data = base58.encode((2).to_bytes(4, "little") + lamports.to_bytes(8, "little"))
    return {"programIdIndex": 3, "accounts": [0, 2], "data": data}


def tip_parsed(lamports: int) -> dict[str, Any]:
    facts = {"source": WALLET, "destination": TIP_ACCOUNT, "lamports": lamports}
    return {"programId": SYSTEM, "parsed": {"type": "transfer", "info": facts}}


@pytest.mark.parametrize("parsed", [False, True])
def test_a_tip_is_a_line_of_its_own_in_either_encoding(parsed: bool) -> None:
    keys: list[Any] = [WALLET, ACCOUNT, TIP_ACCOUNT, SYSTEM]
    source = document(
        [{"pubkey": key, "signer": key == WALLET} for key in keys] if parsed else keys,
        [10**9, RENT, 0, 1],
        [10**9 - 100_000_000 - 70_000 - 5_000, RENT, 70_000, 1],
        tokens_after=[balance(1, TOKEN, WALLET, 9)],
        instructions=[tip_parsed(70_000) if parsed else tip_in_bytes(70_000)],
    )
    fill = read(source)
    assert (fill.tip_lamports, fill.swap_lamports) == (70_000, 100_000_000)
    assert agrees(fill)


def test_what_the_platform_took_in_sol_is_named_by_the_fee_account_of_the_swap() -> None:
    fee_account = "FeeAccount"
    keys = [WALLET, ACCOUNT, fee_account, JUPITER]
    source = document(
        keys,
        [10**9, RENT, RENT, 1],
        [10**9 - 100_000_000 - 5_000, RENT, RENT + 500_000, 1],
        tokens_before=[balance(2, SOL_MINT, "Platform", 40)],
        tokens_after=[balance(1, TOKEN, WALLET, 9), balance(2, SOL_MINT, "Platform", 500_040)],
        instructions=[{"programIdIndex": 3, "accounts": [3, 0, 1, 1, 3, 1, 2, 3, 3], "data": ""}],
    )
    fill = read(source)
    assert (fill.protocol_fee_lamports, fill.swap_lamports) == (500_000, 100_000_000)


def test_a_deposit_somebody_else_paid_is_no_part_of_the_wallets_buy() -> None:
    fill = read(
        document(
            ["Sponsor", WALLET, ACCOUNT],
            [10**9, 10**9, 0],
            [10**9 - RENT - 5_000, 10**9 - 1_000_000, RENT],
            tokens_after=[balance(2, TOKEN, WALLET, 9)],
        )
    )
    assert (fill.swap_lamports, fill.rent_lamports, fill.network_fee_lamports) == (1_000_000, 0, 0)
    assert agrees(fill)


def test_a_reclaim_returns_the_rent_less_its_fee_and_swaps_nothing() -> None:
    source = document(
        [WALLET, ACCOUNT],
        [10**9, RENT],
        [10**9 + RENT - 5_000, 0],
        tokens_before=[balance(1, TOKEN, WALLET, 0)],
    )
    fill = read(source, "sell", reclaim=True)
    assert (fill.swap_lamports, fill.rent_lamports, fill.token_base_units) == (0, -RENT, 0)
    assert agrees(fill)


@pytest.mark.parametrize(
    ("source", "side", "code"),
    [
        (buy_document(swap=5, tokens=7), "sell", "NOT_THE_TOKEN"),
        (document([WALLET], [10**9], [10**9 - 5_000]), "buy", "NOT_THE_TOKEN"),
        (document([POOL], [1], [1]), "buy", "NOT_OF_THIS_WALLET"),
        ({**buy_document(swap=5, tokens=7), "meta": None}, "buy", "NO_BALANCES"),
        (
            document([WALLET, ACCOUNT], [10**9, RENT], [10**8, RENT], tokens_before=[balance(1, TOKEN, WALLET, 4)]),
            "sell",
            "NOT_THE_SOL",
        ),
    ],
)
def test_what_is_not_the_swap_asked_for_is_named_and_not_guessed(source: dict[str, Any], side: str, code: str) -> None:
    with pytest.raises(UnreadableSwap) as refusal:
        read(source, side)
    assert refusal.value.code == code


@given(
    swap=st.integers(1, 10**18),
    tokens=st.integers(1, 2**64 - 1),
    fee=st.integers(0, 10**9),
)
def test_the_parts_always_add_up_to_what_left_the_wallet(swap: int, tokens: int, fee: int) -> None:
    fill = read(buy_document(swap=swap, tokens=tokens, fee=fee))
    assert agrees(fill)
    assert fill.swap_lamports == swap
    assert fill.network_fee_lamports + fill.priority_fee_lamports == fee
    assert LandedSwap.from_document(fill.as_document()) == fill
