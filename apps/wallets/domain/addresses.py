"""What an address says about its wallet: `sim_…` is simulated and on no chain, every other one is a live wallet's.

Pure. The mark tells the two apart wherever only the address is known.
"""

from __future__ import annotations

import re

from apps.core import base58

PREFIX = "sim_"
LONGEST = 44
_SIMULATED = re.compile(r"sim_[A-Za-z0-9]{1,40}")


def simulated(entropy: bytes) -> str:
    """Return the address of a new simulation wallet: the mark and 40 characters of `entropy`.

    >>> simulated(bytes(range(1, 31)))[:8], len(simulated(bytes(range(1, 31))))
    ('sim_CiMQ', 44)
    """
    return (PREFIX + base58.encode(entropy))[:LONGEST]


def is_marked(address: str) -> bool:
    """Tell whether an address carries the mark of simulation, well-formed or not.

    >>> is_marked("sim_x"), is_marked("So11111111111111111111111111111111111111112")
    (True, False)
    """
    return address.startswith(PREFIX)


def is_simulated(address: str) -> bool:
    """Tell whether a simulation wallet may have this address.

    >>> is_simulated("sim_Desk1"), is_simulated("sim_"), is_simulated("So11111111111111111111111111111111111111112")
    (True, False, False)
    """
    return _SIMULATED.fullmatch(address) is not None
