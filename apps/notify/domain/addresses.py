"""Where webhooks may go: which URLs are taken, and which network addresses are never connected to.

Pure. A URL is judged when it is set and before each attempt; an address when a socket is about to be connected to it,
after the name was resolved: a name that resolves differently the second time gains nothing.
"""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import urlsplit

MAX_URL_LENGTH = 2000
_LOWEST_HIGH_PORT = 1024
_WEB_PORTS = {"https": 443, "http": 80}
_MAX_HOST_LENGTH = 253
#: 64:ff9b::/96 leads to the IPv4 address in its last 32 bits.
_NAT64 = ip_network("64:ff9b::/96")
#: Azure answers machines' questions about themselves here, at an address that looks public.
_METADATA = frozenset({ip_address("168.63.129.16")})
_LOOPBACK_NAMES = ("localhost", "localhost.localdomain")


def refusal_of_url(url: str, *, allow_private: bool) -> str | None:
    """Return why a URL is not taken, as the end of a sentence, or None.

    `allow_private` (a desk on somebody's own machine) takes plain http and private addresses too.

    >>> refusal_of_url("https://example.com/hooks", allow_private=False)
    >>> refusal_of_url("http://example.com/", allow_private=False)
    'must begin with https://'
    >>> refusal_of_url("https://169.254.169.254/latest", allow_private=False)
    'must not name a private, loopback or reserved address'
    """
    if len(url) > MAX_URL_LENGTH or not url.isascii() or any(c <= " " or c == "\\" or c == "\x7f" for c in url):
        return "must be a URL of printable ASCII characters, at most 2000 of them"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return "must be a URL"
    if parts.scheme != "https" and not (allow_private and parts.scheme == "http"):
        return "must begin with https://" + (" or http://" if allow_private else "")
    if parts.username is not None or parts.password is not None:
        return "must not contain a user or a password"
    if not parts.hostname or len(parts.hostname) > _MAX_HOST_LENGTH:
        return "must name a host"
    if parts.fragment:
        return "must not have a fragment"
    if port is not None and port != _WEB_PORTS[parts.scheme] and port < _LOWEST_HIGH_PORT:
        return f"must use port {_WEB_PORTS[parts.scheme]} or one from 1024 up"
    return None if allow_private else _refusal_of_host(parts.hostname)


def host_of(url: str) -> str:
    """Return the host of a URL that was taken: what names it without telling what stands in its path."""
    return urlsplit(url).hostname or url


def _refusal_of_host(host: str) -> str | None:
    name = host.rstrip(".").lower()
    if name in _LOOPBACK_NAMES or name.endswith((".localhost", ".local", ".internal")):
        return "must not name this machine or its network"
    try:
        address = ip_address(name)
    except ValueError:
        # Names of digits only ("2130706433", "0x7f.1") are IPv4 addresses in old clothes.
        return "must name a host" if name.rpartition(".")[2].startswith(tuple("0123456789")) or not name else None
    return "must not name a private, loopback or reserved address" if is_forbidden(address) else None


def is_forbidden(address: IPv4Address | IPv6Address) -> bool:
    """Tell whether an address belongs to this machine, its network, a cloud's metadata, or to nobody.

    >>> [text for text in ("127.0.0.1", "10.1.2.3", "169.254.169.254", "100.100.100.200", "::1", "fd00:ec2::254",
    ...  "::ffff:192.168.1.1", "64:ff9b::7f00:1", "2002:7f00:1::", "0.0.0.0", "224.0.0.1", "8.8.8.8", "2606:4700::1111")
    ...  if not is_forbidden(ip_address(text))]
    ['8.8.8.8', '2606:4700::1111']
    """
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_forbidden(inner)
    return not address.is_global or address.is_multicast or address.is_reserved or address in _METADATA


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address an IPv6 address leads to, if it does."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
