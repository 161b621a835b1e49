"""Columns of lists and lines of detail pages: callables Django's admin takes in `list_display` and `fields`.

A path walks relations with `__` and ends in a dash where one is missing. Numeric columns are named `num_…`, by which
the style sheet right-aligns head and cells. A list that uses a related path must `select_related` it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.utils.safestring import SafeString

from apps.core import fields
from apps.core.adminkit import cells
from apps.core.enums import Badge

Column = Callable[[Any], Any]


def value_at(row: Any, path: str) -> Any:
    """Return what `path` leads to from `row`, None where a link is empty."""
    for name in path.split("__"):
        if row is None:
            return None
        try:
            row = getattr(row, name)
        except ObjectDoesNotExist:
            return None
    return row


def column(
    title: str,
    render: Callable[[Any], Any],
    *,
    name: str,
    order: str | None = None,
    numeric: bool = False,
    boolean: bool = False,
) -> Column:
    """Return a column that shows `render(row)`; `order` is the field it sorts by."""

    def show(row: Any) -> Any:
        return render(row)

    show.__name__ = f"num_{name}" if numeric else name
    attributes: Any = show
    attributes.short_description = title
    attributes.admin_order_field = order
    attributes.boolean = boolean
    return show


def _of(path: str, title: str, write: Callable[[Any], SafeString], order: str | None, numeric: bool) -> Column:
    return column(
        title,
        lambda row: write(value_at(row, path)),
        name=path,
        order=path if order is None else order or None,
        numeric=numeric,
    )


def sol(path: str, title: str, *, signed: bool = False, order: str | None = None) -> Column:
    """An amount of SOL; `order=""` makes it unsortable, as for every column here."""
    return _of(path, title, lambda value: cells.sol(value, signed=signed), order, numeric=True)


def usd(path: str, title: str, *, signed: bool = False, order: str | None = None) -> Column:
    return _of(path, title, lambda value: cells.usd(value, signed=signed), order, numeric=True)


def amount(path: str, title: str, *, signed: bool = False, order: str | None = None) -> Column:
    return _of(path, title, lambda value: cells.amount(value, signed=signed), order, numeric=True)


def price(path: str, title: str, *, unit: str = "SOL", order: str | None = None) -> Column:
    return _of(path, title, lambda value: cells.price(value, unit=unit), order, numeric=True)


def percent(path: str, title: str, *, toned: bool = False, order: str | None = None) -> Column:
    return _of(path, title, lambda value: cells.percent(value, toned=toned), order, numeric=True)


def count(path: str, title: str, *, order: str | None = None) -> Column:
    return _of(path, title, cells.count, order, numeric=True)


def when(path: str, title: str, *, order: str | None = None) -> Column:
    return _of(path, title, cells.when, order, numeric=False)


def link(path: str, title: str, *, order: str | None = None) -> Column:
    """A related object, linked to its page."""
    return _of(path, title, cells.link, order, numeric=False)


def badge(path: str, title: str, choices: type[Badge], *, order: str | None = None) -> Column:
    return _of(path, title, lambda value: cells.badge(choices(value) if value else None), order, numeric=False)


def flag(path: str, title: str, *, order: str | None = None) -> Column:
    """Yes or no, as an icon."""
    return column(title, lambda row: bool(value_at(row, path)), name=path, order=order or path, boolean=True)


def token(title: str = "Token", *, mint: str = "mint", symbol: str = "symbol", order: str | None = None) -> Column:
    return column(
        title,
        lambda row: cells.token(value_at(row, mint), value_at(row, symbol)),
        name=mint,
        order=symbol if order is None else order or None,
    )


def address(path: str, title: str, *, order: str | None = None) -> Column:
    return _of(path, title, cells.address, order, numeric=False)


def words(path: str, title: str) -> Column:
    return _of(path, title, cells.words, "", numeric=False)


def line(field: models.Field[Any, Any]) -> Column:
    """Return the read-only line of a model field on a detail page, written the way its type asks for."""
    return column(str(field.verbose_name), lambda row: _line_value(row, field), name=field.name)


_WRITERS: tuple[tuple[type[models.Field[Any, Any]], Callable[[Any], SafeString]], ...] = (
    (fields.SolField, cells.sol),
    (fields.UsdField, cells.usd),
    (fields.AmountField, cells.amount),
    (fields.PriceField, cells.price),
    (fields.PercentField, cells.percent),
    (fields.MintField, cells.address),
    (models.DateTimeField, cells.when),
    (models.JSONField, cells.document),
    (ArrayField, cells.words),
)


def _line_value(row: Any, field: models.Field[Any, Any]) -> Any:
    value = getattr(row, field.name)
    if isinstance(field, models.ForeignKey):
        return cells.link(value)
    choices = badge_class(field)
    if choices is not None:
        return cells.badge(choices(value) if value else None)
    if isinstance(field, fields.PriceField) and field.name.endswith("_usd"):
        return cells.price(value, unit="USD")
    for kind, write in _WRITERS:
        if isinstance(field, kind):
            return write(value)
    if isinstance(value, bool):
        return cells.label("yes" if value else "no", "success" if value else "muted")
    return cells.DASH if value is None or value == "" else str(value)


def badge_class(field: models.Field[Any, Any]) -> type[Badge] | None:
    """Return the declared enum a field's choices come from, if it is one of ours."""
    if not field.choices:
        return None
    offered = list(field.choices)
    return next((kind for kind in Badge.__subclasses__() if list(kind.choices) == offered), None)
