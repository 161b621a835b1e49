"""What the demo desk and the sandbox agree on about webhooks without speaking: the path, and the signing secret.

Pure. The secret follows from the key the sandbox's signals are sent with, which both are given at the start.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode

PATH = "/webhooks"
_PURPOSE = b"soldesk demo webhook "


def secret(signal_key: str) -> str:
    """Return the demo endpoint's signing secret.

    >>> secret("nex_key") == secret("nex_key") != secret("nex_other")
    True
    """
    return "whsec_" + b64encode(hashlib.sha256(_PURPOSE + signal_key.encode()).digest()).decode()
