"""Which records and accusations are believed, and how many are checked at once."""

from __future__ import annotations

from typing import Final

import attrs

from meshp2p.errors import CredentialError, WireError
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.record import MAX_LINE_VALIDITY, Body, Record, VersionLine, body_hash
from meshp2p.identity.credential import CHILD, Credential
from meshp2p.identity.keys import node_id_of
from meshp2p.identity.trust import Trust
from meshp2p.ids import NodeId, Seconds
from meshp2p.wire import limits
from meshp2p.wire.budget import Budgets


class BudgetSpent(Exception):
    """Nobody's error: this input has had its share of signature checks, go on later."""


_IN_VAIN_AT_ONCE: Final = 64
_IN_VAIN_PER_SECOND: Final = 1.0
"""Signature checks, or claims that cannot even be read, that somebody may cause for nothing: 6 ms
at once, 0.1 ms a second."""


def _patience() -> Budgets:
    return Budgets(_IN_VAIN_AT_ONCE, _IN_VAIN_PER_SECOND, limits.MAX_BUDGETS)


@attrs.define
class Admission:
    """Checks what others sign, at most `SIGNATURES_PER_INPUT` signatures for each input.

    A signature costs some 100 us to check, so a flood of records must not delay an ack. What
    was read or checked in vain is charged to whoever brought it: nobody honest passes on what
    it has not checked, so a member that goes on bringing forgeries is not listened to for a
    while. What only came too late or too early is no fault of its bearer, who has another clock,
    nor what is of another format: its bearer may be of the version that understands it.
    """

    _parts: Parts
    _trust: Trust
    _budget: int = attrs.field(default=0, init=False)
    _patience: Budgets = attrs.field(factory=_patience, init=False)
    _bearer: NodeId | None = attrs.field(default=None, init=False)
    _budget_before: int = attrs.field(default=0, init=False)
    _now: Seconds = attrs.field(default=0.0, init=False)
    _excused: bool = attrs.field(default=False, init=False)

    def begin_input(self) -> None:
        """Start counting anew."""
        self._budget = limits.SIGNATURES_PER_INPUT

    def begin_claim(self, bearer: NodeId | None, now: Seconds) -> None:
        """What is checked from now on was brought by this member; by our own disk if None."""
        self._bearer, self._budget_before, self._now = bearer, self._budget, now
        self._excused = False

    def listens_to(self, bearer: NodeId | None, now: Seconds) -> bool:
        """Whether what somebody brings is looked at; all that our own disk does."""
        return self._patience.allows(bearer, now)

    def excuse(self) -> None:
        """If the present claim comes to nothing, an honest bearer may have brought it."""
        self._excused = True

    def in_vain(self) -> None:
        """The claim came to nothing: whoever brought it is charged for what was done."""
        checks = self._budget_before - self._budget
        for _ in range(checks if self._excused else max(1, checks)):
            self.unreadable(self._bearer, self._now)

    def unreadable(self, bearer: NodeId | None, now: Seconds) -> None:
        """Somebody brought what is no claim at all."""
        if bearer is not None:
            self._patience.spend(bearer, now)

    def check_line(self, line: VersionLine, node_key: bytes) -> None:
        """Check that the holder of the key signed the line.

        Raises:
            WireError: It did not.
            BudgetSpent: Not now.
        """
        self._reserve(1)
        if not line.is_signed_by(self._parts.crypto, node_key, self._group_id):
            raise WireError("a version line that its owner did not sign")

    def check_accusation(self, accusation: Accusation, node_key: bytes) -> None:
        """Check that the accuser signed the accusation, and lately.

        Raises:
            WireError: It did not, or long ago.
            BudgetSpent: Not now.
        """
        self._reserve(1)
        if not accusation.is_signed_by(self._parts.crypto, node_key, self._group_id):
            raise WireError("a suspicion that its accuser did not sign")

    def check_recent(self, accusation: Accusation, now: Seconds) -> None:
        """Check that an accusation was made lately, by any tolerable clock.

        Raises:
            WireError: It was not: somebody plays an old one back.
        """
        if abs(self._parts.wall.unix(now) - accusation.unix) > 2 * self._tolerance:
            self.excuse()
            raise WireError("a suspicion of another time")

    def check_record(
        self, line: VersionLine, body_raw: bytes, chain: bytes, *, held: Record | None, now: Seconds
    ) -> Record:
        """Check everything about a record: hash, id, namespace, time, chain, signature.

        Args:
            held: The member's present record, whose body need not be read again.

        Raises:
            WireError: A part does not belong to the others, or is not signed.
            CredentialError: Its owner may not be here, or may not say that.
            BudgetSpent: Not now.
        """
        unix = self._parts.wall.unix(now)
        self._check_time(line, unix)
        if held is not None and held.body_raw == body_raw:
            body = held.body
        else:
            body = self._read_body(line, body_raw)
        credential = self._check_chain(chain, unix)
        _check_claims(body, credential)
        self.check_line(line, body.node_key)
        record = Record(line=line, body=body, body_raw=body_raw, chain=chain, credential=credential)
        return record.as_received()

    def check_lease(self, line: VersionLine, node_key: bytes, now: Seconds) -> None:
        """Check that a known version was signed again, for a time that may be.

        Raises:
            WireError: It was not.
            BudgetSpent: Not now.
        """
        self._check_time(line, self._parts.wall.unix(now))
        self.check_line(line, node_key)

    def check_chain(self, held: Record, chain: bytes, now: Seconds) -> Record:
        """The same record under another chain, if that is good and lasts longer.

        Raises:
            WireError: It is no chain.
            CredentialError: It does not prove what the held one proves.
            BudgetSpent: Not now.
        """
        credential = self._check_chain(chain, self._parts.wall.unix(now))
        _check_claims(held.body, credential)
        if _lasts(credential) <= _lasts(held.credential):
            return held
        return attrs.evolve(held, chain=chain, credential=credential).as_received()

    @property
    def _group_id(self) -> bytes:
        return self._parts.identity.keys.group_id

    @property
    def _tolerance(self) -> Seconds:
        return self._parts.config.clock_tolerance

    def _reserve(self, checks: int) -> None:
        if checks > self._budget:
            raise BudgetSpent
        self._budget -= checks

    def _check_chain(self, chain: bytes, unix: float) -> Credential:
        """What a chain proves; the input pays for those of its signatures that were checked."""
        most = 0 if self._trust.is_cached(chain) else limits.MAX_BLOCKS
        self._reserve(most)
        before = self._trust.signatures_checked
        try:
            return self._trust.verify_chain_untrusted(chain, unix)
        except CredentialError:
            if self._trust.is_cached(chain):  # all signed, and only not valid now
                self.excuse()
            raise
        finally:
            self._budget += most - (self._trust.signatures_checked - before)

    def _check_time(self, line: VersionLine, unix: float) -> None:
        if line.valid_until + self._tolerance < unix:
            self.excuse()
            raise WireError("a version line that has expired")
        if line.valid_until > unix + MAX_LINE_VALIDITY + self._tolerance:
            self.excuse()
            raise WireError("a version line that would never expire")

    def _read_body(self, line: VersionLine, body_raw: bytes) -> Body:
        if body_hash(body_raw) != line.body_hash:
            raise WireError("a body that is not the line's")
        body = Body.from_bytes_untrusted(body_raw)
        if node_id_of(body.node_key) != line.node_id:
            raise WireError("a body whose key is not the line's owner")
        if body.namespace != self._parts.identity.keys.namespace:
            raise WireError("a record of another namespace")
        return body


def _lasts(credential: Credential) -> tuple[int, int]:
    return (credential.not_after, credential.transport_not_after)


def _check_claims(body: Body, credential: Credential) -> None:
    """Check that a member claims no more than its credential allows.

    Raises:
        CredentialError: It does: somebody would be `@deploy` without leave, or many at once.
    """
    if credential.kind == CHILD:
        raise CredentialError("the chain makes a guest, and no member")
    if credential.node_key != body.node_key:
        raise CredentialError("the chain is somebody else's")
    if credential.transport_key not in (None, body.transport_key):
        raise CredentialError("the chain ends in another transport key than the record")
    if not credential.allows_namespace(body.namespace):
        raise CredentialError(f"the chain does not allow the namespace {body.namespace!r}")
    if body.handle and not credential.allows_handle(body.handle):
        raise CredentialError(f"the chain does not allow the handle {body.handle!r}")
    if not credential.allows_role(body.role):
        raise CredentialError(f"the chain does not allow the role {body.role!r}")
    for capability in body.capabilities:
        if not credential.allows_capability(capability.name):
            raise CredentialError(f"the chain does not allow to announce {capability.name!r}")
