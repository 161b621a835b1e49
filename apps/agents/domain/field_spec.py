"""How one field of the configuration is described: kind, limits, default, words for people."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from enum import StrEnum
from typing import Any


class Kind(StrEnum):
    """What a field holds; `level_list` is a list of objects described by `FieldSpec.items`."""

    NUMBER = "number"
    INTEGER = "integer"
    BOOLEAN = "boolean"
    CHOICE = "choice"
    TEXT_LIST = "text_list"
    LEVEL_LIST = "level_list"


@dataclass(frozen=True, slots=True)
class Choice:
    value: str
    label: str


@dataclass(frozen=True, slots=True)
class Section:
    """A group of fields with one heading; `path` is the top-level key of the document."""

    path: str
    label: str
    help_text: str


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One value of the document.

    Limits are inclusive except `exclusive_minimum`. `optional` fields may be absent; `default` None then means absent.
    `nullable` fields may be null in a whole document; in a patch null clears every optional number.
    `min_length` and `max_length` are UTF-16 units of each text of a list; `max_items` is the longest list.
    """

    path: str
    kind: Kind
    label: str
    help_text: str
    unit: str = ""
    default: Any = None
    optional: bool = False
    nullable: bool = False
    minimum: Decimal | None = None
    exclusive_minimum: Decimal | None = None
    maximum: Decimal | None = None
    choices: tuple[Choice, ...] = ()
    min_length: int | None = None
    max_length: int | None = None
    max_items: int | None = None
    items: tuple[FieldSpec, ...] = ()

    @property
    def section(self) -> str:
        """The top-level key this field belongs to."""
        return self.path.partition(".")[0]

    @property
    def key(self) -> str:
        """The last part of the path: the key in the object that holds it."""
        return self.path.rpartition(".")[2]

    @property
    def clearable(self) -> bool:
        """Whether null in a patch removes the value."""
        return self.optional and self.kind in (Kind.NUMBER, Kind.INTEGER)
