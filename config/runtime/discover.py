"""Finds the desk that runs in this folder."""

from collections.abc import MutableMapping


def apply_running_stack(environ: MutableMapping[str, str]) -> None:
    """Fill in what a running desk published; nothing while none runs."""
