"""What an invariant is: a promise with a name, which looks on and stops the run."""

from __future__ import annotations

from typing import ClassVar, NoReturn

from meshp2p.ids import NodeId
from meshp2p.simulation.happening import Violation
from meshp2p.simulation.invariants.lookout import Lookout


class Invariant:
    """One promise of the protocol, watched from outside of it.

    Args:
        name: A letter and a number (I members, L how soon views come right, A auctions,
            V votes), or a word.
        promise: What users are told, in one sentence.
    """

    name: ClassVar[str]
    promise: ClassVar[str]

    def __init__(self, lookout: Lookout) -> None:
        """Watch; whoever overrides this registers for what it wants to see."""
        self.lookout = lookout
        self.world = lookout.world

    def at_rest(self) -> None:
        """Look at everything once: no fault is left, and the mesh has had its time."""

    def violate(self, text: str, *nodes: str) -> NoReturn:
        """Stop the run.

        Raises:
            Violation: Always; it says how to see this again.
        """
        replay = f"replay: meshp2p simulate {self.lookout.scenario} --seed {self.world.seed}"
        self.world.violate(self.name, f"{text}; {replay}", tuple(nodes))
        raise Violation(text, name=self.name)  # `violate` has raised already

    def require(self, holds: bool, text: str, *nodes: str) -> None:  # noqa: FBT001  # like assert
        """Stop the run if something does not hold; build no costly text before asking."""
        if not holds:
            self.violate(text, *nodes)

    def call(self, node_id: NodeId) -> str:
        """The name that the world knows a member by."""
        return self.lookout.name_of(node_id)
