"""A member that lies in what it asks and answers by stream: bids, ballots, awards, calls, syncs."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain
from random import Random
from typing import TYPE_CHECKING, ClassVar, Final

import attrs

from meshp2p.errors import UsageError
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.faults.fault import Stop
from meshp2p.simulation.forgery import Forger
from meshp2p.simulation.invariants.inside import peer_sealed_for, view_of
from meshp2p.simulation.liars import Liar
from meshp2p.simulation.perjury import MOST_AT_ONCE, FalseWitness
from meshp2p.simulation.sayings import Saying, as_another, as_frame, frames_with, sayings_in
from meshp2p.transport.record import MAX_RECORD_PLAINTEXT

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World

_BESIDES: Final = 0.5
"""Share of lies that ask for something more; of these half leave the truth as it is."""


@attrs.frozen
class Perjure:
    """A member says something else in a share of its requests and answers, or asks for more.

    Changed is one field, or a head, or what it signed, truly signed again; or it says what was
    said before, nothing, noise, or too much. It claims results of tasks that are not its own,
    and awards on what was awarded to it.
    """

    kind: ClassVar[str] = "byzantine.perjure"
    node: str
    share: float

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        crypto = node.origins.crypto
        if not isinstance(crypto, Liar):
            raise UsageError(f"{self.node} cannot lie: start it with crypto=Liar(world.crypto)")
        world.byzantine.add(self.node)
        draws, count = Draws(world.seed, repr(self)), [0]

        def tale(key: bytes, plaintext: bytes) -> bytes:
            if not node.is_running:  # its twin speaks
                return plaintext
            said: dict[int, list[bytes]] = {}
            for saying in sayings_in(plaintext):
                count[0] += 1
                draw = draws.at(count[0]) / self.share if self.share else 1.0
                if draw < 1.0:
                    witness = _witness(node, crypto, key, Random(draw))
                    said[saying.stream] = _told_by(witness, saying, count[0])
            return self._if_it_fits(world, plaintext, said)

        number = world.next_number()
        crypto.tales[number] = tale

        def stop() -> None:
            del crypto.tales[number]

        return stop

    def _if_it_fits(self, world: World, plaintext: bytes, said: dict[int, list[bytes]]) -> bytes:
        lie = frames_with(plaintext, said) if said else plaintext
        if lie == plaintext or len(lie) > MAX_RECORD_PLAINTEXT:
            return plaintext
        world.coverage[self.kind] += len(said)
        return lie


def _witness(node: Node, crypto: Liar, key: bytes, rng: Random) -> FalseWitness:
    """With all that a member knows."""
    identity, view = node.identity, view_of(node.engine)
    own = view.get(identity.node_id)
    forger = None
    if own is not None:
        forger = Forger(
            crypto=crypto,
            identity=identity,
            own=own.record,
            others=[row.record for row in view if row is not own],
            unix=node.clock.unix,
            rng=rng,
        )
    return FalseWitness(
        crypto=crypto,
        identity=identity,
        peer=peer_sealed_for(node.engine, key),
        people=[identity.node_id, *(row.id for row in view if row is not own)],
        told=_sayings(crypto.told),
        said=_sayings(crypto.said),
        forger=forger,
        rng=rng,
    )


def _sayings(records: Iterable[bytes]) -> list[Saying]:
    return list(chain.from_iterable(map(sayings_in, records)))


def _told_by(witness: FalseWitness, saying: Saying, number: int) -> list[bytes]:
    """Frames in place of one request or answer."""
    more = witness.besides() if witness.rng.random() < _BESIDES else []
    others = [as_another(saying, number * MOST_AT_ONCE + at, each) for at, each in enumerate(more)]
    lie = saying.data if others and witness.rng.random() < _BESIDES else witness.instead(saying)
    return others if lie is None else [as_frame(saying, lie), *others]
