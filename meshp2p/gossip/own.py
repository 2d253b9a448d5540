"""What this node says of itself."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.errors import UsageError
from meshp2p.events import CapabilityInfo, State
from meshp2p.gossip.fields import MAX_EPOCH
from meshp2p.gossip.member import Row
from meshp2p.gossip.outputs import SaveEpoch
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.record import (
    DRAINING,
    LEFT,
    MAX_LINE_VALIDITY,
    UP,
    Body,
    Record,
    VersionLine,
    body_hash,
)
from meshp2p.identity.credential import Credential
from meshp2p.identity.node import NodeIdentity
from meshp2p.ids import Address, Seconds
from meshp2p.wire import limits

RENEW: Final = "renew"
"""Timer: the line is signed anew long before it expires."""

_PER_MILLISECOND: Final = 1_000
_EARLIEST, _JITTER = 1 / 3, 1 / 6
"""Renewal after a third to a half of the validity, 40 to 60 minutes of two hours: a crowd that
started together spreads, and what others ask for after 75 minutes exists by then."""
_APART: Final = 1 << 14
"""Milliseconds: an epoch ahead of the clock costs the next run a superseding, at most."""
_LEAST_LEFT: Final = 0.45
"""Part of the validity; a line with less was not renewed in time."""


@attrs.define
class OwnRecord:
    """This node's own record. Only here are lines signed.

    A start takes the wall clock in milliseconds as its epoch, or the one after that of the run
    before, whichever is greater; where a peer shows a newer line of ours (the disk was lost,
    and the clock set back), that epoch is exceeded.
    """

    _parts: Parts
    _credential: Credential
    _body: Body
    _row: Row
    _epoch: int
    _seq: int
    _state: int = UP
    has_longer_lease: bool = attrs.field(default=False, init=False)
    """Whether the newest version was signed again, for longer: gossip does not spread that."""

    @classmethod
    def begin(
        cls,
        parts: Parts,
        credential: Credential,
        addresses: tuple[Address, ...],
        capabilities: tuple[CapabilityInfo, ...],
        now: Seconds,
        *,
        saved_epoch: int = 0,
    ) -> OwnRecord:
        """Sign the first line of this run and list this node in its own view.

        Args:
            saved_epoch: The highest that earlier runs are known to have used.

        Raises:
            UsageError: The credential does not allow handle, role or capabilities, or
                they do not fit into a record.
        """
        identity = parts.identity
        body = Body(
            node_key=identity.node_public,
            transport_key=identity.transport_public,
            journal_id=identity.journal_id,
            addresses=addresses,
            handle=identity.handle,
            role=identity.role,
            namespace=identity.keys.namespace,
            capabilities=capabilities,
        )
        _check(body, credential)
        wall = int(parts.wall.unix(now) * _PER_MILLISECOND)
        epoch = min(max(wall, saved_epoch + 1), MAX_EPOCH - 1)
        record = _sign(parts, credential, body, (epoch, 0), UP, now)
        row = Row(record=record, state="alive", joined_at=now, last_seen=now)
        own = cls(parts, credential, body, row, epoch, 0)
        parts.view.add(row)
        own._spread(now, refutes=False, new_body=True)
        return own

    @property
    def record(self) -> Record:
        """The newest, as it travels."""
        return self._row.record

    @property
    def version(self) -> tuple[int, int]:
        """(epoch, seq) of the newest line."""
        return (self._epoch, self._seq)

    @property
    def has_left(self) -> bool:
        """Whether the last word has been said."""
        return self._state == LEFT

    def set_capabilities(self, capabilities: tuple[CapabilityInfo, ...], now: Seconds) -> None:
        """Announce these instead.

        Raises:
            UsageError: As in `begin`; nothing has changed then.
        """
        body = attrs.evolve(self._body, capabilities=capabilities)
        if body == self._body or self.has_left:
            return
        _check(body, self._credential)
        self._body = body
        self._publish(now, new_body=True)

    def set_addresses(self, addresses: tuple[Address, ...], now: Seconds) -> bool:
        """Listen there instead; return whether that is news.

        Whoever has nothing but loopback all at once has lost its network, for a moment most
        likely: nobody would hear it, and it may be back where it was.
        """
        addresses = addresses[: limits.MAX_ADDRESSES]
        offline = all(address.is_loopback for address in addresses)
        was_offline = all(address.is_loopback for address in self._body.addresses)
        same = set(addresses) == set(self._body.addresses)
        if self.has_left or same or (offline and not was_offline):
            return False
        body = attrs.evolve(self._body, addresses=addresses)
        _check(body, self._credential)
        self._body = body
        self._publish(now, new_body=True)
        return True

    @property
    def is_draining(self) -> bool:
        """Whether it has asked for no new calls."""
        return self._state == DRAINING

    def set_draining(self, now: Seconds, *, draining: bool) -> bool:
        """Ask for no new calls, or for calls again; return whether that is news."""
        state = DRAINING if draining else UP
        if self.has_left or state == self._state:
            return False
        self._state = state
        self._publish(now)
        return True

    def set_identity(self, identity: NodeIdentity, credential: Credential) -> None:
        """Take a renewed chain for the same keys. Others pull it before theirs expires."""
        self._parts.identity = identity
        self._credential = credential
        record = attrs.evolve(self.record, chain=identity.chain, credential=credential)
        self._parts.view.change(self._row, record=record)

    def leave(self, now: Seconds) -> None:
        """Say the last word of this epoch."""
        if not self.has_left:
            self._state = LEFT
            self._publish(now)

    def renew(self, now: Seconds) -> None:
        """Sign the same version for longer: a lease, which others ask for, and no news.

        A line that the clock once made too long cannot be shortened but by a new version.
        """
        if self.has_left:
            return
        record = self._sign(now)
        if record.line.valid_until <= self.record.line.valid_until:
            self._publish(now)
            return
        self.has_longer_lease = True
        self._parts.view.change(self._row, record=record)
        self._plan_renewal(now)

    def is_due(self, now: Seconds) -> bool:
        """Whether the wall clock, wherever it has jumped to, makes the line old, or absurd.

        One that was signed while the clock was ahead would be refused by all others.
        """
        remaining = self.record.line.valid_until - self._parts.wall.unix(now)
        validity = _validity(self._parts)
        ahead = remaining > validity + self._parts.config.clock_tolerance
        return ahead or remaining < _LEAST_LEFT * validity

    def refute(self, now: Seconds) -> None:
        """Prove to be there: a new line that nobody else could have signed."""
        if not self.has_left:
            self._parts.counters["refutations"] += 1
            self._parts.evidence.note(self._row.id, "refuted", "this node said that it is there")
            self._publish(now, refutes=True)

    def supersede(self, shown: tuple[int, int], now: Seconds) -> None:
        """Become newer than a line of ours that somebody else holds.

        By a number that no other run takes: whoever lost its disk twice, and its clock, is
        shown the same line twice, and must not sign two bodies in one version.
        """
        epoch, seq = shown
        wall = int(self._parts.wall.unix(now) * _PER_MILLISECOND)
        beyond = epoch + 1 + self._parts.rng.randrange(_APART)
        self._epoch = min(max(wall, beyond, self._epoch), MAX_EPOCH - 1)
        self._seq = seq if self._epoch == epoch else -1
        self._parts.put(SaveEpoch(self._epoch))
        self._publish(now, refutes=True)

    def _publish(self, now: Seconds, *, refutes: bool = False, new_body: bool = False) -> None:
        self._seq += 1
        self.has_longer_lease = False
        record = self._sign(now)
        state: State = "left" if self.has_left else "alive"
        self._parts.view.change(self._row, record=record, state=state)
        self._spread(now, refutes=refutes, new_body=new_body)

    def _spread(self, now: Seconds, *, refutes: bool, new_body: bool) -> None:
        # Of what an unwell node says most may be lost, as of what it hears.
        times = self._parts.health.factor if refutes else 1
        self._parts.news.put_line(self.record, refutes=refutes, new_body=new_body, times=times)
        self._plan_renewal(now)

    def _plan_renewal(self, now: Seconds) -> None:
        part = _EARLIEST + _JITTER * self._parts.rng.random()
        self._parts.timers.set(RENEW, now + part * _validity(self._parts))

    def _sign(self, now: Seconds) -> Record:
        return _sign(self._parts, self._credential, self._body, self.version, self._state, now)


def _validity(parts: Parts) -> Seconds:
    return min(parts.config.line_validity, MAX_LINE_VALIDITY)


def _sign(  # what a record consists of
    parts: Parts,
    credential: Credential,
    body: Body,
    version: tuple[int, int],
    state: int,
    now: Seconds,
) -> Record:
    identity, body_raw = parts.identity, body.encode()
    line = VersionLine.signed(
        parts.crypto,
        identity.node_private,
        identity.keys.group_id,
        node_id=identity.node_id,
        body_hash=body_hash(body_raw),
        epoch=version[0],
        seq=version[1],
        state=state,
        valid_until=int(parts.wall.unix(now) + _validity(parts)),
    )
    return Record(
        line=line, body=body, body_raw=body_raw, chain=identity.chain, credential=credential
    )


def _check(body: Body, credential: Credential) -> None:
    """Find out here what everybody else would refuse."""
    if body.handle and not credential.allows_handle(body.handle):
        raise UsageError(f"the credential does not allow the handle {body.handle!r}")
    if not credential.allows_role(body.role):
        raise UsageError(f"the credential does not allow the role {body.role!r}")
    for capability in body.capabilities:
        if not credential.allows_capability(capability.name):
            raise UsageError(f"the credential does not allow to announce {capability.name!r}")
    size = len(body.encode())
    if len(body.capabilities) > limits.MAX_CAPABILITIES or size > limits.MAX_RECORD_BODY:
        raise UsageError(
            f"{len(body.capabilities)} capabilities make a record of {size} bytes; allowed are "
            f"{limits.MAX_CAPABILITIES} and {limits.MAX_RECORD_BODY}: use fewer or shorter tags"
        )
    if len(body.addresses) > limits.MAX_ADDRESSES:
        raise UsageError(
            f"{len(body.addresses)} addresses; at most {limits.MAX_ADDRESSES} are announced"
        )
