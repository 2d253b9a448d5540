"""One run of a script: hands that let time pass, eyes that look, and a voice that objects."""

from __future__ import annotations

from collections.abc import Iterable
from math import isfinite
from typing import Final

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.swarm import Plan
from meshp2p.simulation.witness import START
from meshp2p.simulation.world import World

CALM_WITHIN: Final[Seconds] = 120.0
"""Virtual seconds in which a mesh without faults must have recovered."""
_NAMED: Final = 5
"""Cases that a broken claim names."""


@attrs.define(eq=False)
class Run:
    """A script's hands and eyes in one run.

    Args:
        name: Of the promise that a broken claim shows.
    """

    name: str
    world: World
    plan: Plan
    figures: dict[str, float] = attrs.field(factory=dict)

    def __getitem__(self, name: str) -> Node:
        """The node of that name."""
        return self.world[name]

    # --- time ------------------------------------------------------------------

    def until(self, at: Seconds) -> None:
        """Let time pass until so many seconds after the world's start."""
        self.world.run_to(START + at)

    def trouble(self) -> None:
        """Let the rest of the hostile phase pass."""
        self.until(max(self.plan.hostile, *self.plan.starts))

    def calm(self, within: Seconds = CALM_WITHIN) -> Seconds:
        """End every fault; how long it takes until all running nodes see exactly each other.

        Raises:
            Violation: Longer than `within`.
        """
        return self.world.calm(within)

    # --- looking ---------------------------------------------------------------

    def told(self, event: str, of: Iterable[str] = (), by: Iterable[str] = ()) -> list[str]:
        """Who was told of this event of whom, as "bob: carol".

        Args:
            of: Members that count; all if none are named.
            by: Nodes that count; all if none are named.
        """
        of, by = set(of), set(by)
        return [
            f"{node.name}: {member}"
            for node in self.world.nodes.values()
            if not by or node.name in by
            for member in node.heard(event)
            if not of or member in of
        ]

    # --- judging ---------------------------------------------------------------

    def require(
        self,
        holds: bool,  # noqa: FBT001  # like assert
        text: str,
        *nodes: str,
    ) -> None:
        """Stop the run if the claim is broken.

        Raises:
            Violation: It is.
        """
        if not holds:
            self.world.violate(self.name, text, nodes)

    def nobody_was(self, event: str, of: Iterable[str] = (), by: Iterable[str] = ()) -> None:
        """Require that nobody was told of this event; see `told`."""
        told = self.told(event, of, by)
        self.require(not told, f"{event} {len(told)} times: {', '.join(told[:_NAMED])}")

    def measure(self, what: str, value: float) -> None:
        """Keep a figure; a campaign shows its median and its maximum.

        Raises:
            ValueError: It is infinite, or not a number.
        """
        if not isfinite(value):
            raise ValueError(f"{what}: {value!r} is no figure that has a median")
        self.figures[what] = value
