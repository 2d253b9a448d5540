"""A member that lies about others: it signs that they do not answer, though they do."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from meshp2p.errors import UsageError
from meshp2p.gossip.accusation import TIMEOUT, Accusation
from meshp2p.gossip.messages import SuspicionItem
from meshp2p.simulation.dice import Draws
from meshp2p.simulation.faults.fault import Stop
from meshp2p.simulation.invariants.inside import view_of
from meshp2p.simulation.liars import Liar, with_one_more

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World


@attrs.frozen
class Accuse:
    """A member adds a suspicion, properly signed, to a share of all its datagrams.

    It always accuses the newest version that it knows, so a refutation never ends it.

    Args:
        of: Whom it accuses, one in each datagram.
    """

    kind: ClassVar[str] = "byzantine.accuse"
    node: str
    of: tuple[str, ...]
    share: float = 1.0

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        node = world[self.node]
        crypto = node.origins.crypto
        if not isinstance(crypto, Liar):
            raise UsageError(f"{self.node} cannot lie: name it among the script's liars")
        draws, said = Draws(world.seed, repr(self)), [0]
        world.byzantine.add(self.node)

        def lie(plaintext: bytes) -> bytes | None:
            said[0] += 1
            draw = draws.at(said[0])
            if draw >= self.share:
                return None
            subject = world[self.of[int(draw / self.share * len(self.of))]]
            accused = _with_accusation(plaintext, node, subject)
            world.coverage[self.kind] += accused is not None
            return accused

        number = world.next_number()
        crypto.lies[number] = lie

        def stop() -> None:
            del crypto.lies[number]

        return stop


def _with_accusation(plaintext: bytes, accuser: Node, subject: Node) -> bytes | None:
    """The same datagram with one item more; None if its subject is unknown."""
    if not accuser.is_running:  # its twin speaks
        return None
    row = view_of(accuser.engine).get(subject.id)
    if row is None:
        return None
    identity = accuser.identity
    accusation = Accusation.signed(
        accuser.origins.crypto,
        identity.node_private,
        accuser.keys.group_id,
        subject=subject.id,
        version=row.version,
        accuser=identity.node_id,
        unix=int(accuser.clock.unix),
        evidence=TIMEOUT,
    )
    return with_one_more(plaintext, SuspicionItem(accusation.raw).wire())
