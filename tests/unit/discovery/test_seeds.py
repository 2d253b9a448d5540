from __future__ import annotations

import re

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.discovery.seeds import is_loopback_host, parse_bind, parse_seed, resolve
from meshp2p.errors import UsageError
from meshp2p.ids import Address


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10.0.0.7:7001", ("10.0.0.7", 7001)),
        ("10.0.0.7", ("10.0.0.7", 6374)),
        ("bob.example:65535", ("bob.example", 65535)),
        ("bob.example.", ("bob.example.", 6374)),
        ("build_host-1", ("build_host-1", 6374)),
        ("localhost:1", ("localhost", 1)),
        ("[2001:db8::7]:7001", ("2001:db8::7", 7001)),
        ("[::1]", ("::1", 6374)),
    ],
)
def test_a_seed_is_a_host_and_perhaps_a_port(text: str, meant: tuple[str, int]) -> None:
    """People write seeds as in a browser; without a port it is 6374."""
    assert parse_seed(text) == meant


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":6374",
        "bob:",
        "bob:0",
        "bob:65536",
        "bob:6374x",
        "bob:-1",
        "bob:\u0661",
        "::1",
        "2001:db8::7:6374",
        "[::1",
        "[::1]6374",
        "[bob]:6374",
        "[10.0.0.7]:6374",
        "[fe80::1%eth0]:6374",
        "[::]:6374",
        "0.0.0.0:6374",
        "224.0.0.1:6374",
        "10.0.0.300:6374",
        "tcp://bob:6374",
        "bob alice",
        "bob\n",
        "-bob",
        "bob..example",
        "b" * 64,
        ".".join(["bob"] * 80),
    ],
)
def test_what_is_no_seed_is_named_in_the_error(text: str) -> None:
    """A slip of the pen is refused at once, not tried for ever."""
    with pytest.raises(UsageError, match=re.escape(f"seed={text!r}")):
        parse_seed(text)


@given(st.text() | st.integers() | st.none() | st.text("[]:.a1%-", max_size=12))
def test_a_seed_is_read_or_refused(value: object) -> None:
    """Nothing a person passes causes another error than `UsageError`."""
    try:
        host, port = parse_seed(value)
    except UsageError:
        return
    shown = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert parse_seed(shown) == (host, port)


def test_a_long_host_is_refused_quickly() -> None:
    """No pattern of dots and dashes keeps the parser busy (the suite has a time limit)."""
    with pytest.raises(UsageError):
        parse_seed("a-" * 126 + "!")
    with pytest.raises(UsageError):
        parse_seed("a-a." * 20_000)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("127.0.0.1:0", ("127.0.0.1", 0)),
        ("[::1]:0", ("::1", 0)),
        (":6374", ("", 6374)),
        ("0.0.0.0:7001", ("0.0.0.0", 7001)),  # noqa: S104  # it is what the user wrote
        ("[::]", ("::", 6374)),
        ("localhost:7001", ("127.0.0.1", 7001)),
    ],
)
def test_bind_is_an_address_of_this_machine(text: str, meant: tuple[str, int]) -> None:
    """Port 0 lets the system choose, no host means every address."""
    assert parse_bind(text) == meant


@pytest.mark.parametrize("text", ["", "bob:6374", "[::1", "127.0.0.1:65536", "::1", "eth0"])
def test_what_cannot_be_bound_is_named_in_the_error(text: str) -> None:
    """A name could mean several addresses, so it is refused with an example."""
    with pytest.raises(UsageError, match=re.escape(f"bind={text!r}")):
        parse_bind(text)


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("localhost", True),
        ("LocalHost.", True),
        ("alice.localhost", True),
        ("10.0.0.7", False),
        ("0.0.0.0", False),  # noqa: S104  # nothing is bound
        ("::", False),
        ("", False),
        ("notlocalhost", False),
        ("localhost.example", False),
        ("127.0.0.1.example", False),
    ],
)
def test_only_what_stays_on_the_machine_is_loopback(host: str, *, loopback: bool) -> None:
    """The easy mode asks this before it opens a socket; in doubt it is a no."""
    assert is_loopback_host(host) is loopback


def test_numeric_seeds_need_no_name_server() -> None:
    """IPv4 and IPv6 alike; long forms are shortened, so that an address has one spelling."""

    async def main() -> list[list[Address]]:
        return [await resolve("10.0.0.7", 7001), await resolve("2001:db8:0:0::7", 7002)]

    assert trio.run(main) == [[Address("10.0.0.7", 7001)], [Address("2001:db8::7", 7002)]]


def test_a_name_gives_each_address_once() -> None:
    """`localhost` leads to loopback addresses, none of them twice."""
    found = trio.run(resolve, "localhost", 7001)

    assert found
    assert len(set(found)) == len(found)
    assert all(address.is_loopback and address.port == 7001 for address in found)


@pytest.mark.parametrize("host", ["bob.invalid", "b" * 64 + ".invalid", "bob..invalid", "\0"])
def test_an_unknown_name_gives_nothing(host: str) -> None:
    """A seed that cannot be looked up today may be tomorrow: no error, no address."""
    assert trio.run(resolve, host, 7001) == []
