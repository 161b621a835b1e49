"""Why notify refuses, as errors a caller sees."""

from __future__ import annotations

from apps.core.errors import Conflict, NotFound


class EndpointNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("WEBHOOK_ENDPOINT_NOT_FOUND", "There is no such webhook endpoint.")


class DeliveryNotFound(NotFound):
    def __init__(self) -> None:
        super().__init__("WEBHOOK_DELIVERY_NOT_FOUND", "There is no such delivery.")


class TooManyEndpoints(Conflict):
    def __init__(self, most: int) -> None:
        super().__init__("TOO_MANY_WEBHOOK_ENDPOINTS", f"A user may have {most} webhook endpoints at most.")


class EndpointDisabled(Conflict):
    """What is off hears nothing, tests and resent events included."""

    def __init__(self) -> None:
        super().__init__("WEBHOOK_ENDPOINT_DISABLED", "The endpoint is switched off: switch it on first.")


class DeliveryPending(Conflict):
    """A delivery that waits for its next attempt needs no second one."""

    def __init__(self) -> None:
        super().__init__("WEBHOOK_DELIVERY_PENDING", "This delivery is being sent right now.")
