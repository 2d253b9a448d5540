"""Who gets what is sent to an address, and which sender the receiver sees: NAT boxes.

A box keeps one mapping for each of its nodes' sockets (endpoint-independent), or one for
each destination (symmetric). What comes in is let through to whom its kind allows.

Source: RFC 4787 (mapping and filtering), RFC 3489 (the names of the kinds).
"""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from meshp2p.ids import Address, Seconds

NatKind: TypeAlias = Literal[
    "full_cone", "restricted", "port_restricted", "symmetric", "udp_blocked"
]

_FIRST_PORT: Final = 40_000


@attrs.define(eq=False)
class _Mapping:
    """One public port of a box.

    Args:
        inside: Whose it is.
        used: When something last left through it.
        reached: Addresses that it was used for.
    """

    inside: Address
    used: Seconds
    reached: dict[Address, None] = attrs.field(factory=dict)


@attrs.define(eq=False)
class Box:
    """One NAT device.

    Args:
        public: Its host on the outside.
        hairpin: Whether those inside reach each other by their public addresses.
        idle: A mapping unused for this long is forgotten.
    """

    kind: NatKind
    public: str
    hairpin: bool = False
    idle: Seconds = 30.0
    _ports: dict[tuple[Address, Address | None], int] = attrs.field(factory=dict, init=False)
    _mappings: dict[int, _Mapping] = attrs.field(factory=dict, init=False)
    _next_port: int = attrs.field(default=_FIRST_PORT, init=False)

    def outward(self, source: Address, to: Address, now: Seconds) -> Address:
        """As whom those outside see a packet that leaves."""
        key = (source, to if self.kind == "symmetric" else None)
        port = self._ports.get(key)
        if port is None or now - self._mappings[port].used > self.idle:
            port = self._ports[key] = self._next_port
            self._next_port += 1
            self._mappings[port] = _Mapping(source, now)
        mapping = self._mappings[port]
        mapping.used = now
        mapping.reached[to] = None
        return Address(self.public, port)

    def inward(self, port: int, source: Address, now: Seconds) -> Address | None:
        """Whom a packet from outside reaches; None if it is not let in."""
        mapping = self._mappings.get(port)
        if mapping is None or now - mapping.used > self.idle:
            return None
        let_in = {
            "full_cone": True,
            "restricted": any(each.host == source.host for each in mapping.reached),
        }.get(self.kind, source in mapping.reached)
        return mapping.inside if let_in else None

    def rebind(self) -> None:
        """Forget all mappings, as after a restart of the device."""
        self._ports.clear()
        self._mappings.clear()


class Routes:
    """All boxes of a world."""

    def __init__(self) -> None:
        """Everybody has a public address."""
        self._boxes_of: dict[str, list[Box]] = {}
        self._by_public: dict[str, Box] = {}

    def put_behind(self, host: str, box: Box) -> None:
        """Put the machine with this address behind a box, and out of any earlier one."""
        self._boxes_of.setdefault(host, []).append(box)
        self._by_public[box.public] = box

    def take_out(self, host: str, box: Box) -> None:
        """Take it out of that box, back to where it was before."""
        boxes = self._boxes_of[host]
        boxes.remove(box)
        if not boxes:
            del self._boxes_of[host]
        if not any(box in others for others in self._boxes_of.values()):
            del self._by_public[box.public]

    @property
    def is_plain(self) -> bool:
        """Whether there is no box at all."""
        return not self._boxes_of

    def _box_of(self, host: str) -> Box | None:
        boxes = self._boxes_of.get(host)
        return boxes[-1] if boxes else None

    def kinds_at(self, source: Address, to: Address) -> set[NatKind]:
        """Of the boxes that have a say in what is sent there: of the sender, of the receiver."""
        boxes = (self._box_of(source.host), self._box_of(to.host), self._by_public.get(to.host))
        return {box.kind for box in boxes if box is not None}

    def route(
        self, source: Address, to: Address, now: Seconds, *, datagram: bool
    ) -> tuple[Address, Address] | None:
        """Where a packet arrives and from whom it seems to come; None if it does not."""
        own, other = self._box_of(source.host), self._box_of(to.host)
        if own is not None and own is other:
            return to, source
        if other is not None:
            return None  # a private address means nothing outside
        if own is not None:
            if own.kind == "udp_blocked" and datagram:
                return None
            if to.host == own.public and not own.hairpin:
                return None
            source = own.outward(source, to, now)
        door = self._by_public.get(to.host)
        if door is None:
            return to, source
        inside = door.inward(to.port, source, now)
        return None if inside is None else (inside, source)
