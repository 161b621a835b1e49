"""What each node testifies about one transaction, and what follows from all of it when at most one node lies.

Expired needs two nodes that are both finalized past the last valid height and know nothing, and none that knows
anything. Landed needs the transaction itself from two nodes that tell the same; one is enough when there is no other,
or when the others are silent. Whatever is contradicted stays unknown: that costs time, the other way would cost money.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from apps.chain.domain.answers import SignatureStatus

#: What two nodes must tell alike of a transaction; the rest of a document differs between versions of nodes.
_SAME_OF_META = ("err", "fee", "preBalances", "postBalances")


@dataclass(frozen=True, slots=True)
class Statement:
    """What one node said: `finalized_height` and `finalized_slot` belong together, `seen_slot` is the status's.

    `listed`: the address's history, read no earlier than `finalized_slot`, has the signature. `blockhash_valid`: the
    transaction's blockhash is taken still. None: not asked.
    """

    node: str
    finalized_height: int
    finalized_slot: int
    seen_slot: int
    status: SignatureStatus | None
    document: Mapping[str, Any] | None
    document_finalized: bool = False
    listed: bool | None = None
    blockhash_valid: bool | None = None

    @property
    def knows_something(self) -> bool:
        return self.status is not None or self.document is not None or bool(self.listed)

    def rules_out(self, last_valid_block_height: int) -> bool:
        """Say whether, by this node alone, the transaction has not landed and cannot any more."""
        return (
            self.finalized_height > last_valid_block_height
            and self.seen_slot >= self.finalized_slot
            and not self.knows_something
            and self.blockhash_valid is not True
        )


@dataclass(frozen=True, slots=True)
class Landed:
    """The transaction is in a block: `document` as `getTransaction` tells it, `witnesses` the nodes that told it.

    `finalized`: they told it from finalized history, so that it can no longer be forked away.
    """

    slot: int
    document: Mapping[str, Any]
    finalized: bool
    witnesses: tuple[str, ...]

    @property
    def err(self) -> Any:
        meta = self.document.get("meta")
        return meta.get("err") if isinstance(meta, dict) else None


@dataclass(frozen=True, slots=True)
class Expired:
    """It has not landed and never will: `witnesses` are finalized past its last valid height and know nothing of it."""

    witnesses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say yet; `reason` is a stable word, `disagreement` when nodes contradict each other."""

    reason: str

    @property
    def disagreement(self) -> bool:
        return self.reason == NODES_DISAGREE


NODES_DISAGREE = "nodes_disagree"
NOT_PAST_HEIGHT = "not_past_height"
NO_SECOND_NODE = "no_second_node"
NO_TRANSACTION_YET = "no_transaction_yet"
NO_ANSWER = "no_answer"

Verdict = Landed | Expired | Unknown


def judge(testimonies: Sequence[Statement], *, nodes: int, last_valid_block_height: int | None) -> Verdict:
    """Return what follows from the testimonies of those of `nodes` that answered.

    Without a last valid height nothing is ever found expired.
    """
    if not testimonies:
        return Unknown(NO_ANSWER)
    if any(each.knows_something for each in testimonies):
        return _landing(testimonies, nodes)
    if last_valid_block_height is None:
        return Unknown(NO_TRANSACTION_YET)
    if any(each.blockhash_valid for each in testimonies):
        return Unknown(NOT_PAST_HEIGHT)
    past = ruled_out_by(testimonies, last_valid_block_height=last_valid_block_height)
    if len(past) >= 2:
        return Expired(past)
    return Unknown(NO_SECOND_NODE if nodes < 2 or len(testimonies) < 2 else NOT_PAST_HEIGHT)


def ruled_out_by(testimonies: Sequence[Statement], *, last_valid_block_height: int) -> tuple[str, ...]:
    """Return the nodes that each by itself rule a landing out; none while any knows something or takes the blockhash.

    Fewer than two prove nothing: they are what a person decides on when there is no second node.
    """
    if any(each.knows_something or each.blockhash_valid for each in testimonies):
        return ()
    return tuple(each.node for each in testimonies if each.rules_out(last_valid_block_height))


def _landing(testimonies: Sequence[Statement], nodes: int) -> Verdict:
    told = [(each, each.document) for each in testimonies if each.document is not None]
    document = told[0][1] if told else {}
    slot = document.get("slot")
    if type(slot) is not int:
        return Unknown(NO_TRANSACTION_YET)
    agreeing = [each for each, theirs in told if _same(document, theirs)]
    if len(agreeing) != len(told):
        return Unknown(NODES_DISAGREE)
    ignorant = [each for each in testimonies if not each.knows_something]
    if len(agreeing) < 2 and ignorant:
        past = any(each.seen_slot >= slot for each in ignorant)
        return Unknown(NODES_DISAGREE if past else NO_TRANSACTION_YET)
    if len(agreeing) < 2 and len(testimonies) > 1:
        return Unknown(NO_TRANSACTION_YET)  # the other knows the signature, and will have the transaction in a moment
    finalized = [each for each in agreeing if each.document_finalized]
    enough = 2 if nodes > 1 else 1
    return Landed(slot, document, len(finalized) >= enough, tuple(each.node for each in agreeing))


def _same(one: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    if one.get("slot") != other.get("slot"):
        return False
    mine, theirs = one.get("meta"), other.get("meta")
    if not isinstance(mine, dict) or not isinstance(theirs, dict):
        return False
    return all(mine.get(name) == theirs.get(name) for name in _SAME_OF_META)
