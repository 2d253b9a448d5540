"""Proof that a vote was decided, for people and machines that were not there.

A certificate needs no mesh, no network and no state directory: it holds the signed
proposal, the ballots that decided it, and what proves who signed them. Only the public
key of the mesh root must be known from elsewhere.

As it travels: MessagePack of [format, group id (16 B), proposal, [ballots], [statements
of one root about the next, none yet]]. That framing is not signed, so it has exactly one
encoding, and everything in it is either signed or decides whether a signature holds: no
byte can change without being noticed.
"""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Final

import attrs

from meshp2p.consensus import envelope
from meshp2p.consensus.ballot import PROPOSAL, CastBallot, Elector, Proposal
from meshp2p.consensus.electorate import check_credential
from meshp2p.consensus.envelope import FORMAT, PPM, Fields
from meshp2p.consensus.quorum import Rule, Tally, count
from meshp2p.errors import CredentialError, WireError
from meshp2p.identity.credential import MESH_ID_BYTES
from meshp2p.identity.keys import KEY_BYTES, Crypto, OpenSSL
from meshp2p.identity.trust import verify_chain
from meshp2p.wire import codec, limits

_ELEMENTS: Final = 5
_BALLOTS_PER_ELECTOR: Final = 2
"""Two that differ are all the evidence there is to have."""


@attrs.frozen(kw_only=True)
class Verdict:
    """What a certificate proves to whoever checked it.

    Args:
        valid: Whether the vote was decided so, by members of the mesh of that root.
        outcome: The option that won; None unless `valid`.
        explanation: One sentence; if not valid, what is wrong.
        spoiled: Names of electors that signed two different ballots.
    """

    valid: bool
    outcome: str | None
    explanation: str
    spoiled: tuple[str, ...] = ()


@attrs.frozen(kw_only=True)
class Certificate:
    """A signed proposal and the signed ballots that answer it.

    Args:
        group_id: 16 bytes; the namespace in which all of it was signed.
        call: The proposal as it was signed.
        ballots: As they were signed; at most two of each elector.
    """

    group_id: bytes
    call: bytes
    ballots: tuple[bytes, ...]
    proposal: Proposal = attrs.field(repr=False)
    cast: tuple[CastBallot, ...] = attrs.field(repr=False)

    @classmethod
    def assemble(cls, group_id: bytes, call: bytes, ballots: Collection[bytes]) -> Certificate:
        """Put together what was signed; nothing is verified.

        Raises:
            WireError: A part is not what it should be.
        """
        proposal = Proposal.read_untrusted(call)
        cast = sorted(
            (CastBallot.read_untrusted(ballot) for ballot in set(ballots)),
            key=lambda ballot: (ballot.elector, ballot.statement),
        )
        if len(cast) > _BALLOTS_PER_ELECTOR * len(proposal.electors):
            raise WireError("more ballots than two of each elector")
        return cls(
            group_id=group_id,
            call=call,
            ballots=tuple(ballot.statement for ballot in cast),
            proposal=proposal,
            cast=tuple(cast),
        )

    def to_bytes(self) -> bytes:
        """The certificate as it is stored and sent."""
        return codec.pack([FORMAT, self.group_id, self.call, list(self.ballots), []])

    @classmethod
    def from_bytes_untrusted(cls, data: bytes) -> Certificate:
        """Read what `to_bytes` wrote; what it proves is for `verify` to say.

        Raises:
            WireError: And nothing else, whatever `data` holds.
        """
        if len(data) > limits.MAX_CERTIFICATE:
            raise WireError(f"{len(data)} bytes, at most {limits.MAX_CERTIFICATE} allowed")
        values = codec.unpack_list_untrusted(data, at_least=_ELEMENTS)
        fields = Fields(values)
        fields.integer(FORMAT, FORMAT)
        group_id = fields.octets(MESH_ID_BYTES)
        call = fields.octets_up_to(limits.MAX_VOTE_CALL)
        array = Fields(fields.array(_BALLOTS_PER_ELECTOR * limits.MAX_ELECTORS))
        ballots = [array.octets_up_to(limits.MAX_SIGNED) for _ in range(array.left)]
        certificate = cls.assemble(group_id, call, ballots)
        if certificate.to_bytes() != data:
            raise WireError("a certificate that is not in its one encoding")
        return certificate

    def verify(
        self,
        root: bytes | None,
        revoked: Collection[bytes] = (),
        *,
        crypto: Crypto | None = None,
    ) -> Verdict:
        """Judge the certificate. Never raises.

        Args:
            root: Ed25519 public key of the mesh root, 32 bytes, known from elsewhere.
                Without it nothing says who signed, so nothing is ever valid.
            revoked: Node ids or node keys whose signatures count no more.
            crypto: Mathematics to use; OpenSSL by default.
        """
        crypto = crypto or OpenSSL()
        try:
            self._check_signatures(crypto)
            if root is not None:
                self._check_credentials(crypto, root)
        except (WireError, CredentialError) as error:
            return Verdict(valid=False, outcome=None, explanation=f"refused: {error}")
        return self._judge(root, frozenset(revoked))

    def tally(self, revoked: Collection[bytes] = ()) -> Tally:
        """Count the ballots, signatures taken for granted."""
        return count(
            self.proposal,
            (ballot for ballot in self.cast if not self._is_revoked(ballot, revoked)),
        )

    def _check_signatures(self, crypto: Crypto) -> None:
        caller = self.proposal.caller
        if not envelope.is_signed_by(crypto, caller.node_key, PROPOSAL, self.group_id, self.call):
            raise WireError("the call for the vote has a forged signature")
        for ballot in self.cast:
            ballot.check_answers(self.proposal, crypto, self.group_id)

    def _check_credentials(self, crypto: Crypto, root: bytes) -> None:
        """Every person named was a member of the root's mesh when the vote was called."""
        if len(root) != KEY_BYTES:
            raise CredentialError(f"a root key of {len(root)} bytes; it has {KEY_BYTES}")
        for elector in (self.proposal.caller, *self.proposal.electors):
            check_credential(
                elector,
                self.proposal,
                lambda chain: verify_chain(
                    crypto,
                    chain,
                    root_public=root,
                    mesh_id=self.proposal.mesh_id,
                    at=self.proposal.wall,
                ),
            )

    def _judge(self, root: bytes | None, revoked: Collection[bytes]) -> Verdict:
        tally, rule = self.tally(revoked), Rule.of(self.proposal)
        spoiled = tuple(e.name for e in self.proposal.electors if e.id in tally.spoiled)
        winner = tally.winner(rule)
        outcome: str | None = None
        if winner is None:
            best = max(tally.by_option.values())
            text = f"not decided: {rule.needed} equal ballots needed, at most {best} are here"
        elif root is None:
            text = "consistent, signers unknown: give the mesh root's public key to be sure"
        elif {self.proposal.caller.id, self.proposal.caller.node_key} & set(revoked):
            text = "refused: whoever called the vote has been revoked"
        else:
            outcome = self.proposal.options[winner]
            text = f"decided: {outcome!r}, by {tally.by_option[winner]} of {rule.weight}"
            if self.proposal.shared:
                text += "; signed with a shared mesh key: it proves only that someone who "
                text += "holds the mesh key made it"
        return Verdict(
            valid=outcome is not None, outcome=outcome, explanation=text, spoiled=spoiled
        )

    def _is_revoked(self, ballot: CastBallot, revoked: Collection[bytes]) -> bool:
        elector = self.proposal.elector(ballot.elector)
        return ballot.elector in revoked or (elector is not None and elector.node_key in revoked)

    def explain(self) -> str:
        """The minutes of the vote, for people. What they are worth, `verify` says."""
        proposal, rule, tally = self.proposal, Rule.of(self.proposal), self.tally()
        moment = datetime.fromtimestamp(proposal.wall, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        lines = [
            f"Vote {proposal.question!r}, called by {proposal.caller.name} at {moment}.",
            f"Options: {', '.join(map(_plain, proposal.options))}.",
            f"{len(proposal.electors)} electors of weight {rule.weight}"
            + (f", chosen among {_plain(proposal.among)}" if proposal.among else "")
            + f"; {rule.needed} equal ballots decide"
            + (f", {rule.cast_needed} must be cast" if rule.cast_needed else "")
            + (f"; safe while weight {rule.faulty} votes twice" if rule.faulty else "")
            + ".",
            *(self._minute(elector, tally) for elector in proposal.electors),
            "Outcome: " + self._outcome_in_words(tally, rule),
        ]
        if proposal.shared:
            lines.append("Signed with a shared mesh key: by someone with the mesh key.")
        return "\n".join(lines)

    def _minute(self, elector: Elector, tally: Tally) -> str:
        """What one elector did."""
        ballots = [ballot for ballot in self.cast if ballot.elector == elector.id]
        weight = f" (weight {elector.weight})" if elector.weight != 1 else ""
        said = " and ".join(self._in_words(ballot) for ballot in ballots)
        if elector.id in tally.spoiled:
            said = f"signed different ballots, none counts: {said}"
        return f"  {elector.name}{weight}: {said or 'no ballot'}"

    def _in_words(self, ballot: CastBallot) -> str:
        if not ballot.choice:
            return "abstained"
        place = ballot.choice[0]
        options = self.proposal.options
        words = (
            _plain(options[place])
            if place < len(options)
            else f"option {place}, which is not there"
        )
        if ballot.confidence_ppm != PPM:
            words += f", {ballot.confidence_ppm / PPM:.0%} sure"
        return words + (f", because {ballot.rationale!r}" if ballot.rationale else "")

    def _outcome_in_words(self, tally: Tally, rule: Rule) -> str:
        winner = tally.winner(rule)
        if winner is None:
            return "none; too few equal ballots are here."
        option = _plain(self.proposal.options[winner])
        return f"{option}, by {tally.by_option[winner]} of {rule.weight}."


def _plain(text: str) -> str:
    """The text, quoted if it could be mistaken for further lines of the minutes."""
    return text if text.isprintable() else repr(text)
