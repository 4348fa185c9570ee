"""Which network addresses may be called on a caller's or an operator's word.

Names are resolved first and every address is judged; nothing is read out of a URL by pattern, because
0x7f000001, 0177.0.0.1 and ①②⑦.⓪.⓪.① are all 127.0.0.1 (facts/reliability.md section 2).
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Final

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

PORTS: Final = frozenset({80, 443})

_NAT64: Final = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))
_V4_COMPATIBLE: Final = ipaddress.IPv6Network("::/96")
_ISATAP: Final = (0x00005EFE, 0x02005EFE)
# Where clouds answer with credentials; some of them are global addresses by the registry.
_METADATA: Final = frozenset(
    ipaddress.ip_address(text)
    for text in ("169.254.169.254", "168.63.129.16", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254")
)


class Standing(IntEnum):
    """How an address may be used, from harmless to never."""

    PUBLIC = 0
    PRIVATE = 1
    NEVER = 2


class Refused(Exception):
    """The address may not be called; the message may be shown to whoever gave it."""


def standing(address: IPAddress | str) -> Standing:
    """The worst standing among the address and every address that is packed into it."""
    if isinstance(address, str):
        address = ipaddress.ip_address(address.partition("%")[0])
    own = _own_standing(address)
    if isinstance(address, ipaddress.IPv4Address):
        return own
    wrapper, packed = _unpack(address)
    return max([wrapper if packed else own, *(_own_standing(inner) for inner in packed)])


def _own_standing(address: IPAddress) -> Standing:
    if address in _METADATA or address.is_link_local or address.is_multicast or address.is_unspecified:
        return Standing.NEVER
    if isinstance(address, ipaddress.IPv4Address) and int(address) >> 24 in (0, 255):
        return Standing.NEVER
    if not address.is_global or address.is_reserved or address.is_private or address.is_loopback:
        return Standing.PRIVATE
    if isinstance(address, ipaddress.IPv6Address) and address.is_site_local:
        return Standing.PRIVATE
    return Standing.PUBLIC


def _unpack(address: ipaddress.IPv6Address) -> tuple[Standing, tuple[IPAddress, ...]]:
    """The standing of the wrapping (mapped and NAT64 are ordinary, tunnels are not), and the addresses inside."""
    low = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if address.ipv4_mapped is not None:
        return Standing.PUBLIC, (address.ipv4_mapped,)
    if any(address in network for network in _NAT64):
        return Standing.PUBLIC, (low,)
    if address.teredo is not None:
        return Standing.PRIVATE, address.teredo
    if address.sixtofour is not None:
        return Standing.PRIVATE, (address.sixtofour,)
    if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP:
        return Standing.PRIVATE, (low,)
    if address in _V4_COMPATIBLE and int(address) > 1:
        return Standing.PRIVATE, (low,)
    return Standing.PUBLIC, ()


def resolve(host: str, port: int) -> tuple[str, ...]:
    """Every address of a name, once each, as the system resolves it. Raises Refused when there is none. Blocks."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise Refused(f"{host} cannot be resolved") from error
    return tuple(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


def check(*, host: str, port: int, addresses: Sequence[str], private_origins: Collection[str] = ()) -> None:
    """Raise Refused unless all the addresses of host:port may be called.

    `private_origins` holds "host:port" exactly as the URL writes them. One bad address among good ones refuses
    the name: which one is connected to would otherwise be the name's owner's choice.
    """
    listed = origin(host, port) in private_origins
    if port not in PORTS and not listed:
        raise Refused(f"port {port} of {host} may not be called: only {', '.join(map(str, sorted(PORTS)))}")
    if not addresses:
        raise Refused(f"{host} has no address")
    worst = max(standing(address) for address in addresses)
    if worst is Standing.NEVER:
        raise Refused(f"{host} is a link-local, metadata or multicast address")
    if worst is Standing.PRIVATE and not listed:
        listings = "TURNPIKE_PRIVATE_ORIGINS, for media TURNPIKE_MEDIA_ORIGINS, list exceptions"
        raise Refused(f"{host} is not on the public internet ({listings})")


def origin(host: str, port: int) -> str:
    """The "host:port" form that TURNPIKE_PRIVATE_ORIGINS uses; IPv6 in brackets."""
    bare = host.strip("[]").lower()
    return f"[{bare}]:{port}" if ":" in bare else f"{bare}:{port}"
