"""Large meshes without the hours that joining them one by one would take to compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from meshp2p.gossip.member import Row
from meshp2p.gossip.rows import Crowd
from meshp2p.simulation.invariants.inside import swim_of

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World


def acquaint(world: World, nodes: Sequence[Node], *, told: bool = True) -> None:
    """Let running nodes know each other at once, as if each had synced with all others.

    They hold one list in common until they have to do with each other. Nothing is sent for it
    and no signature is checked: so nobody has sessions or round trips yet.

    Args:
        told: Whether agents hear of each other, as promised; ten thousand would hear of a
            hundred million.

    Raises:
        ValueError: One of them is a guest.
    """
    now = world.now
    rows = []
    for node in nodes:
        record = swim_of(node.engine).own_record()
        if record is None:
            raise ValueError(f"{node.name} is a guest, which is no member")
        rows.append(Row(record=record, state="alive", joined_at=now, last_seen=now))
    crowd = Crowd.of(rows)
    for number, node in enumerate(nodes):
        peer = nodes[number - 1]
        swim_of(node.engine).begin_with(crowd, peer.id, told=told, now=node.now)
        node.process.after_input()
