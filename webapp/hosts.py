"""Which hosts sources and callbacks may name (contract 1.3).

A name is resolved first, and every address it has must pass: link-local, metadata, multicast, unspecified and
reserved addresses never do, whatever way they are written; with KALLA_ALLOWED_HOSTS set, only hosts named there.
"""

from __future__ import annotations

import ipaddress
import socket

from webapp.errors import ServiceError
from webapp.settings import Settings

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address

# Cloud metadata services outside the link-local range.
_METADATA = {
    ipaddress.ip_address(text) for text in ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192")
}
_METADATA_NAMES = ("metadata", "metadata.google.internal", "instance-data", "instance-data.ec2.internal")
_NAT64 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("64:ff9b:1::/48"))


def check_host(host: str, port: int | None, settings: Settings, code: str = "source.host_forbidden") -> tuple[str, ...]:
    """Refuse a host that must not be called; the numeric addresses of one that may be. Whoever connects then must
    connect to these: asked again, the name could lead elsewhere.

    A name that cannot be resolved passes without addresses, for registering a source needs no connection; so does a
    server on this machine behind a socket.

    Args:
        host: a name, an address, or "" or a socket folder for a server on this machine.
        code: the error's code; callbacks use ``job.callback_forbidden``.

    Raises ServiceError.
    """
    numeric: tuple[str, ...] = ()
    if not host or host.startswith(("/", "@")):
        name, addresses = "localhost", [ipaddress.ip_address("127.0.0.1")]
    else:
        name = host.rstrip(".").lower()
        numeric = _numeric(name)
        addresses = _plain_ones(numeric)
    if name in _METADATA_NAMES or any(_is_forbidden(address) for address in addresses):
        raise ServiceError(
            f"The host {_clipped(host)} is not one that may be called.",
            code=code,
            hint="Link-local, metadata, multicast and unspecified addresses are refused.",
        )
    allowed = settings.allowed_hosts
    if allowed and not any(_allows(entry, name, port, addresses) for entry in allowed):
        raise ServiceError(
            f"The host {_clipped(host or name)} is not in KALLA_ALLOWED_HOSTS.",
            code=code,
            hint="Add it there, or use a host that is listed.",
        )
    return numeric


def addresses_of(name: str) -> list[IpAddress]:
    """Every address of a host, without IPv6 disguises of IPv4 ones; [] when it cannot be resolved."""
    return _plain_ones(_numeric(name))


def _numeric(name: str) -> tuple[str, ...]:
    """The addresses of a host as the resolver gives them, the preferred one first."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError):
        return ()
    return tuple(dict.fromkeys(str(entry[4][0]) for entry in found))


def _plain_ones(numeric: tuple[str, ...]) -> list[IpAddress]:
    return [_plain(ipaddress.ip_address(text.partition("%")[0])) for text in numeric]


def _plain(address: IpAddress) -> IpAddress:
    if isinstance(address, ipaddress.IPv4Address):
        return address
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    if any(address in network for network in _NAT64):
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    if int(address) >> 32 == 0 and int(address) > 1:  # ::a.b.c.d, the oldest disguise
        return ipaddress.IPv4Address(int(address))
    return address


def _is_forbidden(address: IpAddress) -> bool:
    special = address.is_link_local or address.is_multicast or address.is_unspecified
    zero = isinstance(address, ipaddress.IPv4Address) and int(address) >> 24 == 0
    reserved = isinstance(address, ipaddress.IPv4Address) and address.is_reserved
    return special or zero or reserved or address in _METADATA


def _allows(entry: str, name: str, port: int | None, addresses: list[IpAddress]) -> bool:
    """An entry is a name, an address or a network such as 10.0.0.0/8, perhaps with a port: ``erp.example:5432``."""
    network = _network(entry)
    if network is not None:
        return bool(addresses) and all(address in network for address in addresses)
    known, given = _split_port(entry.lower())
    if given is not None and given != port:
        return False
    if known.startswith("*."):
        return name.endswith(known[1:])
    return known.rstrip(".") == name


def _network(entry: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    try:
        return ipaddress.ip_network(entry.strip("[]"), strict=False)
    except ValueError:
        return None


def _split_port(entry: str) -> tuple[str, int | None]:
    head, colon, tail = entry.rpartition(":")
    return (head.strip("[]"), int(tail)) if colon and tail.isdecimal() else (entry, None)


def _clipped(host: str) -> str:
    return repr(host if len(host) <= 100 else host[:100] + "…")
