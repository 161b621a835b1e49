"""The signal source: posts a trading signal every few seconds, as any outside strategy would, with an API key."""

from __future__ import annotations

from apps.sandbox.options import Options


class SignalSource:
    """Placeholder."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def as_document(self) -> dict[str, object]:
        return {}

    def steer(self, *, enabled: bool | None, interval_seconds: float | None) -> None:
        pass
