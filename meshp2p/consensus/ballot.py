"""What is signed in a vote: the proposal with its electorate, and the ballots.

The formats hold everything that sealed ballots, several rounds, weights and other methods
will need; today those fields have one neutral value and readers refuse any other.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import attrs

from meshp2p.consensus import envelope
from meshp2p.consensus.envelope import FORMAT, HASH_BYTES, MAX_INTEGER, PPM, Fields
from meshp2p.errors import WireError
from meshp2p.identity.credential import LAST_MOMENT, MESH_ID_BYTES
from meshp2p.identity.keys import KEY_BYTES, Crypto, node_id_of
from meshp2p.ids import NAME, NodeId, Seconds, show_id
from meshp2p.wire import limits
from meshp2p.wire.codec import Value

PROPOSAL: Final = "vote"
BALLOT: Final = "ballot"
"""Kinds of statement. An abstention is a ballot without a choice: it fills the same slot."""

PLURALITY: Final = "plurality"
ONE_SHOT: Final = "one-shot"
"""Equal signed ballots are the certificate; there is no second round."""

NONCE_BYTES: Final = 16
JOURNAL_BYTES: Final = 16
_MAX_NAME: Final = 63
_MAX_WEIGHT: Final = 1_000_000
_MAX_COMMITMENT: Final = 64
_MILLISECONDS: Final = 1_000


@attrs.frozen(kw_only=True)
class VoteCall:
    """What an `@on_vote` handler is asked.

    Args:
        options: Exactly one of them is to be chosen.
        caller: Handle of who calls the vote, or its id.
        closes_in: Seconds until the caller stops waiting.
    """

    question: str
    options: tuple[str, ...]
    caller: str
    method: str
    closes_in: Seconds

    def to_body(self) -> list[Value]:
        """As a `?vote` handler gets it: [question, options, caller, method, closes_in_ms]."""
        milliseconds = round(self.closes_in * _MILLISECONDS)
        return [self.question, list(self.options), self.caller, self.method, milliseconds]

    @classmethod
    def from_body(cls, body: list[Value]) -> VoteCall:
        """Read what `to_body` wrote.

        Raises:
            WireError: It did not.
        """
        fields = Fields(body)
        return cls(
            question=fields.text(limits.MAX_QUESTION),
            options=fields.texts(limits.MAX_OPTIONS, limits.MAX_OPTION),
            caller=fields.text(_MAX_NAME),
            method=fields.text(_MAX_NAME),
            closes_in=fields.integer() / _MILLISECONDS,
        )


@attrs.frozen
class Ballot:
    """What an `@on_vote` handler may answer, besides a bare option or None to abstain.

    Args:
        option: One of the call's.
        confidence_ppm: How sure the elector is, in millionths.
        rationale: For the minutes; at most 4 KiB.
    """

    option: str
    confidence_ppm: int = PPM
    rationale: str = ""

    def to_body(self) -> list[Value]:
        """As the handler's answer travels inside the process."""
        return [self.option, self.confidence_ppm, self.rationale]


@attrs.frozen(kw_only=True)
class Elector:
    """One member of an electorate: who, with which journal, how heavy, and the proof.

    Args:
        journal_id: 16 bytes. The same node with another journal has forgotten how it
            voted, so it is another elector.
        weight: At least 1.
        chain: Credential chain; in a signed proposal without its transport block.
        handle: As it is known; shown in minutes.
    """

    node_key: bytes
    journal_id: bytes
    chain: bytes = attrs.field(repr=False)
    weight: int = 1
    handle: str = ""

    @property
    def id(self) -> NodeId:
        """Of its node key."""
        return node_id_of(self.node_key)

    @property
    def name(self) -> str:
        """Its handle, or the beginning of its id."""
        return self.handle or show_id(self.id)[:8]

    def to_fields(self) -> list[Value]:
        """[id, node key, journal id, weight, chain, handle]."""
        return [self.id, self.node_key, self.journal_id, self.weight, self.chain, self.handle]

    @classmethod
    def read_untrusted(cls, fields: Fields) -> Elector:
        """Read what `to_fields` wrote.

        Raises:
            WireError: It did not, or the id is not the key's.
        """
        claimed = fields.node_id()
        elector = cls(
            node_key=fields.octets(KEY_BYTES),
            journal_id=fields.octets(JOURNAL_BYTES),
            weight=fields.integer(1, _MAX_WEIGHT),
            chain=fields.octets_up_to(limits.MAX_CHAIN),
            handle=fields.text(_MAX_NAME),
        )
        if claimed != elector.id:
            raise WireError("an elector whose id is not its key's")
        if elector.handle and not NAME.fullmatch(elector.handle):
            raise WireError("an elector whose handle is no name")
        return elector


@attrs.frozen(kw_only=True)
class Proposal:
    """A call for a vote as it is signed.

    Args:
        mesh_id: 16 bytes; the mesh whose root vouches for everyone named.
        namespace: The one in which everyone named must be at home.
        shared: Whether all members hold the root's key, so that names prove nothing.
        caller: Who signs; its weight plays no role.
        nonce: 16 random bytes: the same question asked again is another vote.
        wall: Unix seconds at the caller; credentials are judged as of then.
        participation_ppm: Least share of the weight that must cast a ballot.
        threshold_ppm: Least share of the weight that an option needs.
        faulty: Weight of electors that may sign two different ballots.
        closes_ms: How long the caller waits.
        among: For the minutes: how the electors were chosen.
        pid: SHA-256 of the signed payload; names the vote. Filled by the reader.
    """

    mesh_id: bytes
    namespace: str
    shared: bool
    caller: Elector
    nonce: bytes
    wall: int
    question: str
    options: tuple[str, ...]
    participation_ppm: int
    threshold_ppm: int
    faulty: int
    closes_ms: int
    electors: tuple[Elector, ...]
    method: str = PLURALITY
    among: str = ""
    pid: bytes = b""
    _by_id: Mapping[NodeId, Elector] = attrs.field(
        default=attrs.Factory(
            lambda self: {elector.id: elector for elector in self.electors}, takes_self=True
        ),
        init=False,
        repr=False,
        eq=False,
    )

    @property
    def weight(self) -> int:
        """W: of all electors together."""
        return sum(elector.weight for elector in self.electors)

    def elector(self, node_id: NodeId) -> Elector | None:
        """The elector with this id, if there is one."""
        return self._by_id.get(node_id)

    def weight_of(self, node_id: NodeId) -> int:
        """Its weight; 0 for whoever is no elector."""
        elector = self._by_id.get(node_id)
        return elector.weight if elector else 0

    def sign(self, crypto: Crypto, private: bytes, group_id: bytes) -> bytes:
        """The proposal as it travels.

        Neutral for now, and refused if not: opinion round 0, mode "one-shot", not
        sealed, council version 0 without parent (the electorate is listed whole).
        """
        head: list[Value] = [FORMAT, self.mesh_id, self.namespace, int(self.shared)]
        head += [self.caller.to_fields(), self.nonce, self.wall, self.question]
        rules: list[Value] = [list(self.options), self.method, self.participation_ppm]
        rules += [self.threshold_ppm, self.faulty, 0, ONE_SHOT, [self.closes_ms], 0, 0, b""]
        electors: list[Value] = [elector.to_fields() for elector in self.electors]
        fields = [*head, *rules, self.among, electors]
        return envelope.sign(crypto, private, PROPOSAL, group_id, fields)

    @classmethod
    def read_untrusted(cls, statement: bytes) -> Proposal:
        """Read what `sign` wrote; neither signature nor credentials are looked at.

        Raises:
            WireError: It did not, or it makes no sense: no electors or one twice, less
                than two options or one twice, or a rule that nobody can fulfil.
        """
        fields = envelope.open_untrusted(statement, limits.MAX_VOTE_CALL)
        proposal = cls(
            mesh_id=fields.octets(MESH_ID_BYTES),
            namespace=fields.text(_MAX_NAME),
            shared=bool(fields.integer(0, 1)),
            caller=Elector.read_untrusted(fields.fields()),
            nonce=fields.octets(NONCE_BYTES),
            wall=fields.integer(0, LAST_MOMENT),
            question=fields.text(limits.MAX_QUESTION),
            options=fields.texts(limits.MAX_OPTIONS, limits.MAX_OPTION),
            method=fields.text(_MAX_NAME),
            participation_ppm=fields.integer(0, PPM),
            threshold_ppm=fields.integer(0, PPM),
            faulty=fields.integer(),
            closes_ms=_read_neutral_modes(fields),
            among=fields.text(limits.MAX_OPTION),
            electors=_read_electors(fields),
            pid=envelope.digest(envelope.payload_of(statement)),
        )
        proposal._check_makes_sense()
        return proposal

    def _check_makes_sense(self) -> None:
        if self.method != PLURALITY:
            raise WireError(f"a vote by {self.method!r}, which this version cannot count")
        if len(self._by_id) != len(self.electors) or not self.electors:
            raise WireError("an electorate that is empty or lists a member twice")
        if len(set(self.options)) != len(self.options) or len(self.options) < 2:  # noqa: PLR2004
            raise WireError("less than two different options")
        if (self.weight + self.faulty) // 2 + 1 > self.weight:
            raise WireError("more faulty electors than any majority could outvote")


@attrs.frozen(kw_only=True)
class CastBallot:
    """A ballot as it is signed: [format, pid, elector, journal id, opinion round, choice, ...].

    Args:
        choice: The option's place in the proposal; empty for an abstention.
        rationale: For the minutes.
        statement: As it travels, signature included. Filled by the reader.
    """

    pid: bytes
    elector: NodeId
    journal_id: bytes
    choice: tuple[int, ...]
    confidence_ppm: int = PPM
    rationale: str = ""
    statement: bytes = attrs.field(default=b"", repr=False)

    @property
    def payload(self) -> bytes:
        """What was signed: two of one elector that differ here are evidence against it."""
        return envelope.payload_of(self.statement)

    def sign(self, crypto: Crypto, private: bytes, group_id: bytes) -> bytes:
        """The ballot as it travels; opinion round 0, no commitment, no delegate."""
        fields: list[Value] = [FORMAT, self.pid, self.elector, self.journal_id, 0]
        fields += [list(self.choice), self.confidence_ppm, self.rationale, b"", b""]
        return envelope.sign(crypto, private, BALLOT, group_id, fields)

    @classmethod
    def read_untrusted(cls, statement: object) -> CastBallot:
        """Read what `sign` wrote; the signature is not looked at.

        Raises:
            WireError: It did not, or it uses a mode that this version does not know.
        """
        fields = envelope.open_untrusted(statement)
        pid, elector = fields.octets(HASH_BYTES), fields.node_id()
        journal_id = fields.octets(JOURNAL_BYTES)
        fields.integer(0, 0)
        ballot = cls(
            pid=pid,
            elector=elector,
            journal_id=journal_id,
            choice=fields.integers(at_most=1, most=limits.MAX_OPTIONS - 1),
            confidence_ppm=fields.integer(0, PPM),
            rationale=fields.text(limits.MAX_RATIONALE),
            statement=statement if type(statement) is bytes else b"",
        )
        if fields.octets_up_to(_MAX_COMMITMENT) or fields.octets_up_to(_MAX_COMMITMENT):
            raise WireError("a sealed or delegated ballot, which this version cannot count")
        return ballot

    def check_answers(self, proposal: Proposal, crypto: Crypto, group_id: bytes) -> None:
        """Accept the ballot as an elector's signed answer to the proposal.

        Raises:
            WireError: It is of another vote, of no elector, for no option, or forged.
        """
        elector = proposal.elector(self.elector)
        if self.pid != proposal.pid:
            raise WireError("a ballot of another vote")
        if elector is None or elector.journal_id != self.journal_id:
            raise WireError("a ballot of somebody who is no elector")
        if self.choice and self.choice[0] >= len(proposal.options):
            raise WireError("a ballot for an option that does not exist")
        if not envelope.is_signed_by(crypto, elector.node_key, BALLOT, group_id, self.statement):
            raise WireError("a ballot with a forged signature")


def _read_neutral_modes(fields: Fields) -> int:
    """Check that the modes of later versions are off; return the closing time in ms."""
    fields.integer(0, 0)  # opinion round
    if fields.text(_MAX_NAME) != ONE_SHOT:
        raise WireError("a vote of several rounds, which this version cannot take part in")
    durations = fields.integers(at_most=1, most=MAX_INTEGER)
    fields.integer(0, 0)  # sealed
    fields.integer(0, 0)  # council version
    if fields.octets_up_to(HASH_BYTES) or not durations:
        raise WireError("a vote of a council, which this version does not know")
    return durations[0]


def _read_electors(fields: Fields) -> tuple[Elector, ...]:
    array = Fields(fields.array(limits.MAX_ELECTORS))
    return tuple(Elector.read_untrusted(array.fields()) for _ in range(array.left))
