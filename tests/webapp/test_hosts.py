"""Which hosts may be called, with a resolver of the test's own."""

from __future__ import annotations

import socket
from dataclasses import replace

import pytest

from webapp import hosts
from webapp.errors import ServiceError
from webapp.settings import Settings

NAMES = {
    "erp.example": ["10.1.2.3"],
    "sneaky.example": ["10.1.2.3", "169.254.169.254"],
    "mapped.example": ["::ffff:169.254.169.254"],
    "db.six": ["2001:db8::7"],
    "two.example": ["2001:db8::7", "10.1.2.3"],
}
real_getaddrinfo = socket.getaddrinfo


@pytest.fixture(autouse=True)
def resolver(monkeypatch: pytest.MonkeyPatch) -> None:
    def resolve(host: str, port: object, **kwargs: object):
        if host in NAMES:
            return [(None, None, None, "", (address, 0)) for address in NAMES[host]]
        return real_getaddrinfo(host, port, flags=socket.AI_NUMERICHOST, type=socket.SOCK_STREAM)

    monkeypatch.setattr(hosts.socket, "getaddrinfo", resolve)


@pytest.mark.parametrize(
    "host",
    [
        "erp.example",
        "ERP.example.",
        "10.1.2.3",
        "127.0.0.1",
        "::1",
        "db.six",
        "",
        "/var/run/postgresql",
        "unknown.example",
    ],
)
def test_ordinary_hosts_pass(settings: Settings, host: str):
    hosts.check_host(host, 5432, settings)


@pytest.mark.parametrize(
    "host",
    [
        "169.254.169.254",
        "169.254.0.1",
        "2852039166",  # 169.254.169.254 as one number
        "0xA9FEA9FE",
        "0251.0376.0251.0376",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a9fe:a9fe::",
        "::169.254.169.254",
        "fe80::1",
        "fd00:ec2::254",
        "100.100.100.200",
        "168.63.129.16",
        "0.0.0.0",
        "0",
        "0.1.2.3",
        "::",
        "224.0.0.1",
        "255.255.255.255",
        "240.0.0.1",
        "ff02::1",
        "metadata.google.internal",
        "metadata.google.internal.",
        "sneaky.example",
        "mapped.example",
    ],
)
def test_dangerous_hosts_are_refused(settings: Settings, host: str):
    with pytest.raises(ServiceError) as caught:
        hosts.check_host(host, 80, settings)
    assert caught.value.code == "source.host_forbidden"
    assert caught.value.status == 400


@pytest.mark.parametrize(
    ("allowed", "host", "port", "passes"),
    [
        (("erp.example",), "erp.example", 5432, True),
        (("ERP.Example",), "erp.example", 5432, True),
        (("erp.example",), "db.six", 5432, False),
        (("erp.example:5432",), "erp.example", 5432, True),
        (("erp.example:5432",), "erp.example", 5433, False),
        (("erp.example:5432",), "erp.example", None, False),
        (("10.1.0.0/16",), "erp.example", 5432, True),
        (("10.9.0.0/16",), "erp.example", 5432, False),
        (("10.1.0.0/16",), "unknown.example", 5432, False),
        (("10.1.2.3",), "10.1.2.3", 5432, True),
        (("[2001:db8::7]:5432",), "2001:db8::7", 5432, True),
        (("2001:db8::7",), "db.six", 5432, True),
        (("*.example",), "erp.example", 5432, True),
        (("*.example",), "example", 5432, False),
        (("*.example",), "erp.example.evil", 5432, False),
        (("169.254.0.0/16", "sneaky.example"), "sneaky.example", 5432, False),  # a list cannot allow these
        (("erp.example",), "", None, False),
        (("localhost",), "", None, True),
        (("localhost",), "/var/run/postgresql", None, True),
    ],
)
def test_the_list_of_allowed_hosts(
    settings: Settings, allowed: tuple[str, ...], host: str, port: int | None, passes: bool
):
    listed = replace(settings, allowed_hosts=allowed)
    if passes:
        hosts.check_host(host, port, listed)
    else:
        with pytest.raises(ServiceError):
            hosts.check_host(host, port, listed)


def test_the_code_is_the_callers(settings: Settings):
    with pytest.raises(ServiceError) as caught:
        hosts.check_host("169.254.169.254", 80, settings, "job.callback_forbidden")
    assert caught.value.code == "job.callback_forbidden"


@pytest.mark.parametrize("host", ["a" * 300 + ".example", "xn--", "a..b", "ü" * 80, "not a host"])
def test_names_that_are_none_reach_nothing_and_raise_nothing_else(settings: Settings, host: str):
    hosts.check_host(host, 80, settings)


@pytest.mark.parametrize(
    ("host", "numeric"),
    [
        ("erp.example", ("10.1.2.3",)),
        ("ERP.example.", ("10.1.2.3",)),
        ("two.example", ("2001:db8::7", "10.1.2.3")),  # in the resolver's order
        ("10.1.2.3", ("10.1.2.3",)),
        ("unknown.example", ()),
        ("", ()),
        ("/var/run/postgresql", ()),
    ],
)
def test_the_addresses_to_connect_to_are_those_that_were_checked(
    settings: Settings, host: str, numeric: tuple[str, ...]
):
    assert hosts.check_host(host, 5432, settings) == numeric
