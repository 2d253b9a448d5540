"""Many nodes in one process and in virtual time: `World`, its nodes, and what befalls them."""

from typing import Final

from meshp2p.events import State
from meshp2p.simulation.handlers import Agent, Handler, Onward
from meshp2p.simulation.happening import Happening, Violation
from meshp2p.simulation.links import Conditions
from meshp2p.simulation.nodes import Node
from meshp2p.simulation.pending import NotYetError, Pending
from meshp2p.simulation.world import World

ALIVE: Final[State] = "alive"
SUSPECT: Final[State] = "suspect"
DEAD: Final[State] = "dead"
LEFT: Final[State] = "left"

__all__ = [
    "ALIVE",
    "DEAD",
    "LEFT",
    "SUSPECT",
    "Agent",
    "Conditions",
    "Handler",
    "Happening",
    "Node",
    "NotYetError",
    "Onward",
    "Pending",
    "Violation",
    "World",
]
