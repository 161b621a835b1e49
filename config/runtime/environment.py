"""What the operator has set: the environment, then `.env.<environment>`, then `.env`.

The supervisor needs a few of these values (ports, home, URLs) before any Django process exists; `config.env`
gives the same variables their types and defaults for everything else.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from dotenv import dotenv_values

ROOT = Path(__file__).resolve().parents[2]


def read(environ: Mapping[str, str]) -> dict[str, str]:
    """Merge `.env`, `.env.<SOLDESK_ENV>` and `environ`, later ones winning; an empty value counts as not set."""
    name = environ.get("SOLDESK_ENV") or "development"
    merged: dict[str, str | None] = {
        **dotenv_values(ROOT / ".env"),
        **dotenv_values(ROOT / f".env.{name}"),
        **{key: value for key, value in environ.items() if value},
    }
    return {key: value for key, value in merged.items() if value}
