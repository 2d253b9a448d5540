"""Large meshes without the hours that joining them one by one would take to compute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from meshp2p.simulation.invariants.inside import swim_of

if TYPE_CHECKING:
    from meshp2p.simulation.nodes import Node
    from meshp2p.simulation.world import World

_SLICE: Final = 1_000
"""Records handed over in one input."""


def acquaint(world: World, nodes: Sequence[Node]) -> None:
    """Let running nodes know each other at once, as if each had synced with all others.

    Signatures and chains are checked as ever. Time passes until that is done; nothing is
    sent for it, so nobody has sessions or round trips yet.
    """
    listed = [record for node in nodes for record in swim_of(node.engine).sync_payload()]
    peer = nodes[0].id
    for node in nodes:
        swim = swim_of(node.engine)
        for start in range(0, len(listed), _SLICE):
            swim.merge_untrusted(listed[start : start + _SLICE], None, now=node.now)
        swim.synced_with(nodes[1].id if node.id == peer else peer, now=node.now)
        node.process.after_input()
    world.run_until_quiet(60.0)
