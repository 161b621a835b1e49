"""Asking nodes: the healthiest first, the next one when it does not answer, all of them where they are compared."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from apps.chain.adapters.json_rpc import Node, NodeState
from apps.chain.domain import answers
from apps.chain.domain.health import compare_slots
from apps.chain.errors import NodeError, NodeRateLimited, NodesNotConfigured, NodeUnavailable, Verdict
from apps.chain.metrics import SLOTS_BEHIND
from apps.core.http import Lane

Result = TypeVar("Result")
Read = Callable[[Any], Result]

DEADLINE_SECONDS = 8.0
_SLOTS_COMPARED_EVERY_SECONDS = 5.0
_ROUND_PAUSE_SECONDS = 0.1


class NodeGroup:
    """The nodes of one event loop, and what runs among them in the background."""

    def __init__(self, states: Sequence[NodeState]) -> None:
        self._nodes = {state.address.name: Node(state) for state in states}
        self._slots_compared_at = 0.0
        self._background: set[asyncio.Task[Any]] = set()

    @property
    def names(self) -> tuple[str, ...]:
        """The nodes' names in order of preference."""
        return tuple(self._nodes)

    @property
    def all_local(self) -> bool:
        """Say whether every node is on this machine."""
        return all(node.state.address.local for node in self._nodes.values())

    async def each(
        self, ask: Callable[[str], Coroutine[Any, Any, Result]], *, patience_seconds: float | None = None
    ) -> dict[str, Result | NodeError]:
        """Ask every node by name at once; return what each answered or failed with.

        With a patience, those that have not answered so long after the first that did are taken for silent.
        """
        asked = {name: self.start(tried(ask(name))) for name in self._nodes}
        if patience_seconds is None:
            await asyncio.gather(*asked.values())
        else:
            await first_and_rest(asked.values(), lambda told: not isinstance(told, NodeError), patience_seconds)
        return {
            name: task.result() if task.done() else NodeUnavailable(name, f"{name} has not answered yet")
            for name, task in asked.items()
        }

    async def compare_slots(self) -> None:
        """Ask every node for its slot and note who is behind."""
        self._slots_compared_at = time.monotonic()
        told = await self.each(
            lambda name: self.ask("getSlot", [{"commitment": "confirmed"}], answers.whole, Lane.REST, name)
        )
        compare_slots(
            (self._nodes[name].state.health, slot) for name, slot in told.items() if not isinstance(slot, NodeError)
        )
        for name, node in self._nodes.items():
            SLOTS_BEHIND.labels(name).set(node.state.health.slots_behind)

    async def close(self) -> None:
        """Let go of connections and of what still runs in the background."""
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        for node in self._nodes.values():
            await node.close()

    async def ask(self, method: str, params: list[Any], read: Read[Result], lane: Lane, node: str | None) -> Result:
        """Ask the node, or the healthiest and then the next ones, twice round while the deadline leaves room."""
        if node is not None:
            return await self._ask_one(self._named(node), method, params, read, lane, DEADLINE_SECONDS)
        self._compare_slots_now_and_then()
        until = time.monotonic() + DEADLINE_SECONDS
        failure: NodeError = NodesNotConfigured()
        for pause in (_ROUND_PAUSE_SECONDS, None):
            for name in self.in_order():
                try:
                    left = until - time.monotonic()
                    return await self._ask_one(self._nodes[name], method, params, read, lane, left)
                except NodeError as error:
                    if error.verdict is Verdict.PERMANENT:
                        raise
                    failure = error
            wait = failure.retry_after_seconds if isinstance(failure, NodeRateLimited) else pause
            if pause is None or wait is None or not self._nodes or time.monotonic() + wait >= until:
                break
            await asyncio.sleep(wait)
        raise failure

    async def _ask_one(
        self, node: Node, method: str, params: list[Any], read: Read[Result], lane: Lane, seconds: float
    ) -> Result:
        result = await node.call(method, params, lane=lane, deadline_seconds=seconds)
        shaped: Result = node.shaped(method, read, result)
        return shaped

    def _named(self, name: str) -> Node:
        if name not in self._nodes:
            raise NodesNotConfigured(f"There is no node {name}")
        return self._nodes[name]

    def in_order(self) -> list[str]:
        """Return the nodes' names, the healthiest first."""
        return sorted(self._nodes, key=lambda name: self._nodes[name].state.health.score())

    def _compare_slots_now_and_then(self) -> None:
        if len(self._nodes) > 1 and time.monotonic() > self._slots_compared_at + _SLOTS_COMPARED_EVERY_SECONDS:
            self._slots_compared_at = time.monotonic()
            self.start(self.compare_slots())

    def start(self, work: Coroutine[Any, Any, Result]) -> asyncio.Task[Result]:
        """Let something run until it ends or the nodes are closed."""
        task = asyncio.ensure_future(work)
        self._background.add(task)
        task.add_done_callback(self._background.discard)
        return task


async def first_and_rest(
    tasks: Iterable[asyncio.Task[Result]], is_good: Callable[[Result], bool], patience_seconds: float
) -> None:
    """Wait until all are done, or for some time after the first good one; nothing is cancelled."""
    waiting, until = set(tasks), None
    while waiting:
        left = None if until is None else max(0.0, until - time.monotonic())
        done, waiting = await asyncio.wait(waiting, timeout=left, return_when=asyncio.FIRST_COMPLETED)
        if not done:
            return
        if until is None and any(is_good(task.result()) for task in done):
            until = time.monotonic() + patience_seconds


async def tried(question: Coroutine[Any, Any, Result]) -> Result | NodeError:
    """Return what a question brings, the error of a node included."""
    try:
        return await question
    except NodeError as error:
        return error
