"""The configuration document's shape, made from the table of `fields`: nested keys and defaults."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, TypeAlias

from apps.agents.domain.field_spec import FieldSpec, Kind
from apps.agents.domain.fields import FIELDS

Tree: TypeAlias = "dict[str, FieldSpec | Tree]"


def _tree(fields: Iterable[FieldSpec]) -> Tree:
    root: Tree = {}
    for spec in fields:
        node = root
        *parents, key = spec.path.split(".")
        for parent in parents:
            child = node.setdefault(parent, {})
            if not isinstance(child, dict):
                raise TypeError(f"{spec.path} lies under a field that is not an object")
            node = child
        node[key] = spec
    return root


#: The document's shape: nested keys, with a FieldSpec at every leaf.
TREE: Tree = _tree(FIELDS)


def fields_of(section: str) -> tuple[FieldSpec, ...]:
    """Return the fields of one section, in form order."""
    return tuple(spec for spec in FIELDS if spec.section == section)


def default_document() -> dict[str, Any]:
    """Return a fresh copy of the document every agent starts from, JSON-ready."""
    return _defaults(TREE)


def _defaults(tree: Tree) -> dict[str, Any]:
    document: dict[str, Any] = {}
    for key, node in tree.items():
        if isinstance(node, dict):
            document[key] = _defaults(node)
        elif node.kind in (Kind.TEXT_LIST, Kind.LEVEL_LIST):
            document[key] = [dict(item) if isinstance(item, dict) else item for item in node.default]
        elif node.default is not None:
            document[key] = node.default
    return document
