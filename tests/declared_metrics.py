"""Every metric the desk declares, whichever process declares it."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def declared() -> dict[str, Any]:
    """Return the metrics by name (without a counter's `_total`), those of every app."""
    from apps.core.metrics_registry import REGISTRY  # may be read before Django has settings

    for path in (ROOT / "apps").rglob("*.py"):
        if "registry=REGISTRY" in path.read_text():
            import_module(".".join(path.relative_to(ROOT).with_suffix("").parts))
    return {metric._name: metric for metric in REGISTRY._collector_to_names}  # type: ignore[attr-defined]
