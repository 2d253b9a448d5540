from __future__ import annotations

import socket

import pytest

from meshp2p.ids import Address
from meshp2p.runtime.sockets import DatagramSocket


@pytest.mark.timeout(10)
def test_a_socket_that_only_fails_is_not_read_for_ever() -> None:
    """A turn of the node ends, whatever the kernel answers, and tells that it was in vain."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as unconnected:
        unconnected.settimeout(0)
        broken = DatagramSocket(unconnected)  # each read of it fails, with ENOTCONN

        assert broken.drain(64) == []
        assert broken.is_failing


def test_one_error_hides_no_datagram() -> None:
    """An ICMP error is reported once; what arrived behind it is read in the same turn."""
    with (
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as bob,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as alice,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody,
    ):
        for sock in (bob, alice, nobody):
            sock.bind(("127.0.0.1", 0))
        bob.settimeout(0)
        receiving = DatagramSocket(bob)
        closed_port = nobody.getsockname()
        nobody.close()
        bob.sendto(b"is there anybody", closed_port)
        alice.sendto(b"hello", bob.getsockname())

        assert receiving.drain(64) == [(b"hello", Address(*alice.getsockname()))]
        assert not receiving.is_failing
        assert receiving.refused() == [Address(*closed_port)]
