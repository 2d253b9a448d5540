"""What this node knows about one member."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, Final, Generic, TypeVar, overload

import attrs

from meshp2p.events import Member, State
from meshp2p.gossip.record import DRAINING, Record
from meshp2p.gossip.suspicion import Suspicion
from meshp2p.ids import Address, NodeId, Seconds
from meshp2p.wire.codec import Value

_RTT_GAIN: Final = 0.125
"""Weight of a new round trip in the smoothed one (RFC 6298, section 2)."""
_DEVIATION_GAIN: Final = 0.25
_DEVIATIONS: Final = 4.0
"""Beyond the smoothed round trip an answer is late (ibid.)."""
_MOST_DEVIATION: Final[Seconds] = 60.0
"""Who does not answer for hours must not be waited for as long once it is back."""
_NEVER: Final = -1e9
_NOBODY: Final[Mapping[NodeId, int]] = MappingProxyType({})

_T = TypeVar("_T")


class _Seldom(Generic[_T]):
    """An attribute of a row that few members have at any time: the others pay nothing for it."""

    def __init__(self, default: _T) -> None:
        """Of whoever has none, it is `default`."""
        self._default = default

    def __set_name__(self, _owner: type[Row], name: str) -> None:
        """Under its own name."""
        self._name = name

    @overload
    def __get__(self, row: None, owner: type[Row]) -> _Seldom[_T]: ...
    @overload
    def __get__(self, row: Row, owner: type[Row]) -> _T: ...
    def __get__(self, row: Row | None, owner: type[Row]) -> _Seldom[_T] | _T:
        """What was set last."""
        if row is None:
            return self
        seldom = row._seldom  # noqa: SLF001  # a part of `Row`
        return self._default if seldom is None else seldom.get(self._name, self._default)

    def __set__(self, row: Row, value: _T) -> None:
        """Keep it, unless that is what everybody has."""
        seldom = row._seldom  # noqa: SLF001  # as above
        if value != self._default:
            row._seldom = {**(seldom or {}), self._name: value}  # noqa: SLF001  # as above
        elif seldom is not None:
            seldom.pop(self._name, None)
            row._seldom = seldom or None  # noqa: SLF001  # as above


@attrs.define(kw_only=True, weakref_slot=False)
class Row:
    """One member: what it signed, and what this node thinks of its health.

    Args:
        joined_at: Node's monotonic clock, as is `last_seen`.
        view_hash: Of its view, as it told last: equal to ours, it knows all that we know.
        leased: Until when our own line is valid, as we told it last; 0 if not yet.
    """

    record: Record
    state: State
    joined_at: Seconds
    last_seen: Seconds
    rtt: Seconds | None = None
    rtt_deviation: Seconds = 0.0
    load: int | None = None
    suspicion: Suspicion | None = None
    view_hash: int | None = None
    leased: int = 0
    id: NodeId = attrs.field(init=False)
    """Its node id, the same in all its records."""
    _seldom: dict[str, Any] | None = attrs.field(default=None, init=False)
    _shown: tuple[Record, Member] | None = attrs.field(default=None, init=False)

    by_stream = _Seldom(default=False)
    """Whether it answers by stream only, and not by datagram."""
    heard = _Seldom[Mapping[NodeId, int]](_NOBODY)
    """Accuser to the wall time of its latest accusation of the present version."""
    accusation = _Seldom[bytes | None](None)
    """One signed accusation of the present version, shown to the member so that it can refute."""
    pulled_at = _Seldom[Seconds](_NEVER)
    """When its record was last asked for because it is about to expire."""
    believed_until = _Seldom(0)
    """If one of its older lines lasts longer than its newest: until when, in Unix seconds."""
    clone = _Seldom[tuple[int, int] | None](None)
    """A version for which a second, different line was seen."""

    def __attrs_post_init__(self) -> None:
        """It is asked for more often than anything else."""
        self.id = self.record.line.node_id

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, seq) of its newest line."""
        return self.record.version

    @property
    def is_live(self) -> bool:
        """Alive, or not yet proved otherwise."""
        return self.state in ("alive", "suspect")

    @property
    def takes_calls(self) -> bool:
        """Whether calls may go there: it is live and does not drain."""
        return self.is_live and self.record.state != DRAINING

    def acquit(self) -> None:
        """Forget all accusations: they named a version that is no longer the newest."""
        self.suspicion = None
        self.heard = _NOBODY
        self.accusation = None

    def hear(self, accuser: NodeId, unix: int) -> None:
        """Note an accusation of the present version, and when it was made."""
        self.heard = {**self.heard, accuser: unix}

    def learn_rtt(self, sample: Seconds) -> None:
        """Smooth one more round trip in."""
        if self.rtt is None:
            self.rtt, self.rtt_deviation = sample, sample / 2
            return
        off = abs(sample - self.rtt)
        self.rtt_deviation += _DEVIATION_GAIN * (off - self.rtt_deviation)
        self.rtt += _RTT_GAIN * (sample - self.rtt)

    def miss_rtt(self) -> None:
        """An answer did not come in time: wait longer next time (ibid., section 5.5)."""
        more = max(2.0 * self.rtt_deviation, (self.rtt or 0.0) / 2)
        self.rtt_deviation = min(more, _MOST_DEVIATION)

    def latest_answer(self, shortest: Seconds, longest: Seconds) -> Seconds:
        """Seconds after which a direct answer is late, within these bounds."""
        if self.rtt is None:
            return longest
        return min(max(self.rtt + _DEVIATIONS * self.rtt_deviation, shortest), longest)

    def listed(self) -> list[Value]:
        """[line, body, chain, accusation, is dead], as a full sync lists it.

        The accusation is b"" if nobody doubts the member. That it is dead here is for
        guests, who cannot find out for themselves; to members it is hearsay.
        """
        accusation = b"" if self.state == "alive" else self.accusation or b""
        return [*self.record.wire(), accusation, self.state == "dead"]

    def shown(self) -> Member:
        """The same as `member()`, kept for as long as nothing changes.

        For whoever is looked up time and again. All of a list are not kept: a simulation
        holds a million rows.
        """
        record, shown = self._shown or (None, None)
        if (
            shown is None
            or record is not self.record
            or shown.last_seen != self.last_seen
            or shown.state != self.state
            or shown.load != self.load
            or shown.rtt != self.rtt
        ):
            shown = self.member()
            self._shown = (self.record, shown)
        return shown

    def member(self) -> Member:
        """The member as the application sees it."""
        body = self.record.body
        return Member(
            id=self.id,
            handle=body.handle,
            namespace=body.namespace,
            role=body.role,
            capabilities=body.capabilities,
            addresses=body.addresses,
            state=self.state,
            load=self.load,
            rtt=self.rtt,
            joined_at=self.joined_at,
            last_seen=self.last_seen,
            draining=self.record.state == DRAINING,
        )


@attrs.frozen
class Contact:
    """What it takes to open a channel to a member.

    Args:
        transport_key: X25519 key that its handshakes prove.
    """

    id: NodeId
    addresses: tuple[Address, ...]
    node_key: bytes
    transport_key: bytes

    @classmethod
    def of(cls, row: Row) -> Contact:
        """From a member's record."""
        body = row.record.body
        return cls(row.id, body.addresses, body.node_key, body.transport_key)
