"""Choices with a badge colour, declared once and shown the same everywhere."""

from __future__ import annotations

from django.db import models


class Badge(models.TextChoices):
    """A status word. Subclasses map members to colours in `colours()`: success, info, warning, danger or muted."""

    @classmethod
    def colours(cls) -> dict[str, str]:
        return {}

    @property
    def colour(self) -> str:
        return type(self).colours().get(str(self.value), "muted")
