"""Alice, bob and carol under the eyes of an invariant, and ways to make them break it."""

from __future__ import annotations

import attrs

from meshp2p.consensus import VoteResult
from meshp2p.effects import Announce, Effect
from meshp2p.events import Event, MemberEvent
from meshp2p.gossip.member import Row
from meshp2p.identity.keys import SIGNATURE_BYTES
from meshp2p.simulation import Agent, Handler, Node, World
from meshp2p.simulation.handlers import Ran
from meshp2p.simulation.invariants import Invariant, inside, watch


@attrs.frozen
class Scene:
    """Alice, bob and carol, who agree, under the eyes of one invariant."""

    world: World
    watched: list[Invariant]
    alice: Node
    bob: Node
    carol: Node

    @classmethod
    def of(cls, *names: str) -> Scene:
        """Set up, and let everybody meet."""
        world = World(seed=7)
        watched = watch(world, *names)
        agent = Agent(
            {"charge": Handler(function=lambda n: n), "add": Handler(function=lambda a, b: a + b)},
            on_message=lambda body: body,
            voter=lambda _: "yes",
        )
        return cls(world, watched, *world.join("alice", "bob", "carol", agent=agent))

    def row(self, observer: Node, of: Node) -> Row:
        """One line of a node's list of members."""
        row = inside.view_of(observer.engine).get(of.id)
        assert row is not None
        return row

    def believe(self, observer: Node, of: Node, **changes: object) -> None:
        """Change a node's mind from outside, and have it looked at."""
        inside.view_of(observer.engine).change(self.row(observer, of), **changes)  # type: ignore[arg-type]
        lookout = self.watched[0].lookout
        lookout.read(lookout.outlook(observer))

    def ask_for(self, node: Node, effect: Effect) -> None:
        """As if the node's engine had asked for an effect."""
        for look in self.world.on_effects:
            look(node, [effect])

    def announce(self, node: Node, event: Event) -> None:
        """As if the node's engine had told its application."""
        self.ask_for(node, Announce(event))

    def begin(self, node: Node, job: Ran) -> None:
        """As if a handler of the node had begun."""
        for look in self.world.on_running:
            look(node, job)

    def tell_of(self, observer: Node, of: Node, name: str, state: str) -> None:
        """As if an application were told of a member."""
        member = observer.engine.member(of.id)
        assert member is not None
        event = MemberEvent(name, attrs.evolve(member, state=state))  # type: ignore[arg-type]
        self.announce(observer, event)

    def verify(self, author: Node, statement: bytes, kind: str) -> None:
        """Somebody checks a statement that the author signed."""
        group_id = author.keys.group_id
        domain = b"meshp2p/" + kind.encode() + b"/1\0"
        payload, signature = statement[:-SIGNATURE_BYTES], statement[-SIGNATURE_BYTES:]
        public = author.identity.node_public
        assert self.world.crypto.verify(public, domain + group_id + payload, signature)

    def vote(self) -> VoteResult:
        """A vote that was decided as it should be."""
        pending = self.world.vote(self.alice, "ship it?", ["yes", "no"])
        self.world.run_for(2.0)
        assert isinstance(pending.value, VoteResult)
        return pending.value
