import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from marketplace.lib import addresses
from marketplace.lib.addresses import Refused, Standing

PUBLIC = ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808"]
PRIVATE = [
    "127.0.0.1",
    "127.1.2.3",
    "10.0.0.1",
    "172.16.0.1",
    "192.168.1.1",
    "100.64.0.1",
    "198.18.0.1",
    "192.0.2.1",
    "240.0.0.1",
    "::1",
    "fd12::1",
    "fec0::1",
    "2001:db8::1",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::7f00:1",
    "2002:7f00:1::",
    "2002:808:808::",
    "2001:0:7f00:1::f7f7:f7f7",
    "2001:0:808:808::f7f7:f7f7",
    "::127.0.0.1",
    "::8.8.8.8",
    "2606:4700::5efe:7f00:1",
    "::ffff:0:0:1",
]
ANY = "0.0.0.0"  # noqa: S104  data, nothing is bound to it
NEVER = [
    "169.254.169.254",
    "169.254.0.1",
    "fe80::1",
    "fe80::1%eth0",
    "224.0.0.1",
    "ff02::1",
    ANY,
    "0.1.2.3",
    "255.255.255.255",
    "::",
    "168.63.129.16",
    "100.100.100.200",
    "192.0.0.192",
    "fd00:ec2::254",
    "::ffff:169.254.169.254",
    "64:ff9b::a9fe:a9fe",
    "2002:a9fe:a9fe::",
    "::ffff:0.0.0.0",
]


@pytest.mark.parametrize(
    ("address", "expected"),
    [(one, Standing.PUBLIC) for one in PUBLIC]
    + [(one, Standing.PRIVATE) for one in PRIVATE]
    + [(one, Standing.NEVER) for one in NEVER],
)
def test_each_address_of_the_table(address: str, expected: Standing) -> None:
    assert addresses.standing(address) is expected


@given(st.integers(0, 2**32 - 1))
def test_wrapping_an_address_never_makes_it_more_public(number: int) -> None:
    plain = ipaddress.IPv4Address(number)
    low, high = f"{number & 0xFFFF:x}", f"{number >> 16:x}"
    for wrapped in (
        f"::ffff:{high}:{low}",
        f"64:ff9b::{high}:{low}",
        f"2002:{high}:{low}::",
        f"2606:4700::5efe:{high}:{low}",
    ):
        assert addresses.standing(wrapped) >= addresses.standing(plain)


@pytest.mark.parametrize("spelled", ["0x7f000001", "2130706433", "0177.0.0.1", "127.1", "①②⑦.⓪.⓪.①", "localhost"])
def test_odd_spellings_of_loopback_resolve_to_what_they_are_and_are_refused(spelled: str) -> None:
    found = addresses.resolve(spelled, 80)
    with pytest.raises(Refused, match="not on the public internet"):
        addresses.check(host=spelled, port=80, addresses=found)


def test_one_private_address_among_public_ones_refuses_the_name() -> None:
    with pytest.raises(Refused):
        addresses.check(host="two.test", port=443, addresses=["8.8.8.8", "10.0.0.1"])


def test_a_private_origin_is_allowed_exactly_as_listed() -> None:
    listed = {"127.0.0.1:9001", "[::1]:9001"}
    addresses.check(host="127.0.0.1", port=9001, addresses=["127.0.0.1"], private_origins=listed)
    addresses.check(host="[::1]", port=9001, addresses=["::1"], private_origins=listed)
    for host, port in (("127.0.0.1", 9002), ("localhost", 9001), ("127.0.0.2", 9001)):
        with pytest.raises(Refused):
            addresses.check(host=host, port=port, addresses=["127.0.0.1"], private_origins=listed)


def test_metadata_is_refused_even_when_listed() -> None:
    with pytest.raises(Refused, match="metadata"):
        addresses.check(
            host="169.254.169.254", port=80, addresses=["169.254.169.254"], private_origins={"169.254.169.254:80"}
        )


def test_other_ports_are_refused() -> None:
    with pytest.raises(Refused, match="port 6379"):
        addresses.check(host="public.test", port=6379, addresses=["8.8.8.8"])
