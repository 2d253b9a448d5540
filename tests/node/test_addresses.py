"""A machine that gets another address, on real sockets."""

from __future__ import annotations

import contextvars
from collections.abc import Sequence
from pathlib import Path

from meshp2p import Node
from meshp2p.ids import Address
from meshp2p.node.machine import MACHINE, Computer
from tests.node.conftest import Start
from tests.node.waiting import eventually, know_each_other


class Laptop(Computer):
    """A machine that is told where it is."""

    host = "127.0.0.1"

    def advertised(self, bound: Sequence[Address]) -> tuple[Address, ...]:
        """One address; its sockets hear all of them."""
        return (Address(self.host, bound[0].port),)


def start_on(laptop: Laptop, start: Start, handle: str, mesh: Path, state: Path) -> Node:
    """A node there that listens everywhere."""

    def begin() -> Node:
        MACHINE.set(laptop)
        return start(
            handle, mesh=mesh, bind="0.0.0.0:0", state_dir=state, discovery=(), profile="loopback"
        )

    return contextvars.copy_context().run(begin)


def test_others_learn_of_a_new_address_within_seconds(start: Start, home: Path) -> None:
    """Nobody is restarted, and calls go there."""
    mesh = home / "shared.mesh"
    mesh.write_text("meshp2p-mesh-key/1 " + "5a" * 32 + "\n")
    mesh.chmod(0o600)
    laptop = Laptop()
    bob = start_on(laptop, start, "bob", mesh, home / "two")
    (where,) = bob.addresses
    alice = start(
        "alice", mesh=mesh, bind="127.0.0.1:0", seeds=[where], state_dir=home / "one", discovery=()
    )
    bob.on_message(lambda message: f"here: {message.body}")
    know_each_other(alice, bob)
    assert alice.call("@bob", "first") == "here: first"

    laptop.host = "127.0.0.2"

    moved = where.replace("127.0.0.1", "127.0.0.2")
    eventually(
        lambda: [str(each) for m in alice.members(handle="bob") for each in m.addresses] == [moved],
        within=15.0,
    )
    assert bob.addresses == (moved,)
    assert alice.call("@bob", "again") == "here: again"
