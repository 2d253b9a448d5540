"""One node's protocol, without I/O: `Engine` composes the machines of the layers below."""

from meshp2p.engine.joining import Neighbour
from meshp2p.engine.machine import Engine

__all__ = ["Engine", "Neighbour"]
