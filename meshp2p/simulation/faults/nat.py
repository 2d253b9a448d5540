"""Address translation as a fault: those outside see another address, or nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, get_args

import attrs

from meshp2p.ids import Seconds
from meshp2p.simulation.faults.fault import Stop
from meshp2p.simulation.routes import Box, NatKind

if TYPE_CHECKING:
    from meshp2p.simulation.world import World

_PUBLIC: Final = "203.0.113."
"""RFC 5737: for examples."""


@attrs.frozen
class Nat:
    """Some nodes are behind one box.

    Args:
        what: Its kind.
        hairpin: Whether they reach each other by the box's public address.
        idle: Seconds after which an unused mapping is forgotten.
        rebinds: It forgets all mappings so often; None for never.
    """

    kind: ClassVar[str] = "nat"
    nodes: tuple[str, ...]
    what: NatKind = attrs.field(
        default="port_restricted", validator=attrs.validators.in_(get_args(NatKind))
    )
    hairpin: bool = False
    idle: Seconds = 30.0
    rebinds: Seconds | None = None

    def start(self, world: World) -> Stop:
        """See `Fault.start`."""
        box = Box(self.what, f"{_PUBLIC}{world.next_public()}", self.hairpin, self.idle)
        hosts = [world[name].address.host for name in self.nodes]
        for host in hosts:
            world.routes.put_behind(host, box)
        going = [True]
        self._rebind_later(world, box, going)

        def stop() -> None:
            going.clear()
            for host in hosts:
                world.routes.take_out(host, box)

        return stop

    def _rebind_later(self, world: World, box: Box, going: list[bool]) -> None:
        if self.rebinds is None:
            return

        def rebind() -> None:
            if going:
                box.rebind()
                self._rebind_later(world, box, going)

        world.after(self.rebinds, rebind)
