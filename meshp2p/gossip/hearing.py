"""Accusations of members, this node included: who has a say, and whether it is news."""

from __future__ import annotations

import attrs

from meshp2p.errors import WireError
from meshp2p.gossip.accusation import Accusation
from meshp2p.gossip.admission import Admission
from meshp2p.gossip.detector import Detector
from meshp2p.gossip.parts import Parts
from meshp2p.gossip.refutation import Refutation
from meshp2p.ids import NodeId, Seconds


@attrs.define
class Hearing:
    """Hands over what is signed and new: to the detector, or to whoever defends this node.

    Args:
        _refutation: None for a guest, of whom nobody speaks.
    """

    _parts: Parts
    _admission: Admission
    _detector: Detector
    _refutation: Refutation | None

    def hear(self, accusation: Accusation, peer: NodeId | None, now: Seconds) -> None:
        """Judge one, as brought by `peer`; by our own disk if None.

        Raises:
            WireError: Who signed it has no say, or did not sign it, or long ago.
            BudgetSpent: Not now.
        """
        if accusation.subject == self._parts.identity.node_id:
            self._of_ourselves(accusation, peer, now)
            return
        row = self._parts.view.get(accusation.subject)
        if row is None or accusation.version > row.version:
            self._parts.pull(peer, accusation.subject, now)
            return
        known = accusation.version == row.version and self._detector.may_hear(row, accusation)
        if not known or not row.is_live:
            self._parts.counters["claims_stale"] += 1
            return
        self._admission.check_recent(accusation, now)
        if self._signed(accusation, peer, now):
            self._parts.evidence.accused(accusation)
            self._detector.accused(row, accusation, now)

    def _of_ourselves(self, accusation: Accusation, peer: NodeId | None, now: Seconds) -> None:
        """Somebody suspects us. A version that we never signed makes us ask, not advance."""
        if self._refutation is None:
            return
        version = self._refutation.own_version
        if accusation.version == version and self._refutation.may_hear(accusation.accuser):
            # Whenever that was: a refuted version is accused no more, and whoever had the
            # wrong time when it buried us must hear from us too. So must whoever believes
            # somebody who has left since: it would take us for dead for ever.
            if self._signed(accusation, peer, now, or_departed=True):
                self._parts.evidence.accused(accusation)
                self._refutation.suspected(accusation.accuser, peer, now)
            return
        if accusation.version > version:
            self._parts.pull(peer, accusation.subject, now)
        self._refutation.misinformed(peer, now)  # if of the present one: its refutation is due

    def _signed(
        self,
        accusation: Accusation,
        peer: NodeId | None,
        now: Seconds,
        *,
        or_departed: bool = False,
    ) -> bool:
        """Whether a member that has not left, and is not the subject, signed it.

        Args:
            or_departed: Whether one that has left will do.
        """
        accuser = self._parts.view.get(accusation.accuser)
        if accuser is None:
            self._parts.pull(peer, accusation.accuser, now)
            return False
        has_no_say = accuser.state == "left" and not or_departed
        if has_no_say or accusation.accuser == accusation.subject:
            if has_no_say:  # as of now: its bearer may not know yet
                self._admission.excuse()
            raise WireError("a suspicion by somebody who has no say")
        self._admission.check_accusation(accusation, accuser.record.body.node_key)
        return True
