"""Meshes of hundreds and thousands: engines and simulated agents instead of real nodes."""

from __future__ import annotations

from typing import Any

from meshp2p.config import Config, lan
from meshp2p.errors import UsageError
from meshp2p.simulation import Agent, World
from meshp2p.simulation.acquaintance import acquaint
from meshp2p.wire import limits


class Swarm(World):
    """A world of so many members, `node0`, `node1`, ..., who have long met.

    Its verbs are those of `World`, and much like those of `Simulation`. An engine that knows
    ten thousand takes some 100 KiB, since they hold in common what they know.
    """

    def __init__(
        self,
        size: int,
        seed: int = 0,
        config: Config | None = None,
        *,
        agent: Agent | None = None,
        **options: Any,  # noqa: ANN401  # as `World`
    ) -> None:
        """Start them and let each know all others, as if they had joined hours ago.

        Args:
            size: How many, 1 to `limits.MAX_MEMBERS`.
            seed: Decides everything that is left to chance.
            config: `lan()` if None.
            agent: What each of them runs.

        Raises:
            UsageError: So many do not fit into one mesh.
        """
        if not 1 <= size <= limits.MAX_MEMBERS:
            raise UsageError(f"size={size!r}: allowed are 1 to {limits.MAX_MEMBERS} members")
        super().__init__(seed, config or lan(), **options)
        nodes = [self.start(f"node{n}", agent=agent, seeds=()) for n in range(size)]
        acquaint(self, nodes, told=False)
