"""How nodes find each other, and what they say when this machine does not let them."""

from __future__ import annotations

import os
import shutil
import socket
import stat
import time
from pathlib import Path

import pytest

from meshp2p import Node, PortTaken, StateUnusable, UsageError, capability
from tests.node.conftest import Start
from tests.node.processes import STARTING, Run
from tests.node.tap import free_port
from tests.node.waiting import eventually, handles, know_each_other


@capability("greet")
def greet(name: str) -> str:
    """Say hello."""
    return f"hello {name}"


# --- seeds --------------------------------------------------------------------------------


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_a_seed_is_enough(start: Start, host: str) -> None:
    """Name, IPv4 or IPv6: one address of one member, and the whole mesh is known."""
    bob, carol = start("bob", capabilities=[greet]), start("carol")
    know_each_other(bob, carol)
    port = bob.addresses[0].rpartition(":")[2]

    alice = start("alice", seeds=[f"{host}:{port}"], discovery=())

    assert handles(alice.members()) == {"alice", "bob", "carol"}
    assert alice.call("greet", "x") == "hello x"
    know_each_other(alice, bob, carol)


def test_start_returns_when_the_members_are_known(start: Start) -> None:
    """Right after `start()` the members of a mesh that can be found are all there."""
    for name in ("bob", "carol", "dave"):
        start(name)

    assert handles(start("alice").members()) == {"alice", "bob", "carol", "dave"}


def test_a_node_alone_starts_at_once() -> None:
    """Nobody to wait for: no second is lost."""
    began = time.monotonic()
    with Node("alice", discovery=("local",)):
        took = time.monotonic() - began

    assert took < 0.7


def test_an_unreachable_seed_holds_the_start_up_for_a_second_and_is_tried_for_ever(
    start: Start,
) -> None:
    """Who comes up later at the seed's address is joined, without anybody doing anything."""
    port = free_port()
    began = time.monotonic()
    alice = start("alice", seeds=[f"127.0.0.1:{port}"], discovery=())
    assert time.monotonic() - began < 1.8
    assert handles(alice.members()) == {"alice"}

    bob = start("bob", bind=f"127.0.0.1:{port}", discovery=())

    eventually(lambda: handles(alice.members()) == {"alice", "bob"}, within=10)
    know_each_other(alice, bob)


def test_a_name_that_nobody_knows_is_like_a_seed_that_is_down(start: Start) -> None:
    """The node starts; one of several seeds that answers is enough."""
    bob = start("bob", discovery=())

    alice = start(
        "alice", seeds=["nobody.invalid.localhost:1", "127.0.0.1:1", bob.addresses[0]], discovery=()
    )

    eventually(lambda: handles(alice.members()) == {"alice", "bob"})


def test_a_node_that_is_its_own_seed_is_just_alone(start: Start) -> None:
    """The same list of seeds may be given to all, the seed itself included."""
    port = free_port()
    address = f"127.0.0.1:{port}"

    alice = start("alice", bind=address, seeds=[address], discovery=())
    bob = start("bob", seeds=[address], discovery=())

    know_each_other(alice, bob)


# --- one machine --------------------------------------------------------------------------

AGENT = """
    import sys
    from meshp2p import Node, capability

    @capability("pid")
    def pid() -> str:
        return sys.argv[1]

    sys.stdin.readline()
    with Node(sys.argv[1], capabilities=[pid]) as node:
        print(node.id, flush=True)
        for line in sys.stdin:
            print(*sorted(m.handle for m in node.members()), flush=True)
"""


def test_two_processes_find_each_other_with_no_configuration(start: Start, run: Run) -> None:
    """No seed, no port, no key: the same user on the same machine is enough."""
    bob = run(AGENT, "bob")
    bob.say()
    bob.line()

    alice = start("alice")

    assert alice.call("pid") == "bob"
    bob.say("who?")
    assert bob.line() == "alice bob"


@pytest.mark.slow
def test_ten_processes_that_start_at_once_make_one_mesh(run: Run, home: Path) -> None:
    """They agree on one key, made by whoever was first, and all see all."""
    names = [f"agent{n}" for n in range(10)]
    agents = [run(AGENT, name) for name in names]
    for agent in agents:
        agent.say()
    ids = {agent.line(within=30) for agent in agents}
    assert len(ids) == 10

    def everybody_sees_everybody() -> bool:
        for agent in agents:
            agent.say("who?")
        return {agent.line() for agent in agents} == {" ".join(sorted(names))}

    eventually(everybody_sees_everybody, within=STARTING)
    [key] = (home / "state").glob("**/mesh.key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_another_namespace_is_another_mesh(start: Start) -> None:
    """Nodes of two namespaces do not exist for each other, even as seeds."""
    alice = start("alice")
    bob = start("bob", namespace="staging", seeds=[alice.addresses[0]])
    carol = start("carol", namespace="staging")

    know_each_other(bob, carol)
    assert handles(alice.members(state="all")) == {"alice"}
    assert handles(bob.members(state="all")) == {"bob", "carol"}


def test_another_mesh_key_is_another_mesh(start: Start, home: Path) -> None:
    """A node of another user's state meets silence, even with a seed."""
    alice = start("alice")

    mallory = start(
        "mallory", state_dir=home / "other", seeds=[alice.addresses[0]], discovery=("local",)
    )

    eventually(lambda: alice.stats().get("stream_dropped", 0) > 0)
    assert handles(mallory.members(state="all")) == {"mallory"}
    assert handles(alice.members(state="all")) == {"alice"}


def test_a_copied_mesh_key_joins_two_states(start: Start, home: Path) -> None:
    """`mesh=PATH` trusts whoever holds the file; addresses then need not be loopback's."""
    shared = home / "team.mesh"
    with Node("first"):
        shutil.copy(home / "state" / "mesh.key", shared)
    os.chmod(shared, 0o600)  # noqa: PTH101  # a Path's chmod reads no better

    alice = start("alice", mesh=shared, bind="127.0.0.1:0", state_dir=home / "one", discovery=())
    bob = start(
        "bob",
        mesh=str(shared),
        bind="0.0.0.0:0",  # allowed with a mesh that was shared on purpose
        seeds=[alice.addresses[0]],
        state_dir=home / "two",
        discovery=(),
        capabilities=[greet],
    )

    know_each_other(alice, bob)
    assert alice.call("greet", "x") == "hello x"


def test_replicas_have_slots_and_a_restart_gets_its_own_back(start: Start) -> None:
    """Two bobs are two ids; the one that comes back is the one that had gone."""
    first, second = start("bob"), start("bob")
    assert first.id != second.id
    gone = first.id

    first.stop()

    assert start("bob").id == gone


def test_an_ephemeral_node_leaves_nothing_on_disk(start: Start, home: Path) -> None:
    """Its key and journal are in memory only; it is a member like others."""
    alice = start("alice", capabilities=[greet])
    bob = start("bob", identity="ephemeral")

    assert bob.call("greet", "x") == "hello x"
    know_each_other(alice, bob)
    assert not [path for path in (home / "state").glob("**/*") if path.name == "bob"]


# --- this machine says no -----------------------------------------------------------------


@pytest.mark.parametrize("kind", [socket.SOCK_STREAM, socket.SOCK_DGRAM])
def test_a_port_that_is_taken_is_said_with_what_to_do(home: Path, kind: int) -> None:
    """For UDP as for TCP; and nothing of the failed start is left behind."""
    with socket.socket(type=kind) as taken:
        taken.bind(("127.0.0.1", 0))
        if kind == socket.SOCK_STREAM:
            taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(PortTaken) as raised:
            Node("alice", bind=f"127.0.0.1:{port}").start()

    assert str(raised.value) == (
        f"port {port} of 127.0.0.1 is in use; choose another, or let the system choose with "
        "bind='127.0.0.1:0'"
    )
    with Node("alice", bind=f"127.0.0.1:{port}") as alice:
        assert alice.addresses == (f"127.0.0.1:{port}",)
    assert list(home.glob("run/meshp2p/*/*")) == []


def test_a_state_directory_that_cannot_be_used_is_said_with_what_to_do(home: Path) -> None:
    """A file in its place is enough: the sentence names the path and the ways out."""
    (home / "state").write_text("in the way")

    with pytest.raises(StateUnusable) as raised:
        Node("alice").start()

    text = str(raised.value)
    assert str(home / "state") in text
    assert "set MESHP2P_STATE to another directory" in text
    assert 'identity="ephemeral"' in text


def test_a_key_that_others_can_read_is_refused(home: Path) -> None:
    """A mesh key with open permissions is not used; the sentence has the command."""
    with Node("alice"):
        pass
    key = home / "state" / "mesh.key"
    key.chmod(0o644)

    with pytest.raises(StateUnusable, match=f"chmod 600 {key}"):
        Node("alice").start()


def test_a_damaged_key_is_said(home: Path) -> None:
    """Not a traceback of a parser: a sentence with the path."""
    with Node("alice"):
        pass
    (home / "state" / "mesh.key").write_text("what is this?\n")

    with pytest.raises(StateUnusable, match=r"mesh\.key is damaged"):
        Node("alice").start()


def test_a_mesh_key_that_is_not_there_is_said(home: Path) -> None:
    """`mesh=` names a file; it is never made by itself."""
    with pytest.raises(StateUnusable, match=r"cannot read the key file .*nowhere.mesh"):
        Node("alice", mesh=home / "nowhere.mesh", bind="127.0.0.1:0").start()


def test_beyond_this_machine_only_with_a_shared_mesh() -> None:
    """A seed or bind on the network without `mesh=` is refused, with the fix."""
    for bind, seeds in (("192.0.2.1:0", ()), (None, ["192.0.2.1"]), ("[2001:db8::1]:0", ())):
        with pytest.raises(UsageError, match="give mesh='path of a mesh key'"):
            Node(bind=bind, seeds=seeds)


def test_every_address_is_every_loopback_address_without_a_shared_mesh() -> None:
    """`bind=":0"` shows nothing to the network unless `mesh=` is given."""
    with Node(bind=":0") as alone:
        assert {text.rpartition(":")[0] for text in alone.addresses} <= {"127.0.0.1", "[::1]"}


def test_an_address_that_this_machine_does_not_have_is_said(home: Path) -> None:
    """A bind to another machine's address is a sentence about listening."""
    with Node("first"):
        shutil.copy(home / "state" / "mesh.key", home / "team.mesh")

    with pytest.raises(Exception, match=r"cannot listen on 192\.0\.2\.1") as raised:
        Node("alice", mesh=home / "team.mesh", bind="192.0.2.1:0").start()
    assert type(raised.value).__name__ == "StartError"


def test_nodes_of_different_loopback_families_probe_each_other() -> None:
    """One listens on ::1 only, the other on 127.0.0.1 only; neither takes the other for dead."""
    with Node("six", bind="[::1]:0") as six, Node("four", bind="127.0.0.1:0") as four:
        know_each_other(six, four)
        acked = eventually(lambda: [m for m in six.members() if m.handle == "four" and m.rtt])
        assert acked[0].state == "alive"
        back = eventually(lambda: [m for m in four.members() if m.handle == "six" and m.rtt])
        assert back[0].state == "alive"
