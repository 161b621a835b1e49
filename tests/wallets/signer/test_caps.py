"""Caps hold over crashes; an order is counted once and signed once, however often it is asked for."""

from __future__ import annotations

import asyncio
import json
import os

import pytest

from apps.wallets.signer.caps import WINDOW_SECONDS, Caps
from apps.wallets.signer.reasons import Reason, Refused
from tests.wallets.signer.world import SOL, World, refuses

FEE = 21_000


def lines(world):
    return [json.loads(line) for line in (world.folder / "signed.jsonl").read_text().splitlines()]


async def test_the_line_is_on_the_disk_before_the_key_signs(world: World, monkeypatch):
    synced, seen = [], []
    sync = os.fsync

    def noted(descriptor):
        sync(descriptor)
        synced.append(len(lines(world)))

    monkeypatch.setattr(os, "fsync", noted)
    sign = type(world.signer.keys).sign

    def watched(keys, address, message):
        seen.append((list(synced), [line["kind"] for line in lines(world)]))
        return sign(keys, address, message)

    monkeypatch.setattr(type(world.signer.keys), "sign", watched)
    await world.sign(world.request(world.built()))
    assert seen == [([1], ["entry"])]


async def test_a_signer_that_cannot_write_signs_nothing_and_never_again(world: World, monkeypatch):
    def broken(_):
        raise OSError

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(Refused) as caught:
        await world.sign(world.request(world.built()))
    assert caught.value.reason == Reason.LEDGER_BROKEN
    monkeypatch.undo()
    with pytest.raises(Refused) as caught:
        await world.sign(world.request(world.built(), order_id="another"))
    assert caught.value.reason == Reason.LEDGER_BROKEN
    assert "signature" not in [line["kind"] for line in lines(world)]


async def test_a_signer_whose_file_was_taken_away_signs_nothing(world: World):
    (world.folder / "signed.jsonl").rename(world.folder / "aside")
    (world.folder / "aside").unlink()
    with pytest.raises(Refused) as caught:
        await world.sign(world.request(world.built()))
    assert caught.value.reason == Reason.LEDGER_BROKEN


async def test_the_same_bytes_for_the_same_order_get_the_same_signature_and_count_once(world: World):
    request = world.request(world.built())
    first = await world.sign(request)
    used = world.caps.used()
    assert bytes(await world.sign(request)) == bytes(first)
    world.signer = world.started()
    world.prices.away = True  # what was let out once is not judged again
    assert bytes(await world.sign(request)) == bytes(first)
    assert world.caps.used() == used == (SOL + FEE, 0)


async def test_many_who_ask_for_one_order_at_once_get_one_signature(world: World):
    request = world.request(world.built())
    answers = await asyncio.gather(*(world.sign(request) for _ in range(20)))
    assert len({bytes(answer) for answer in answers}) == 1
    assert world.caps.used() == (SOL + FEE, 0)


async def test_other_bytes_for_an_order_are_refused_while_the_first_may_land(world: World):
    await world.sign(world.request(world.built()))
    world.pass_slots(100)
    with refuses(world, Reason.ORDER_SIGNED):
        await world.sign(world.request(world.built()))
    world.pass_slots(160)  # the blockhash is over, but a node that was behind might not know
    with refuses(world, Reason.ORDER_SIGNED):
        await world.sign(world.request(world.built()))


async def test_other_bytes_for_an_order_are_signed_once_the_first_can_land_no_more_and_it_counts_once(world: World):
    first = await world.sign(world.request(world.built()))
    world.pass_slots(350)
    second = await world.sign(world.request(world.built()))
    assert bytes(second) != bytes(first)
    assert world.caps.used() == (SOL + FEE, 0)


async def test_other_bytes_for_an_order_that_landed_are_never_signed(world: World):
    await world.buy(order_id="order-1")
    world.pass_slots(400)
    with refuses(world, Reason.ORDER_SIGNED):
        await world.sign(world.request(world.built()))


async def test_a_node_that_says_nothing_proves_nothing(world: World):
    await world.sign(world.request(world.built()))
    world.pass_slots(400)
    honest, world.nodes.away = world.request(world.built()), {"node 0"}
    with refuses(world, Reason.ORDER_SIGNED):
        await world.sign(honest)


async def test_one_buy_has_a_cap(world: World):
    with refuses(world, Reason.TRADE_CAP):
        await world.sign(world.request(world.built(amount=2 * SOL + 1)))
    assert await world.sign(world.request(world.built(amount=2 * SOL)))


async def fill(world, *, day=9):
    for number in range(day // 2):
        await world.sign(world.request(world.built(amount=2 * SOL), order_id=f"fill {number}"))


async def test_a_day_has_a_cap_fees_included_and_it_slides(world: World):
    await fill(world)
    with refuses(world, Reason.DAY_CAP):
        await world.sign(world.request(world.built(amount=SOL), order_id="with fees too much"))
    assert await world.sign(world.request(world.built(amount=SOL - 5 * FEE), order_id="just"))
    world.now += WINDOW_SECONDS - 1
    with refuses(world, Reason.DAY_CAP):
        await world.sign(world.request(world.built(amount=SOL), order_id="later"))
    world.now += 2
    assert await world.sign(world.request(world.built(amount=SOL), order_id="later"))


async def test_many_at_once_do_not_slip_under_the_cap(world: World):
    built = [world.built(amount=2 * SOL) for _ in range(8)]
    asked = [world.sign(world.request(each, order_id=f"order {n}")) for n, each in enumerate(built)]
    answers = await asyncio.gather(*asked, return_exceptions=True)
    refused = [answer.reason for answer in answers if isinstance(answer, Refused)]
    assert refused == [Reason.DAY_CAP] * 4
    assert world.caps.used()[0] == 4 * (2 * SOL + FEE)


async def test_a_spent_day_does_not_bar_an_exit(world: World):
    await world.buy()
    await fill(world, day=6)
    await world.sign(world.request(world.built(amount=SOL), order_id="the last"))
    with refuses(world, Reason.DAY_CAP):
        await world.sign(world.request(world.built(), order_id="a buy"))
    assert await world.sign(world.request(world.built("sell", world.tokens()), "sell", order_id="an exit"))


async def test_a_clock_that_is_set_back_frees_nothing(world: World):
    await fill(world)
    world.now -= 10 * WINDOW_SECONDS
    with refuses(world, Reason.DAY_CAP):
        await world.sign(world.request(world.built(), order_id="earlier"))


async def test_what_was_let_out_is_counted_after_a_kill(world: World):
    await fill(world)
    used = world.caps.used()
    world.signer = world.started()
    assert world.caps.used() == used
    with refuses(world, Reason.DAY_CAP):
        await world.sign(world.request(world.built(), order_id="after the kill"))


async def test_a_line_that_was_never_finished_is_cut_off_and_the_rest_counts(world: World):
    await world.sign(world.request(world.built()))
    used, whole = world.caps.used(), (world.folder / "signed.jsonl").read_bytes()
    for torn in (b"{", whole.splitlines()[0][:-1], b"\x00" * 50):
        world.caps.close()
        (world.folder / "signed.jsonl").write_bytes(whole + torn)
        world.signer = world.started()
        assert world.caps.used() == used
        assert (world.folder / "signed.jsonl").read_bytes() == whole


@pytest.mark.parametrize("broken", [b"{}\n", b"nonsense\n", b'{"kind": "other"}\n', b"[]\n"])
async def test_a_file_that_cannot_be_read_keeps_the_signer_from_starting(world: World, broken):
    await world.sign(world.request(world.built()))
    whole = (world.folder / "signed.jsonl").read_bytes()
    world.caps.close()
    (world.folder / "signed.jsonl").write_bytes(broken + whole)
    with pytest.raises(Refused) as caught:
        world.started()
    assert caught.value.reason == Reason.LEDGER_BROKEN


async def test_two_signers_never_share_a_file(world: World):
    with pytest.raises(Refused) as caught:
        Caps(world.folder / "signed.jsonl", world.limits).open()
    assert caught.value.reason == Reason.LEDGER_BROKEN


async def test_no_signed_bytes_and_no_key_stand_in_the_file(world: World):
    signed = await world.sign(world.request(world.built()))
    text = (world.folder / "signed.jsonl").read_text()
    assert str(signed.signatures[0]) in text  # public once it is sent, and what proves what became of it
    assert str(world.keypair) not in text
    assert len(text) < 700


async def test_a_long_file_is_written_anew_at_the_start_without_what_is_forgotten(world: World):
    request = world.request(world.built())
    first = await world.sign(request)
    await world.sign(world.request(world.built(amount=SOL // 2), order_id="order-2"))
    world.now += 5 * WINDOW_SECONDS
    third = world.request(world.built(amount=SOL // 4), order_id="order-3")
    signed = await world.sign(third)
    world.now += 4 * WINDOW_SECONDS
    world.caps.close()
    caps = Caps(world.folder / "signed.jsonl", world.limits, now=lambda: world.now, long_bytes=100)
    caps.open()
    assert [line["order_id"] for line in lines(world)] == ["order-3", "order-3"]
    assert caps.signature_of("order-3") == str(signed.signatures[0])
    assert caps.find("order-1") is None
    caps.close()
    world.caps = Caps(world.folder / "signed.jsonl", world.limits, now=lambda: world.now)
    world.caps.open()
    world.signer.caps = world.caps
    assert bytes(await world.sign(third)) == bytes(signed) != bytes(first)
    assert [entry.name for entry in world.folder.iterdir() if entry.is_file()] == ["signed.jsonl"]
