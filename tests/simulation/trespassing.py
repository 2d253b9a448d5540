"""Ways in which guests and neighbours would be taken for members, each done by hand."""

from __future__ import annotations

from collections.abc import Callable

import attrs

from meshp2p.consensus import AwardData
from meshp2p.effects import Invoke, StreamReady
from meshp2p.engine import Engine
from meshp2p.events import CallFinished
from meshp2p.ids import NodeId
from meshp2p.simulation import Node
from meshp2p.simulation.handlers import Ran
from tests.simulation.scene import Scene


def _victor(scene: Scene) -> Node:
    """A guest who has looked."""
    (victor,) = scene.world.join("victor", guest=True)
    return victor


def _wendy(scene: Scene) -> Node:
    """Somebody of another namespace, told of alice."""
    wendy = scene.world.start("wendy", namespace="elsewhere", seeds=[scene.alice])
    scene.world.run_for(2.0)
    return wendy


def _joins_as_a_guest(scene: Scene) -> None:
    make = scene.world.make_engine

    def make_member(**options: object) -> Engine:
        return make(**{**options, "guest": False})

    scene.world.make_engine = make_member
    scene.world.start("victor", guest=True)
    scene.world.run_for(2.0)


def _asks_a_guest(scene: Scene) -> None:
    _datagram(scene, scene.alice, _victor(scene))


def _gives_a_guest_work(scene: Scene) -> None:
    victor = _victor(scene)
    scene.ask_for(victor, Invoke(1, "charge", b"", 0.0, scene.bob.id, "bob", None))


def _awards_to_a_guest(scene: Scene) -> None:
    pending = scene.world.auction(scene.alice, "charge", 1)
    scene.world.run_for(1.0)
    assert isinstance(pending.value, AwardData)
    award = attrs.evolve(pending.value, winner=_victor(scene).id)
    scene.announce(scene.alice, CallFinished(4711, award))


def _elects_a_guest(scene: Scene) -> None:
    result, victor = scene.vote(), _victor(scene)
    proposal = result.certificate.proposal
    electors = tuple(
        attrs.evolve(each, node_key=victor.identity.node_public) for each in proposal.electors
    )
    certificate = attrs.evolve(
        result.certificate, proposal=attrs.evolve(proposal, electors=electors)
    )
    scene.announce(scene.alice, CallFinished(4711, attrs.evolve(result, certificate=certificate)))


def _lists_a_neighbour(scene: Scene) -> None:
    wendy = _wendy(scene)
    for told in scene.watched[0].lookout.on_row:
        lookout = scene.watched[0].lookout
        glimpse = lookout.outlook(wendy).glimpses[NodeId(wendy.id)]
        told(lookout.outlook(scene.alice), NodeId(wendy.id), None, glimpse)


def _answers_a_neighbour(scene: Scene) -> None:
    _datagram(scene, scene.alice, _wendy(scene))


def _writes_to_a_neighbour(scene: Scene) -> None:
    _wendy(scene)
    link = ("alice", "wendy")
    streams = scene.alice.streams
    scene.world.run_until(lambda: any(end.lane.link == link for end in streams.values()), 60.0)
    (number,) = (number for number, end in streams.items() if end.lane.link == link)
    scene.ask_for(scene.alice, StreamReady(number))


def _works_for_a_neighbour(scene: Scene) -> None:
    wendy = _wendy(scene)
    now = scene.world.now
    scene.begin(scene.alice, Ran("charge", now, now + 1.0, wendy.id, b"", b"", 0, None))


def _datagram(scene: Scene, sender: Node, to: Node) -> None:
    for look in scene.world.on_datagram:
        look(sender, to.address, b"hello")


TRESPASSES: list[tuple[str, Callable[[Scene], None]]] = [
    ("guests", _joins_as_a_guest),
    ("guests", _asks_a_guest),
    ("guests", _gives_a_guest_work),
    ("guests", _awards_to_a_guest),
    ("guests", _elects_a_guest),
    ("namespaces", _lists_a_neighbour),
    ("namespaces", _answers_a_neighbour),
    ("namespaces", _writes_to_a_neighbour),
    ("namespaces", _works_for_a_neighbour),
]
