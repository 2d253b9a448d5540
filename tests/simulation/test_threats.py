"""What one hostile member, or somebody beside the path, can do to a mesh of whole nodes."""

from __future__ import annotations

from meshp2p.ids import Address
from meshp2p.simulation import ALIVE, DEAD, Handler, Node, World
from meshp2p.transport.path import Route
from meshp2p.wire import codec


def forward(world: World, sender: Node, helper: Node, items: list[codec.Value]) -> None:
    """Let a member say anything at all in one datagram to another."""

    def say(node: Node) -> None:
        endpoint = node.engine._endpoint  # noqa: SLF001  # a member that says what ours never would
        endpoint.send(helper.id, codec.pack(items), route=lambda _: Route((), None), now=world.now)
        node.engine._membership.drain(world.now)  # noqa: SLF001

    say(sender)
    sender.process.after_input()


def refuse(node: Node, victim: Node) -> None:
    """Let ICMP tell a node that nobody listens where another one does."""
    node.feed(lambda engine, now: engine.datagram_refused(victim.address, now=now))


def sent_by(world: World, name: str, *, to: Node) -> list[int]:
    """Sizes of the datagrams that somebody sends to another from now on."""
    sizes: list[int] = []

    def look(node: Node, address: Address, data: bytes) -> None:
        if node.name == name and address == to.address:
            sizes.append(len(data))

    world.on_datagram.append(look)
    return sizes


def test_forged_refusals_kill_nobody() -> None:
    """Two, or fifty, ICMP messages that anybody can send end no call and no membership."""
    world = World(1)
    slow = {"slow": Handler(function=lambda: "done", takes=5.0)}
    alice, bob, carol = world.join("alice", "bob", "carol", handlers=slow)
    call = alice.call("slow", timeout=20.0)
    for _ in range(25):
        for victim in (bob, carol, bob, carol):
            refuse(alice, victim)
        world.run_for(0.02)
    world.run_until(lambda: call.is_done)

    assert call.result == "done"
    assert [alice.sees(bob), alice.sees(carol)] == [ALIVE, ALIVE]
    assert [node.heard("member.failed") for node in world.running] == [[], [], []]


def test_a_true_refusal_still_ends_it_quickly() -> None:
    """A killed process is known to be dead to all within a second on one machine."""
    world = World(1)
    alice, bob, carol = world.join("alice", "bob", "carol")
    world.run_for(3.0)
    world.crash(bob)

    took = world.run_until(lambda: [alice.sees(bob), carol.sees(bob)] == [DEAD, DEAD])

    assert took < 1.0


def test_one_datagram_is_forwarded_as_one_at_most() -> None:
    """Many small requests to forward, packed together, do not multiply."""
    sent: list[int] = []
    for asks in (0, 50):
        world = World(1)
        bob, mallory, carol = world.join("bob", "mallory", "carol")
        world.run_for(3.1)
        sizes = sent_by(world, "bob", to=carol)
        if asks:
            forward(world, mallory, bob, [[3, 0, carol.id, b""]] * asks)
        world.run_for(0.01)
        sent.append(len(sizes))

    assert sent == [0, 1]  # at that moment bob has nothing of his own to say to carol


def test_forwarding_for_one_member_has_a_budget() -> None:
    """Whoever asks a hundred times in a second is served a few times; others are not affected."""
    world = World(1)
    bob, mallory, carol, dave = world.join("bob", "mallory", "carol", "dave")
    world.run_for(3.0)
    before = bob.engine.stats().get("datagram_forwarded", 0)

    for _ in range(100):
        forward(world, mallory, bob, [[3, 0, carol.id, b"?"]])
        world.run_for(0.01)
    forwarded = bob.engine.stats()["datagram_forwarded"] - before
    assert 20 < forwarded < 60

    forward(world, dave, bob, [[3, 0, carol.id, b"?"]])
    world.run_for(0.01)
    assert bob.engine.stats()["datagram_forwarded"] - before == forwarded + 1
