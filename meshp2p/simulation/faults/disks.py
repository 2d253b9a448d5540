"""Faults of one node's disk: slow, full, failing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

import attrs

from meshp2p.simulation.disk import Trouble
from meshp2p.simulation.faults.fault import Stop
from meshp2p.simulation.latency import AnyLatency

if TYPE_CHECKING:
    from meshp2p.simulation.world import World


def _trouble(world: World, node: str, trouble: Trouble) -> Stop:
    troubles = world[node].disk.troubles
    number = world.next_number()
    troubles[number] = trouble

    def stop() -> None:
        del troubles[number]

    return stop


@attrs.frozen
class SlowDisk:
    """Each sync takes so much longer."""

    kind: ClassVar[str] = "disk_slow"
    node: str
    by: AnyLatency

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        return _trouble(world, self.node, Trouble(self.kind, slow=self.by))


@attrs.frozen
class FullDisk:
    """Nothing can be written; what is there can be read."""

    kind: ClassVar[str] = "disk_full"
    node: str

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        return _trouble(world, self.node, Trouble(self.kind, fails=1.0))


@attrs.frozen
class FailingDisk:
    """A share of all writes fails."""

    kind: ClassVar[str] = "disk_failed"
    node: str
    share: float

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        return _trouble(world, self.node, Trouble(self.kind, fails=self.share))
