"""What a certificate proves, to whom, and what it says."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import attrs

from meshp2p.consensus import Certificate, verify
from meshp2p.consensus.ballot import CastBallot, Proposal
from meshp2p.consensus.envelope import PPM
from meshp2p.identity.credential import (
    CHILD,
    NODE,
    TRANSPORT,
    Block,
    pack_chain,
    parse_chain_untrusted,
    without_transport,
)
from tests.simulation import consensus_world
from tests.simulation.consensus_world import REAL, UNIX, elector_of, identity_of, mesh_of

ROOT = mesh_of(REAL).root_public
GROUP = mesh_of(REAL).group_id
YES, NO, ABSTAIN = (0,), (1,), ()


proposal_of = partial(consensus_world.proposal_of, crypto=REAL)


def sign_ballot(name: str, pid: bytes, choice: tuple[int, ...], rationale: str = "") -> bytes:
    """Somebody's ballot."""
    identity = identity_of(name, REAL)
    draft = CastBallot(
        pid=pid,
        elector=identity.node_id,
        journal_id=identity.journal_id,
        choice=choice,
        confidence_ppm=900_000 if rationale else PPM,
        rationale=rationale,
    )
    return draft.sign(REAL, identity.node_private, GROUP)


def certificate_of(
    votes: Sequence[tuple[str, tuple[int, ...]]], proposal: Proposal | None = None
) -> Certificate:
    """A certificate that holds these ballots, whether or not they decide anything."""
    names = tuple(dict.fromkeys(name for name, _ in votes))
    proposal = proposal or proposal_of(*names)
    call = proposal.sign(REAL, identity_of("alice", REAL).node_private, GROUP)
    pid = Proposal.read_untrusted(call).pid
    return Certificate.assemble(GROUP, call, [sign_ballot(name, pid, c) for name, c in votes])


DECIDED = certificate_of([("alice", YES), ("bob", YES), ("carol", NO)])


def test_a_certificate_convinces_whoever_knows_the_root() -> None:
    """Bytes and a root key are all that is needed."""
    verdict = verify(DECIDED.to_bytes(), ROOT)
    assert (verdict.valid, verdict.outcome) == (True, "yes")
    assert "by 2 of 3" in verdict.explanation


def test_without_a_root_nothing_is_ever_valid() -> None:
    """Signatures are consistent, but nobody says whose they are."""
    verdict = verify(DECIDED.to_bytes(), None)
    assert not verdict.valid
    assert verdict.outcome is None
    assert "signers unknown" in verdict.explanation


def test_another_meshs_root_is_not_convinced() -> None:
    """Members of one mesh decide nothing for another."""
    assert not verify(DECIDED.to_bytes(), mesh_of(REAL, "other").root_public).valid
    assert not verify(DECIDED.to_bytes(), b"short").valid


def test_a_shared_key_is_said_aloud() -> None:
    """Whoever holds the mesh key can make members at will; the verdict says so."""
    assert "holds the mesh key" in verify(DECIDED.to_bytes(), ROOT).explanation
    private = certificate_of(
        [("alice", YES), ("bob", YES)], proposal_of("alice", "bob", shared=False)
    )
    assert "mesh key" not in verify(private.to_bytes(), ROOT).explanation


def test_too_few_equal_ballots_decide_nothing() -> None:
    """Every signature holds, and yet there is no outcome."""
    verdict = verify(certificate_of([("alice", YES), ("bob", NO)]).to_bytes(), ROOT)
    assert not verdict.valid
    assert "2 equal ballots needed" in verdict.explanation


def test_too_few_ballots_for_the_quorum_decide_nothing() -> None:
    """Two of three agree, but all three had to cast a ballot and one abstained."""
    proposal = proposal_of("alice", "bob", "carol", participation_ppm=PPM)
    votes = [("alice", YES), ("bob", YES), ("carol", ABSTAIN)]
    assert not verify(certificate_of(votes, proposal).to_bytes(), ROOT).valid


def test_the_revoked_count_no_more() -> None:
    """By node id or by key; a vote that still has enough ballots stands."""
    bob, carol = identity_of("bob", REAL), identity_of("carol", REAL)
    data = DECIDED.to_bytes()
    assert not verify(data, ROOT, revoked=[bob.node_id]).valid
    assert not verify(data, ROOT, revoked=[bob.node_public]).valid
    assert verify(data, ROOT, revoked=[carol.node_id]).valid


def test_a_vote_called_by_somebody_revoked_is_void() -> None:
    """Who may not speak for the mesh may not choose its electorate."""
    mallory = elector_of(identity_of("mallory", REAL))
    caller = attrs.evolve(mallory, chain=without_transport(mallory.chain))
    proposal = proposal_of("alice", "bob", caller=caller)
    call = proposal.sign(REAL, identity_of("mallory", REAL).node_private, GROUP)
    pid = Proposal.read_untrusted(call).pid
    ballots = [sign_ballot(name, pid, YES) for name in ("alice", "bob")]
    data = Certificate.assemble(GROUP, call, ballots).to_bytes()
    assert verify(data, ROOT).valid
    assert not verify(data, ROOT, revoked=[caller.id]).valid


def test_two_ballots_of_one_elector_are_shown_and_not_counted() -> None:
    """The evidence stays in the certificate, and names the member."""
    votes = [("alice", YES), ("bob", YES), ("carol", YES), ("carol", NO)]
    certificate = certificate_of(votes)
    verdict = certificate.verify(ROOT)
    assert (verdict.valid, verdict.spoiled) == (True, ("carol",))
    assert certificate.tally().cast == 2
    assert "carol: signed different ballots, none counts: " in certificate.explain()


def test_a_spoiled_ballot_cannot_decide() -> None:
    """Two of three said yes, but one of them said no as well."""
    votes = [("alice", YES), ("bob", YES), ("bob", NO), ("carol", NO)]
    assert not certificate_of(votes).verify(ROOT).valid


def test_a_ballot_of_a_stranger_spoils_the_certificate() -> None:
    """Only electors may be in it, each with the journal that was listed."""
    proposal = proposal_of("alice", "bob")
    votes = [("alice", YES), ("bob", YES), ("mallory", YES)]
    assert not certificate_of(votes, proposal).verify(ROOT).valid


def test_a_ballot_signed_beside_another_journal_spoils_the_certificate() -> None:
    """Bob with a wiped disk is not the bob who was listed: he has forgotten how he voted."""
    call = proposal_of("alice", "bob").sign(REAL, identity_of("alice", REAL).node_private, GROUP)
    pid, bob = Proposal.read_untrusted(call).pid, identity_of("bob", REAL)
    wiped = CastBallot(pid=pid, elector=bob.node_id, journal_id=bytes(16), choice=YES)
    ballots = [sign_ballot("alice", pid, YES), wiped.sign(REAL, bob.node_private, GROUP)]
    verdict = Certificate.assemble(GROUP, call, ballots).verify(ROOT)
    assert not verdict.valid
    assert "no elector" in verdict.explanation


def test_a_ballot_of_another_vote_spoils_the_certificate() -> None:
    """A yes to one question is no yes to another."""
    pid = DECIDED.proposal.pid
    other = proposal_of("alice", "bob", "carol", question="ship it tonight?")
    call = other.sign(REAL, identity_of("alice", REAL).node_private, GROUP)
    ballots = [sign_ballot(name, pid, YES) for name in ("alice", "bob", "carol")]
    verdict = Certificate.assemble(GROUP, call, ballots).verify(ROOT)
    assert not verdict.valid
    assert "another vote" in verdict.explanation


def test_an_elector_with_somebody_elses_chain_is_refused() -> None:
    """Alice cannot list a key of her own under bob's credential."""
    bob, mallory = (elector_of(identity_of(name, REAL)) for name in ("bob", "mallory"))
    forged = attrs.evolve(mallory, chain=without_transport(bob.chain), handle="bob")
    alice = proposal_of("alice").electors[0]
    proposal = proposal_of("alice", electors=(alice, forged))
    verdict = certificate_of([("alice", YES), ("mallory", YES)], proposal).verify(ROOT)
    assert not verdict.valid
    assert "belongs to somebody else" in verdict.explanation


def test_nobody_votes_under_a_handle_that_its_credential_does_not_give() -> None:
    """Mallory may be called mallory, so the minutes cannot call it bob."""
    mallory, keys = identity_of("mallory", REAL), mesh_of(REAL)
    assert keys.root_private is not None
    block = Block.issue(
        REAL,
        keys.root_private,
        kind=NODE,
        mesh_id=keys.mesh_id,
        subject=mallory.node_public,
        namespaces=("default",),
        not_before=int(UNIX),
        not_after=int(UNIX) + 3_600,
        handles=("mallory",),
    )
    person = attrs.evolve(elector_of(mallory), chain=pack_chain([block]))
    votes = [("alice", YES), ("mallory", YES)]
    for handle, valid in (("mallory", True), ("bob", False)):
        people = (proposal_of("alice").electors[0], attrs.evolve(person, handle=handle))
        proposal = proposal_of("alice", electors=people)
        assert certificate_of(votes, proposal).verify(ROOT).valid is valid


def test_one_credential_makes_one_vote() -> None:
    """Alice cannot list her guests as electors: she makes as many as she likes."""
    alice, guest = identity_of("alice", REAL), identity_of("guest", REAL)
    child = Block.issue(
        REAL,
        alice.node_private,
        kind=CHILD,
        mesh_id=alice.keys.mesh_id,
        subject=guest.node_public,
        namespaces=("default",),
        not_before=int(UNIX),
        not_after=int(UNIX) + 300,
        handles=("*",),
    )
    above = [block.wire for block in parse_chain_untrusted(without_transport(alice.chain))]
    person = attrs.evolve(elector_of(guest), chain=pack_chain([*above, child]))
    proposal = proposal_of("alice", electors=(*proposal_of("alice").electors, person))
    verdict = certificate_of([("alice", YES), ("guest", YES)], proposal).verify(ROOT)
    assert not verdict.valid
    assert "is a guest" in verdict.explanation


def test_credentials_are_judged_as_of_the_call() -> None:
    """A vote called long before its electors had credentials is none."""
    proposal = proposal_of("alice", "bob", wall=int(UNIX) - 3_600)
    verdict = certificate_of([("alice", YES), ("bob", YES)], proposal).verify(ROOT)
    assert not verdict.valid
    assert "not valid before" in verdict.explanation


def test_an_elector_of_another_namespace_is_refused() -> None:
    """Namespaces do not vote for each other."""
    proposal = proposal_of("alice", "bob", namespace="elsewhere")
    assert not certificate_of([("alice", YES), ("bob", YES)], proposal).verify(ROOT).valid


def test_certificates_hold_no_transport_keys() -> None:
    """Those live a day, certificates for years."""
    for person in DECIDED.proposal.electors:
        assert TRANSPORT not in [block.kind for block in parse_chain_untrusted(person.chain)]
    daily = tuple(elector_of(identity_of(name, REAL)) for name in ("alice", "bob"))
    proposal = proposal_of("alice", electors=daily)
    assert not certificate_of([("alice", YES), ("bob", YES)], proposal).verify(ROOT).valid


def test_a_certificate_survives_storage() -> None:
    """The same bytes, the same value."""
    assert Certificate.from_bytes_untrusted(DECIDED.to_bytes()) == DECIDED


def test_anything_added_is_refused() -> None:
    """Trailing bytes, a second encoding, another order: one certificate, one form."""
    data = DECIDED.to_bytes()
    assert not verify(data + b"\0", ROOT).valid
    assert not verify(b"\xdc\x00\x05" + data[1:], ROOT).valid
    assert not verify(b"", ROOT).valid


def test_the_minutes_can_be_read_aloud() -> None:
    """Who asked, what it took, who said what, and what came of it."""
    proposal = proposal_of("alice", "bob", "carol")
    call = proposal.sign(REAL, identity_of("alice", REAL).node_private, GROUP)
    pid = Proposal.read_untrusted(call).pid
    ballots = [sign_ballot("alice", pid, YES, "tests are green"), sign_ballot("bob", pid, YES)]
    assert Certificate.assemble(GROUP, call, ballots).explain() == (
        "Vote 'ship it?', called by alice at 2025-06-15 15:06:40 UTC.\n"
        "Options: yes, no.\n"
        "3 electors of weight 3, chosen among code.*; 2 equal ballots decide.\n"
        "  alice: yes, 90% sure, because 'tests are green'\n"
        "  bob: yes\n"
        "  carol: no ballot\n"
        "Outcome: yes, by 2 of 3.\n"
        "Signed with a shared mesh key: by someone with the mesh key."
    )


def test_nobody_can_write_lines_into_the_minutes() -> None:
    """An option with a line break is shown quoted."""
    proposal = proposal_of("alice", "bob", options=("yes\n  carol: yes", "no"))
    minutes = certificate_of([("alice", YES), ("bob", YES)], proposal).explain()
    assert "\n  carol: yes" not in minutes
