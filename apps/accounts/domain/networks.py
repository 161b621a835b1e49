"""Where an API key may be used from: addresses and networks, IPv4 and IPv6."""

from __future__ import annotations

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network


def normalised(text: str) -> str:
    """Return an address or network in its one spelling.

    >>> normalised(" 10.0.0.0/8 "), normalised("192.0.2.7"), normalised("2001:DB8:0::/48")
    ('10.0.0.0/8', '192.0.2.7/32', '2001:db8::/48')

    Raises:
        ValueError: neither, or a network with bits set beyond its length (10.0.0.1/8).
    """
    return str(ip_network(text.strip()))


def contains(networks: Iterable[str], address: str) -> bool:
    """Tell whether `address` lies in one of the networks; an IPv4 address written as IPv6 counts as what it is.

    >>> contains(["10.0.0.0/8", "2001:db8::/48"], "::ffff:10.1.2.3"), contains(["10.0.0.0/8"], "11.0.0.1")
    (True, False)
    >>> contains(["2001:db8::/48"], "2001:db8:0:1::9"), contains(["10.0.0.0/8"], "unknown")
    (True, False)
    """
    try:
        found: IPv4Address | IPv6Address = ip_address(address)
    except ValueError:
        return False
    if isinstance(found, IPv6Address) and found.ipv4_mapped is not None:
        found = found.ipv4_mapped
    return any(found in ip_network(network) for network in networks)
