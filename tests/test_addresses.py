"""What is public, private, loopback, or nobody's API, in whatever spelling; and what a call may be connected to."""

from __future__ import annotations

from ipaddress import ip_address

import pytest

from crawler.addresses import NAMES_AT_MOST, Guard, Rule, Scope, read_address, scope_of, scope_of_name

ADDRESSES = {
    Scope.PUBLIC: """
        93.184.216.34 8.8.8.8 1.1.1.1 100.63.255.255 100.128.0.0 172.15.255.255 172.32.0.0 169.253.255.255 11.0.0.0
        223.255.255.255 2606:4700::1 ::ffff:8.8.8.8 ::8.8.8.8 ::ffff:0:808:808 64:ff9b::808:808 2002:808:808::1
        2a00:1450::5efe:808:808""",
    Scope.PRIVATE: """
        10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255 192.168.1.1 100.64.0.1 192.0.2.1 198.18.0.1 198.51.100.1
        203.0.113.1 224.0.0.1 240.0.0.1 255.255.255.255 fc00::1 fd12:3456::1 fec0::1 ff02::1 2001:db8::1 100::1 5f00::1
        ::ffff:10.0.0.1 ::10.0.0.1 64:ff9b::a00:1 64:ff9b:1::808:808 2002:a00:1::1 fd00::5efe:808:808
        2a00:1450::5efe:a00:1 2a00:1450::200:5efe:a00:1 2001:0:808:808::f5ff:fffe""",
    Scope.LOOPBACK: """
        127.0.0.1 127.255.255.254 0.0.0.0 0.1.2.3 ::1 :: ::ffff:127.0.0.1 ::127.0.0.1 ::ffff:0:7f00:1 ::ffff:0.0.0.0
        64:ff9b::7f00:1 64:ff9b:1::7f00:1 2002:7f00:1:: 2001:0:7f00:1::f7f7:f7f7 2001:0:808:808::80ff:fffe
        2a00:1450::5efe:7f00:1""",
    Scope.METADATA: """
        169.254.169.254 169.254.170.2 169.254.0.1 168.63.129.16 192.0.0.192 100.100.100.200 fe80::1 febf::1 fe80::1%eth0
        fd00:ec2::254 fd00:ec2::23 fd20:ce::254 fd00:42::42 ::ffff:169.254.169.254 ::ffff:a9fe:a9fe ::a9fe:a9fe
        64:ff9b::a9fe:a9fe 64:ff9b:1::a9fe:a9fe 2002:a9fe:a9fe::1 2001:0:a9fe:a9fe::f7f7:f7f7
        2001:0:808:808::5601:5601 2a00:1450::5efe:a9fe:a9fe ::ffff:0:a9fe:a9fe""",
}  # fmt: skip


@pytest.mark.parametrize("scope", Scope, ids=lambda scope: scope.name.lower())
def test_an_address_has_the_scope_of_the_innermost_address_that_it_holds(scope: Scope) -> None:
    for text in ADDRESSES[scope].split():
        assert scope_of(ip_address(text)) is scope, text


@pytest.mark.parametrize(
    ("host", "address"),
    {
        "127.0.0.1": "127.0.0.1", "127.1": "127.0.0.1", "127.0.1": "127.0.0.1", "2130706433": "127.0.0.1",
        "017700000001": "127.0.0.1", "0x7f000001": "127.0.0.1", "0X7F.1": "127.0.0.1", "0177.0.0.1": "127.0.0.1",
        "0x7f.0x0.0x0.0x1": "127.0.0.1", "127.0.0x1": "127.0.0.1", "0": "0.0.0.0", "0x": "0.0.0.0",
        "00.00.00.00": "0.0.0.0", "10.1": "10.0.0.1", "3232235777": "192.168.1.1", "0xa9fea9fe": "169.254.169.254",
        "169.254.43518": "169.254.169.254", "4294967295": "255.255.255.255", "::1": "::1", "fe80::1%25eth0": "fe80::1",
        "0:0:0:0:0:ffff:7f00:1": "::ffff:127.0.0.1",
        "256.1": None, "1.2.3.256": None, "4294967296": None, "1.2.3.4.5": None, "08.0.0.1": None, "127.0.0.1.": None,
        "1e3": None, "": None, "127..1": None, "-1": None, "api.example": None, "0x7f.example": None, "1.": None,
    }.items(),
)  # fmt: skip
def test_a_host_is_an_address_in_every_spelling_that_a_system_reads(host: str, address: str | None) -> None:
    assert read_address(host) == (None if address is None else ip_address(address))


def test_names_that_everybody_knows_say_where_they_lead() -> None:
    names = {
        "localhost": Scope.LOOPBACK, "LOCALHOST.": Scope.LOOPBACK, "a.localhost": Scope.LOOPBACK,
        "[::1]": Scope.LOOPBACK,
        "127.1.": Scope.LOOPBACK, "10.1": Scope.PRIVATE, "metadata.google.internal": Scope.METADATA,
        "[fe80::1]": Scope.METADATA, "localhost.example": Scope.PUBLIC, "api.example": Scope.PUBLIC,
    }  # fmt: skip
    assert {name: scope_of_name(name) for name in names} == names


PUBLIC, PRIVATE, LOOPBACK, METADATA = "93.184.216.34", "10.0.0.5", "127.0.0.1", "169.254.169.254"
ALL = (PUBLIC, PRIVATE, LOOPBACK, METADATA)


def allowed(rule: Rule, reach: Scope | None) -> list[str]:
    return [address for address in ALL if Guard(rule).attempt("api.example", reach).allows(address)]


@pytest.mark.parametrize(
    ("rule", "reach", "expected"),
    [
        ("any", None, ALL), ("any", Scope.PUBLIC, ALL), ("public", None, (PUBLIC,)),
        ("public", Scope.PRIVATE, (PUBLIC,)), ("list", None, (PUBLIC, PRIVATE, LOOPBACK)),
        ("list", Scope.PUBLIC, (PUBLIC,)),
        ("list", Scope.PRIVATE, (PUBLIC, PRIVATE)), ("list", Scope.LOOPBACK, (PUBLIC, PRIVATE, LOOPBACK)),
    ],
)  # fmt: skip
def test_a_line_says_where_it_goes_and_a_redirect_leads_no_further_in(
    rule: Rule, reach: Scope | None, expected: tuple[str, ...]
) -> None:
    assert allowed(rule, reach) == list(expected)


def test_a_name_does_not_turn_inwards() -> None:
    guard = Guard("list")
    assert guard.attempt("turns.example", None).allows(PUBLIC)
    later = guard.attempt("turns.example", None)
    assert not later.allows(PRIVATE)
    assert later.refused == "10.0.0.5 is a private address, and turns.example had a public address before"
    assert not later.passed
    assert guard.attempt("turns.example", None).allows(PUBLIC)
    assert guard.attempt("inside.example", None).allows(PRIVATE)
    assert guard.attempt("inside.example", None).allows(PUBLIC)
    assert guard.attempt("inside.example", None).allows(PRIVATE)
    assert not guard.attempt("inside.example", None).allows(LOOPBACK)


def test_an_answer_may_hold_addresses_inside_and_outside() -> None:
    guard = Guard("list")
    first = guard.attempt("both.example", None)
    assert first.allows(PUBLIC)
    assert first.allows(PRIVATE)
    assert guard.attempt("both.example", None).allows(PRIVATE)


def test_where_addresses_are_not_seen_names_are_judged() -> None:
    guard = Guard("list")
    refused = guard.refusal_of_name("2130706433", Scope.PUBLIC)
    assert refused == "2130706433 is a loopback address, and a public address led there"
    assert guard.refusal_of_name("2130706433", None) is None
    assert guard.refusal_of_name("inside.example", Scope.PUBLIC) is None
    assert guard.attempt("inside.example", None).allows(PRIVATE)
    assert guard.refusal_of_name("inside.example", Scope.PUBLIC) is not None
    assert guard.reach("inside.example", None) is Scope.PRIVATE
    assert guard.reach("inside.example", ip_address(PUBLIC)) is Scope.PUBLIC
    assert Guard("public").refusal_of_name("10.1", None) == "10.1 is a private address, and APIFETCH_ADDRESSES=public"


def test_so_many_names_are_remembered() -> None:
    guard = Guard("list")
    for number in range(NAMES_AT_MOST + 1):
        guard.learn(f"{number}.example", Scope.PUBLIC)
    assert guard.attempt("0.example", None).allows(PRIVATE)
    assert not guard.attempt("2.example", None).allows(PRIVATE)
