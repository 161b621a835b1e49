"""Whatever the caller says: what is not on the list, or not between the wallet's own accounts, is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest
from solders.address_lookup_table_account import AddressLookupTableAccount
from solders.compute_budget import request_heap_frame, set_compute_unit_limit, set_compute_unit_price
from solders.instruction import AccountMeta, Instruction
from solders.keypair import Keypair
from solders.message import Message, MessageV1, TransactionConfig
from solders.pubkey import Pubkey
from solders.signature import Signature
from solders.system_program import AssignParams, TransferParams, assign, transfer
from solders.transaction import VersionedTransaction

from apps.sandbox.chain import accounts as chain_accounts
from apps.sandbox.exchange.building import associated, compiled
from apps.sandbox.exchange.tampering import THIEF, tampered
from apps.sandbox.faults import FaultKind
from apps.wallets.signer import routes
from apps.wallets.signer.reasons import Reason
from tests.wallets.signer.world import SOL, World, changed, refuses

MEMO = Pubkey.from_string("MemoSq4gqABAXKb96qnH8TysNcWxMyWCqXgDLGmfcHr")


def with_steps(world, built, steps, **options):
    return world.request(built, transaction=world.compiled(steps, **options))


@pytest.mark.parametrize(
    ("kind", "reason"),
    [
        (FaultKind.DRAINED_WALLET, Reason.FOREIGN_ACCOUNT),
        (FaultKind.ADDED_INSTRUCTION, Reason.INSTRUCTION_NOT_ALLOWED),
        (FaultKind.SWAPPED_DESTINATION, Reason.FOREIGN_ACCOUNT),
        (FaultKind.REPLACED_FEE_PAYER, Reason.FEE_PAYER),
        (FaultKind.EXPIRED_BLOCKHASH, Reason.BLOCKHASH_UNKNOWN),
    ],
)
async def test_a_provider_that_turned_thief_gets_no_signature(world: World, kind, reason):
    built = tampered(world.venue, world.built(), [kind])
    with refuses(world, reason):
        await world.sign(world.request(built))
    assert world.lamports() == 100 * SOL


def own_token(world):
    return AccountMeta(world.token_account, False, True)


def signing(world):
    return AccountMeta(world.wallet, True, True)


def thief():
    return AccountMeta(THIEF, False, True)


def added_steps(world):
    """Return instructions that have no place in a swap, each with the reason it is refused for."""
    token, sol = chain_accounts.TOKEN, world.sol_account
    to_thief = associated(THIEF, Pubkey.from_string(world.mint))
    authority = bytes((6, 2, 1)) + bytes(THIEF)
    create_for_thief = [
        signing(world), thief(), AccountMeta(THIEF, False, False),
        AccountMeta(Pubkey.from_string(world.mint), False, False),
        AccountMeta(Pubkey.default(), False, False), AccountMeta(token, False, False),
    ]  # fmt: skip
    at = routes.PROGRAM
    return {
        "memo": (Instruction(MEMO, b"hello", []), Reason.PROGRAM_NOT_ALLOWED),
        "unknown program": (Instruction(THIEF, b"", []), Reason.PROGRAM_NOT_ALLOWED),
        "token transfer": (
            Instruction(token, bytes((3,)) + (1).to_bytes(8, "little"), [own_token(world), thief(), signing(world)]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "token approve": (
            Instruction(token, bytes((4,)) + (1).to_bytes(8, "little"), [own_token(world), thief(), signing(world)]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "approve checked": (
            Instruction(token, bytes((13,)) + bytes(9), [own_token(world), thief(), thief(), signing(world)]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "set authority": (
            Instruction(token, authority, [own_token(world), signing(world)]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "burn": (
            Instruction(token, bytes((8,)) + bytes(8), [own_token(world), thief(), signing(world)]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "close to thief": (
            Instruction(token, bytes((9,)), [AccountMeta(sol, False, True), thief(), signing(world)]),
            Reason.FOREIGN_ACCOUNT,
        ),
        "close the token account": (
            Instruction(token, bytes((9,)), [own_token(world), signing(world), signing(world)]),
            Reason.FOREIGN_ACCOUNT,
        ),
        "close by a group": (
            Instruction(token, bytes((9,)), [AccountMeta(sol, False, True), *[signing(world)] * 3]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "sync of a stranger": (Instruction(token, bytes((17,)), [thief()]), Reason.FOREIGN_ACCOUNT),
        "pay somebody": (
            transfer(TransferParams(from_pubkey=world.wallet, to_pubkey=THIEF, lamports=1)),
            Reason.FOREIGN_ACCOUNT,
        ),
        "pay into the token account": (
            transfer(TransferParams(from_pubkey=world.wallet, to_pubkey=world.token_account, lamports=1)),
            Reason.FOREIGN_ACCOUNT,
        ),
        "give the wallet away": (assign(AssignParams(pubkey=world.wallet, owner=MEMO)), Reason.INSTRUCTION_NOT_ALLOWED),
        "heap": (request_heap_frame(256 * 1024), Reason.INSTRUCTION_NOT_ALLOWED),
        "account for the thief": (
            Instruction(Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"), b"\x01", create_for_thief),
            Reason.FOREIGN_ACCOUNT,
        ),
        "recover nested": (
            Instruction(Pubkey.from_string("ATokenGPvbdGVxr1b2hvZbsiqW5xWH25efTNsLJA8knL"), b"\x02", create_for_thief),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
        "jupiter claim": (Instruction(at, b"\x3e\xc6\xd6\xc1\xd5\x9f\x6c\xd2", []), Reason.INSTRUCTION_NOT_ALLOWED),
        "to the thief's account": (
            Instruction(token, bytes((12,)) + bytes(9), [own_token(world), AccountMeta(to_thief, False, True)]),
            Reason.INSTRUCTION_NOT_ALLOWED,
        ),
    }  # fmt: skip


ADDED = (
    "memo", "unknown program", "token transfer", "token approve", "approve checked", "set authority", "burn",
    "close to thief", "close the token account", "close by a group", "sync of a stranger", "pay somebody",
    "pay into the token account", "give the wallet away", "heap", "account for the thief", "recover nested",
    "jupiter claim", "to the thief's account",
)  # fmt: skip


@pytest.mark.parametrize("name", ADDED)
@pytest.mark.parametrize("where", ["first", "last"])
async def test_an_instruction_that_has_no_place_in_a_swap_is_refused_wherever_it_stands(world: World, name, where):
    built = world.built()
    step, reason = added_steps(world)[name]
    steps = [step, *built.steps] if where == "first" else [*built.steps, step]
    with refuses(world, reason):
        await world.sign(with_steps(world, built, steps))


def test_every_added_instruction_is_tried(world: World):
    assert set(ADDED) == set(added_steps(world))


@pytest.mark.parametrize("place", range(8))
async def test_no_instruction_of_a_swap_may_stand_in_it_twice(world: World, place):
    built = world.built()
    assert len(built.steps) == 8
    with refuses(world, Reason.INSTRUCTION_REPEATED):
        await world.sign(with_steps(world, built, [*built.steps, built.steps[place]]))


async def test_a_transaction_without_a_swap_is_refused(world: World):
    built = world.built()
    steps = [step for step in built.steps if step.program_id != routes.PROGRAM]
    with refuses(world, Reason.INSTRUCTION_MISSING):
        await world.sign(with_steps(world, built, steps))


def swap_of(built):
    return next(place for place, step in enumerate(built.steps) if step.program_id == routes.PROGRAM)


async def sign_changed_swap(world, built, **changes):
    place = swap_of(built)
    steps = list(built.steps)
    steps[place] = changed(steps[place], **changes)
    await world.sign(with_steps(world, built, steps))


@pytest.mark.parametrize("place", ["at_2", "at_3", "at_4", "at_5"])
async def test_a_swap_that_names_somebody_else_is_refused(world: World, place):
    with refuses(world, Reason.FOREIGN_ACCOUNT):
        await sign_changed_swap(world, world.built(), **{place: THIEF})


async def test_a_swap_into_another_of_the_wallets_accounts_is_refused(world: World):
    aside = Keypair().pubkey()
    with refuses(world, Reason.FOREIGN_ACCOUNT):
        await sign_changed_swap(world, world.built(), at_3=aside)


@pytest.mark.parametrize(
    "name",
    [
        "exact_out_route",
        "route_with_token_ledger",
        "shared_accounts_exact_out_route",
        "shared_accounts_route_with_token_ledger",
        "exact_out_route_v2",
        "set_token_ledger",
    ],
)
async def test_of_the_swap_program_only_routes_of_an_exact_input_are_signed(world: World, name):
    from hashlib import sha256

    built = world.built()
    data = sha256(f"global:{name}".encode()).digest()[:8] + bytes(built.steps[swap_of(built)].data)[8:]
    with refuses(world, Reason.INSTRUCTION_NOT_ALLOWED):
        await sign_changed_swap(world, built, data=data)


async def test_amounts_behind_the_plan_are_read_to_the_byte(world: World):
    """Whoever puts a second set of amounts behind the first shows the signer others than the program would take."""
    built = world.built()
    data = bytes(built.steps[swap_of(built)].data)
    for forged in (data + bytes(1), data + data[-19:], data[:-1], data[:20]):
        with refuses(world, Reason.ROUTE_UNREADABLE):
            await sign_changed_swap(world, built, data=forged)


async def test_a_plan_over_a_venue_that_cannot_be_read_is_refused(world: World):
    built = world.built()
    data = bytearray(bytes(built.steps[swap_of(built)].data))
    data[12] = 255
    with refuses(world, Reason.ROUTE_UNREADABLE):
        await sign_changed_swap(world, built, data=bytes(data))


async def test_another_amount_than_the_order_says_is_not_swapped(world: World):
    built = world.built(amount=SOL)
    with refuses(world, Reason.TRANSFER_TOO_HIGH):
        await world.sign(world.request(built, in_base_units=SOL - 1))
    with refuses(world, Reason.WRONG_AMOUNT):
        await world.sign(world.request(built, in_base_units=SOL + 1))
    await world.buy()
    sale = world.built("sell", world.tokens())
    with refuses(world, Reason.WRONG_AMOUNT):
        await world.sign(world.request(sale, "sell", in_base_units=world.tokens() - 1))


async def test_a_promise_the_program_does_not_enforce_is_refused(world: World):
    built = world.built()
    promised = world.request(built).minimum_out_base_units
    with refuses(world, Reason.MINIMUM_NOT_ENFORCED):
        await world.sign(world.request(built, minimum_out_base_units=promised + 1))


async def test_more_sol_than_the_order_puts_in_is_not_wrapped(world: World):
    built = world.built()
    steps = list(built.steps)
    place = next(n for n, step in enumerate(steps) if bytes(step.data)[:4] == (2).to_bytes(4, "little"))
    steps[place] = transfer(TransferParams(from_pubkey=world.wallet, to_pubkey=world.sol_account, lamports=SOL + 1))
    with refuses(world, Reason.TRANSFER_TOO_HIGH):
        await world.sign(with_steps(world, built, steps))


async def test_fees_have_a_cap_whether_a_limit_is_named_or_not(world: World):
    built = world.built()
    steps = [step for step in built.steps if str(step.program_id) != "ComputeBudget111111111111111111111111111111"]
    dear = [set_compute_unit_limit(1_000_000), set_compute_unit_price(1_000_000)]
    with refuses(world, Reason.FEE_TOO_HIGH):
        await world.sign(with_steps(world, built, [*dear, *steps]))
    with refuses(world, Reason.FEE_TOO_HIGH):
        await world.sign(with_steps(world, built, [set_compute_unit_price(1_000_000), *steps]))
    fair = [set_compute_unit_limit(1_000_000), set_compute_unit_price(990_000)]
    assert await world.sign(with_steps(world, built, [*fair, *steps]))


async def test_a_transaction_somebody_else_must_sign_too_is_refused(world: World):
    built = world.built()
    steps = list(built.steps)
    place = swap_of(built)
    other = AccountMeta(THIEF, True, False)
    steps[place] = Instruction(steps[place].program_id, bytes(steps[place].data), [*steps[place].accounts, other])
    with refuses(world, Reason.OTHER_SIGNERS):
        await world.sign(with_steps(world, built, steps))


async def test_a_wallet_that_signs_but_does_not_pay_gets_no_signature(world: World):
    built = world.built()
    with refuses(world, Reason.FEE_PAYER):
        await world.sign(with_steps(world, built, built.steps, payer=THIEF))


async def test_version_1_is_refused_by_name(world: World):
    built = world.built()
    message = MessageV1.try_compile(
        world.wallet, list(built.steps), world.ledger.blockhash("confirmed")[0], TransactionConfig()
    )
    first = bytes(VersionedTransaction.populate(message, [Signature.default()]))
    assert first[0] == 0x81
    with refuses(world, Reason.VERSION_UNSUPPORTED):
        await world.sign(world.request(built, transaction=first))


async def test_a_legacy_transaction_is_signed(world: World):
    built = world.built()
    message = Message.new_with_blockhash(list(built.steps), world.wallet, world.ledger.blockhash("confirmed")[0])
    legacy = bytes(VersionedTransaction.populate(message, [Signature.default()]))
    world.land(await world.sign(world.request(built, transaction=legacy)))
    assert world.tokens() > 0


async def test_what_is_no_transaction_is_refused(world: World):
    built = world.built()
    whole = bytes(built.transaction)
    for broken in (b"", b"\x01", whole[:-1], whole + b"\0", bytes(5_000), b"\x80" + whole):
        with refuses(world, Reason.TRANSACTION_UNREADABLE):
            await world.sign(world.request(built, transaction=broken))


def put_table(world, key, listed):
    from solders.account import Account
    from solders.address_lookup_table_account import ID

    header = (1).to_bytes(4, "little") + bytes([255] * 8) + bytes(44)  # never to be closed
    data = header + b"".join(map(bytes, listed))
    account = Account(lamports=world.ledger.rent(len(data)), data=data, owner=ID, executable=False)
    world.ledger.issue(key, account)
    world.pass_slots(2)


async def test_accounts_of_lookup_tables_are_looked_up_at_the_own_node_and_judged(world: World):
    built = world.built()
    listed = [meta.pubkey for meta in built.steps[swap_of(built)].accounts if meta.pubkey != world.wallet]
    table = AddressLookupTableAccount(key=Keypair.from_seed(bytes(32)).pubkey(), addresses=listed)
    put_table(world, table.key, listed)
    looked_up = world.compiled(built.steps, tables=[table])
    assert len(looked_up) < len(bytes(built.transaction))
    world.land(await world.sign(world.request(built, transaction=looked_up)))
    assert world.tokens() > 0

    # The same bytes with another table behind them are another transaction: here the thief receives.
    swapped = [THIEF if key == world.token_account else key for key in listed]
    other = AddressLookupTableAccount(key=Keypair.from_seed(bytes([1] * 32)).pubkey(), addresses=swapped)
    put_table(world, other.key, swapped)
    steps = list(built.steps)
    steps[swap_of(built)] = changed(steps[swap_of(built)], at_3=THIEF)
    with refuses(world, Reason.FOREIGN_ACCOUNT):
        await world.sign(world.request(built, order_id="two", transaction=world.compiled(steps, tables=[other])))


async def test_a_lookup_table_that_is_not_there_or_too_short_is_refused(world: World):
    built = world.built()
    listed = [meta.pubkey for meta in built.steps[swap_of(built)].accounts if meta.pubkey != world.wallet]
    table = AddressLookupTableAccount(key=Keypair.from_seed(bytes(32)).pubkey(), addresses=listed)
    request = world.request(built, transaction=world.compiled(built.steps, tables=[table]))
    with refuses(world, Reason.LOOKUP_TABLE):
        await world.sign(request)
    put_table(world, table.key, listed[:2])
    with refuses(world, Reason.LOOKUP_TABLE):
        await world.sign(request)


async def test_a_key_the_signer_does_not_hold_signs_nothing(world: World):
    built = world.built()
    with refuses(world, Reason.KEY_UNKNOWN):
        await world.sign(world.request(built, wallet=str(THIEF)))
    world.signer.keys.lock(str(world.wallet))
    with refuses(world, Reason.KEY_LOCKED):
        await world.sign(world.request(built))


async def test_the_order_decides_which_way_it_goes(world: World):
    await world.buy()
    built = world.built("sell", world.tokens())
    with refuses(world, Reason.FOREIGN_ACCOUNT):
        await world.sign(world.request(built, "buy"))
    buy = world.built()
    with refuses(world, Reason.TRANSFER_TOO_HIGH):
        await world.sign(world.request(buy, "sell"))
    with refuses(world, Reason.FOREIGN_ACCOUNT):
        await world.sign(world.request(buy, mint=world.market.demo_mints[1]))


def test_compiled_transactions_of_the_builder_and_of_these_tests_are_alike(world: World):
    built = world.built()
    assert world.compiled(built.steps) == bytes(
        compiled(world.wallet, built.steps, world.ledger.blockhash("confirmed")[0])
    )
    assert replace(built) == built
