from __future__ import annotations

import tracemalloc
from functools import lru_cache

import attrs
import pytest

from meshp2p.errors import CredentialError, UsageError, WireError
from meshp2p.identity.chain import Chain
from meshp2p.identity.credential import ISSUER, NODE, TRANSPORT
from meshp2p.identity.trust import MeshKeys, Trust, proved_by, secret_of, verify_chain
from tests.issuing import (
    CRYPTO,
    DAY,
    MESH,
    NOW,
    block,
    by_root,
    chain,
    exchanging,
    identity,
    key,
    signing,
)

EASY_KEY = bytes(range(32))


def test_an_easy_key_gives_the_same_mesh_for_ever() -> None:
    """Nodes of different versions that hold one key meet: these values may not change."""
    keys = MeshKeys.from_easy_key(EASY_KEY, "default", CRYPTO)

    assert keys.mesh_id.hex() == "732258411947f0d752ef57a191e13693"
    assert keys.group_id.hex() == "5cf6d6ef778a6ac310767619bbb4d35c"
    assert keys.psk.hex() == "c3f59ca2b987a2b0cee0242b2060d7d066f670a719ef868a36d261b6e4f48320"
    assert (
        keys.root_public.hex() == "db72b6784ff5e70c2b5d4959faf90540871cf91f70fb57a8842fb0dfa0227a13"
    )
    assert keys.shared


def test_namespaces_of_one_mesh_share_nothing_but_its_id_and_root() -> None:
    """Two namespaces are silent to each other, because their keys differ."""
    one = MeshKeys.from_easy_key(EASY_KEY, "default", CRYPTO)
    other = MeshKeys.from_easy_key(EASY_KEY, "lab", CRYPTO)

    assert (one.mesh_id, one.root_public) == (other.mesh_id, other.root_public)
    assert one.group_id != other.group_id
    assert one.psk != other.psk
    assert bytes(32) not in (one.psk, other.psk)


def test_another_easy_key_gives_another_mesh() -> None:
    """Nothing of one mesh is valid in another."""
    one = MeshKeys.from_easy_key(EASY_KEY, "default", CRYPTO)
    other = MeshKeys.from_easy_key(EASY_KEY[::-1], "default", CRYPTO)

    ours = {one.mesh_id, one.group_id, one.psk, one.root_public}
    assert ours.isdisjoint({other.mesh_id, other.group_id, other.psk, other.root_public})


@pytest.mark.parametrize(("easy_key", "namespace"), [(b"short", "default"), (EASY_KEY, "a b")])
def test_a_bad_key_or_namespace_is_the_users_mistake(easy_key: bytes, namespace: str) -> None:
    """It is said at once, in words."""
    with pytest.raises(UsageError):
        MeshKeys.from_easy_key(easy_key, namespace, CRYPTO)


def test_secrets_do_not_show() -> None:
    """Neither logs nor tracebacks contain a private key or the PSK."""
    alice = identity("alice")
    shown = repr(alice) + repr(MESH)

    for secret in (MESH.psk, MESH.root_private, alice.node_private):
        assert repr(secret) not in shown
    assert "psk" not in shown
    assert "private" not in shown


def test_a_member_is_believed_and_remembered() -> None:
    """The second look at a chain costs no signature check."""
    trust, alice = Trust(CRYPTO, MESH), identity("alice")

    assert not trust.is_cached(alice.chain)
    first = trust.verify_chain_untrusted(alice.chain, NOW)
    assert trust.signatures_checked == 2
    assert trust.is_cached(alice.chain)
    assert trust.verify_chain_untrusted(alice.chain, NOW) is first
    assert trust.signatures_checked == 2
    assert first.node_id == alice.node_id


def test_judges_may_share_what_they_read_but_not_what_they_believe() -> None:
    """One memory of chains for all nodes of a process: each still checks every signature."""
    read = lru_cache(Chain.read_untrusted)
    alice = identity("alice")
    first, second = Trust(CRYPTO, MESH, read=read), Trust(CRYPTO, MESH, read=read)
    credential = first.verify_chain_untrusted(alice.chain, NOW)

    assert not second.is_cached(alice.chain)
    assert second.verify_chain_untrusted(alice.chain, NOW) is credential
    assert second.signatures_checked == 2

    forged = alice.chain[:-1] + bytes([alice.chain[-1] ^ 1])  # the last byte of a signature
    for judge in (first, second):
        with pytest.raises(CredentialError, match="forged"):
            judge.verify_chain_untrusted(forged, NOW)
    elsewhere = MeshKeys.from_easy_key(EASY_KEY, "default", CRYPTO)
    with pytest.raises(CredentialError, match="another mesh"):
        Trust(CRYPTO, elsewhere, read=read).verify_chain_untrusted(alice.chain, NOW)


def test_what_was_believed_once_still_expires() -> None:
    """Remembering a chain does not stop the clock."""
    trust, alice = Trust(CRYPTO, MESH), identity("alice")
    trust.verify_chain_untrusted(alice.chain, NOW)

    for unix in (NOW - 301, NOW + DAY + 301):
        with pytest.raises(CredentialError, match="by this node's clock"):
            trust.verify_chain_untrusted(alice.chain, unix)
    assert trust.verify_chain_untrusted(alice.chain, NOW + DAY).node_id == alice.node_id


def test_patience_with_clocks_is_a_knob() -> None:
    """A mesh with good clocks may forgive less."""
    strict = Trust(CRYPTO, MESH, tolerance=1.0)

    with pytest.raises(CredentialError, match=r"2 s from now .*\(1 s are forgiven\)"):
        strict.verify_chain_untrusted(identity("alice").chain, NOW - 2)


def test_a_chain_is_worth_nothing_without_its_transport_key() -> None:
    """Whoever copied a chain from somewhere cannot connect with it, seen before or not."""
    alice, bob = identity("alice"), identity("bob")

    trust = Trust(CRYPTO, MESH)
    for _ in ("never seen", "seen"):
        with pytest.raises(CredentialError, match="transport key in use"):
            trust.verify_chain_untrusted(alice.chain, NOW, transport_key=bob.transport_public)

    own = trust.verify_chain_untrusted(alice.chain, NOW, transport_key=alice.transport_public)
    assert own.node_id == alice.node_id


def test_a_chain_without_transport_block_opens_no_connection() -> None:
    """A certificate's chain proves a signer, never the other end of a channel."""
    bare = chain(by_root(NODE, signing("alice")))
    trust = Trust(CRYPTO, MESH)

    with pytest.raises(CredentialError):
        trust.verify_chain_untrusted(bare, NOW, transport_key=exchanging("alice"))
    with pytest.raises(CredentialError, match="no transport key"):
        verify_chain(CRYPTO, bare, root_public=MESH.root_public, at=NOW, need_transport=True)
    assert trust.verify_chain_untrusted(bare, NOW).transport_key is None


def test_a_credential_of_another_mesh_is_refused() -> None:
    """Same root, other mesh; and same mesh id, other root."""
    trust = Trust(CRYPTO, MESH)
    elsewhere = chain(by_root(NODE, signing("mallory"), mesh_id=b"another mesh...."))
    own_root = chain(block("mallory", NODE, signing("mallory")))

    with pytest.raises(CredentialError, match="another mesh"):
        trust.verify_chain_untrusted(elsewhere, NOW)
    with pytest.raises(CredentialError, match="issued by somebody else"):
        trust.verify_chain_untrusted(own_root, NOW)


def test_only_the_pinned_root_counts() -> None:
    """`verify_chain` takes any mesh of the root, unless one is named."""
    elsewhere = chain(by_root(NODE, signing("alice"), mesh_id=b"another mesh...."))
    root = MESH.root_public

    found = verify_chain(CRYPTO, elsewhere, root_public=root, at=NOW)

    assert found.mesh_id == b"another mesh...."
    with pytest.raises(CredentialError, match="another mesh"):
        verify_chain(CRYPTO, elsewhere, root_public=root, mesh_id=MESH.mesh_id, at=NOW)
    with pytest.raises(CredentialError):
        verify_chain(CRYPTO, elsewhere, root_public=signing("mallory"), at=NOW)


def test_what_is_refused_is_not_remembered() -> None:
    """A forged chain cannot wait in the cache until somebody believes it."""
    trust = Trust(CRYPTO, MESH)
    genuine = identity("alice").chain
    forged = genuine[:-1] + bytes([genuine[-1] ^ 1])

    for _ in range(2):
        with pytest.raises(CredentialError, match="forged"):
            trust.verify_chain_untrusted(forged, NOW)
    assert not trust.is_cached(forged)
    assert trust.signatures_checked == 3  # alice's own block is genuine, and checked once


def test_malformed_chains_cost_no_signature_check() -> None:
    """Cheap garbage is refused cheaply; so is a chain that breaks a rule."""
    trust = Trust(CRYPTO, MESH)
    alice = by_root(NODE, signing("alice"), not_after=NOW + 60)
    too_long = chain(alice, block("alice", TRANSPORT, exchanging("alice")))

    with pytest.raises(WireError):
        trust.verify_chain_untrusted(b"garbage", NOW)
    with pytest.raises(CredentialError, match="valid for longer"):
        trust.verify_chain_untrusted(too_long, NOW)
    assert trust.signatures_checked == 0


def test_memory_of_chains_is_bounded_and_forgets_the_longest_unused() -> None:
    """A member who mints chains without end pushes out only what nobody uses."""
    trust = Trust(CRYPTO, MESH, remember=2)
    alice, bob, carol = (chain(by_root(NODE, signing(who))) for who in ("alice", "bob", "carol"))

    for seen in (alice, bob, alice, carol):
        trust.verify_chain_untrusted(seen, NOW)

    assert [trust.is_cached(each) for each in (alice, bob, carol)] == [True, False, True]


def test_an_issuers_block_costs_one_check_however_many_it_signed() -> None:
    """Fifty members of one team bring 150 blocks, of which 101 differ."""
    trust, team = Trust(CRYPTO, MESH), by_root(ISSUER, signing("team"))

    for number in range(50):
        who = f"member{number}"
        transport = block(who, TRANSPORT, exchanging(who))
        credential = trust.verify_chain_untrusted(
            chain(team, block("team", NODE, signing(who)), transport), NOW
        )
        assert credential.node_key == signing(who)

    assert trust.signatures_checked == 101


def test_a_renewed_transport_key_costs_one_check() -> None:
    """The node's own block was seen before."""
    trust, alice = Trust(CRYPTO, MESH), identity("alice")
    trust.verify_chain_untrusted(alice.chain, NOW)

    trust.verify_chain_untrusted(alice.renewed(CRYPTO, alice.renew_at).chain, alice.renew_at)

    assert trust.signatures_checked == 3


def test_a_known_block_proves_nothing_below_another_issuer() -> None:
    """Same bytes, other parent: mallory's issuer has not signed what the team's has.

    Its own issuer's block says that it is the team, by name; the key decides.
    """
    trust = Trust(CRYPTO, MESH)
    alice = block("team", NODE, signing("alice"))
    trust.verify_chain_untrusted(chain(by_root(ISSUER, signing("team")), alice), NOW)

    for issuer in (by_root(ISSUER, signing("mallory"), name="team"), by_root(NODE, signing("m"))):
        with pytest.raises(CredentialError):
            trust.verify_chain_untrusted(chain(issuer, alice), NOW)
    with pytest.raises(CredentialError):
        trust.verify_chain_untrusted(chain(alice), NOW)


def test_a_known_block_is_still_held_to_what_its_issuer_may_give() -> None:
    """The team's wide block is known; below its narrow one alice's is wider than its issuer's."""
    trust = Trust(CRYPTO, MESH)
    wide = by_root(ISSUER, signing("team"))
    narrow = by_root(ISSUER, signing("team"), handles=("bob",))
    alice = block("team", NODE, signing("alice"))
    trust.verify_chain_untrusted(chain(wide, alice), NOW)

    with pytest.raises(CredentialError, match="was not its issuer's to give"):
        trust.verify_chain_untrusted(chain(narrow, alice), NOW)


def test_a_known_block_still_expires() -> None:
    """Whoever's chain is new, and whose issuer has expired meanwhile, is refused."""
    trust = Trust(CRYPTO, MESH)
    team = by_root(ISSUER, signing("team"), not_after=NOW + 60)
    alice, bob = (
        chain(team, block("team", NODE, signing(who), not_after=NOW + 60))
        for who in ("alice", "bob")
    )
    trust.verify_chain_untrusted(alice, NOW)

    with pytest.raises(CredentialError, match="expired"):
        trust.verify_chain_untrusted(bob, NOW + 361)


@pytest.mark.parametrize("flipped", [-1, -65])
def test_a_forged_block_is_checked_anew_each_time(flipped: int) -> None:
    """Neither its signature nor its claims can be changed below a genuine issuer's block.

    And what failed once spoils nothing: the genuine one is believed afterwards.
    """
    trust, team = Trust(CRYPTO, MESH), by_root(ISSUER, signing("team"))
    alice, key_block = (
        block("team", NODE, signing("alice")),
        block("alice", TRANSPORT, exchanging("alice")),
    )
    forged = bytearray(alice)
    forged[flipped] ^= 1

    for _ in range(2):
        with pytest.raises((CredentialError, WireError)):
            trust.verify_chain_untrusted(chain(team, bytes(forged), key_block), NOW)
    assert trust.verify_chain_untrusted(chain(team, alice, key_block), NOW).name == ""


def test_memory_of_blocks_is_bounded_and_keeps_what_is_in_use() -> None:
    """A member who mints children without end pushes out nobody's issuer, and fills nothing."""
    trust = Trust(CRYPTO, MESH, remember=1, remember_blocks=3)
    team = by_root(ISSUER, signing("team"))

    def chain_of(who: str) -> bytes:
        transport = block(who, TRANSPORT, exchanging(who))
        return chain(team, block("team", NODE, signing(who)), transport)

    def checks(chain: bytes) -> int:
        before = trust.signatures_checked
        trust.verify_chain_untrusted(chain, NOW)
        return trust.signatures_checked - before

    strangers = [chain_of(f"stranger{number}") for number in range(100)]
    others = [chain_of(f"other{number}") for number in range(300)]
    assert checks(chain_of("alice")) == 3
    tracemalloc.start()
    try:
        assert [checks(each) for each in strangers] == [2] * 100
        before, _ = tracemalloc.get_traced_memory()
        assert [checks(each) for each in others] == [2] * 300
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000  # 300 blocks would be some 60,000
    assert checks(chain_of("alice")) == 2  # hers was forgotten, the team's was not


def test_a_node_that_holds_the_root_issues_its_own_credential() -> None:
    """Its chain proves its keys, its namespace and its role to every member."""
    alice = identity("alice")

    credential = Trust(CRYPTO, MESH).verify_chain_untrusted(alice.chain, NOW)

    assert credential.node_key == alice.node_public == signing("alice")
    assert credential.transport_key == alice.transport_public == exchanging("alice")
    assert (credential.namespaces, credential.roles) == (("default",), ("worker",))
    assert credential.allows_handle("anything")
    assert credential.allows_capability("any.thing")
    assert credential.not_after == NOW + 30 * DAY
    assert credential.transport_not_after == NOW + DAY


def test_a_node_without_the_root_cannot_issue_its_own_credential() -> None:
    """It is told what to do instead."""
    member = attrs.evolve(MESH, root_private=None)

    with pytest.raises(UsageError, match="ask for an invite"):
        type(identity("alice")).self_issued(
            CRYPTO,
            member,
            node_private=key("alice"),
            transport_private=key("alice"),
            journal_id=bytes(16),
            handle="alice",
            role="worker",
            unix=NOW,
        )


def test_renewal_keeps_every_key_and_is_valid_for_another_day() -> None:
    """A node that runs for weeks stays who it is."""
    trust, alice = Trust(CRYPTO, MESH), identity("alice")
    assert alice.renew_at == NOW + DAY // 2

    later = alice
    for _ in range(100):
        moment = later.renew_at
        later = later.renewed(CRYPTO, moment)
        credential = trust.verify_chain_untrusted(
            later.chain, moment, transport_key=alice.transport_public
        )
        assert credential.transport_not_after == moment + DAY
        assert later.renew_at == moment + DAY // 2

    assert later.renew_at > NOW + 49 * DAY
    assert (later.node_id, later.transport_private) == (alice.node_id, alice.transport_private)


def test_a_clock_that_was_ahead_and_is_put_right_calls_for_renewal() -> None:
    """A chain that begins in the future is refused by all; a fresh one begins now."""
    alice = identity("alice")
    assert not alice.needs_renewal(NOW)
    assert alice.needs_renewal(NOW + DAY // 2)
    assert alice.needs_renewal(NOW - 3_600)

    again = alice.renewed(CRYPTO, NOW - 3_600)

    credential = Trust(CRYPTO, MESH).verify_chain_untrusted(again.chain, NOW - 3_600)
    assert (credential.not_before, credential.transport_not_before) == (NOW - 3_600, NOW - 3_600)
    assert not again.needs_renewal(NOW - 3_600)


def test_a_renewed_block_never_begins_before_its_issuers() -> None:
    """Where another issued the node's block, nothing can be done about its beginning."""
    alice = identity("alice")
    orphan = attrs.evolve(alice, keys=attrs.evolve(MESH, root_private=None))
    later = orphan.renewed(CRYPTO, NOW + 3_600)
    assert later.needs_renewal(NOW + 100)

    again = later.renewed(CRYPTO, NOW - 200)

    credential = Trust(CRYPTO, MESH).verify_chain_untrusted(again.chain, NOW - 200)
    assert credential.transport_not_before == NOW
    assert not again.needs_renewal(NOW - 200)  # which would be tried in vain, again and again


def test_a_short_life_bounds_the_transport_block_too() -> None:
    """A guest of five minutes is gone after five minutes."""
    guest = identity("guest", role="guest", lifetime=300.0, may_promise=False)

    credential = Trust(CRYPTO, MESH).verify_chain_untrusted(guest.chain, NOW)

    assert (credential.not_after, credential.transport_not_after) == (NOW + 300, NOW + 300)
    assert credential.roles == ("guest",)
    assert not guest.may_promise


def test_an_expired_node_that_cannot_renew_itself_says_so() -> None:
    """Only its issuer can help, and the error says that."""
    alice = identity("alice")
    orphan = attrs.evolve(alice, keys=attrs.evolve(MESH, root_private=None))

    assert orphan.renewed(CRYPTO, NOW + DAY).chain != alice.chain
    with pytest.raises(UsageError, match="ask its issuer"):
        orphan.renewed(CRYPTO, NOW + 31 * DAY)


@pytest.mark.parametrize("changes", [{"handle": "two words"}, {"role": ""}])
def test_a_handle_or_role_that_is_no_name_is_refused(changes: dict[str, str]) -> None:
    """The name travels to every member; it must be one."""
    with pytest.raises(UsageError):
        identity("alice", **changes)


@pytest.mark.parametrize("secret", [b"", bytes(32)])
def test_what_is_read_again_is_what_was_proved(secret: bytes) -> None:
    """Of more members than are remembered as they were read; it costs no signature check."""
    trust = Trust(CRYPTO, MESH, secret=secret)
    chains = [identity(f"member{number}").chain for number in range(100)]
    first = [trust.verify_chain_untrusted(each, NOW) for each in chains]
    checked = trust.signatures_checked

    again = [trust.verify_chain_untrusted(each, NOW) for each in chains]

    assert again == first
    assert again[0] is not first[0]
    assert [proved_by(each) for each in chains] == first
    assert trust.signatures_checked == checked == 200
    assert all(trust.is_cached(each) for each in chains)
    with pytest.raises(CredentialError, match="expired"):
        trust.verify_chain_untrusted(chains[0], NOW + DAY + 301)


@pytest.mark.parametrize("secret", [b"", bytes(32)])
def test_one_chain_does_not_pass_for_another_that_was_proved(secret: bytes) -> None:
    """Not even if only its last byte differs, and whichever was asked for last."""
    trust, alice = Trust(CRYPTO, MESH, secret=secret), identity("alice")
    trust.verify_chain_untrusted(alice.chain, NOW)
    forged = alice.chain[:-1] + bytes([alice.chain[-1] ^ 1])

    assert trust.is_cached(alice.chain)
    assert not trust.is_cached(forged)
    with pytest.raises(CredentialError, match="forged"):
        trust.verify_chain_untrusted(forged, NOW)
    assert not trust.is_cached(forged)
    assert trust.is_cached(alice.chain)


def test_a_nodes_secret_is_its_own() -> None:
    """It follows from its key alone, and tells nothing of it."""
    alice, bob = identity("alice").node_private, identity("bob").node_private

    assert secret_of(alice) == secret_of(alice) != secret_of(bob)
    assert alice not in secret_of(alice)
    assert len(secret_of(alice)) == 32


def test_what_was_proved_takes_little_memory() -> None:
    """Two names of 15 bytes, since nobody else knows the secret."""
    chains = [identity(f"member{number}").chain for number in range(600)]
    used = {}
    for secret in (b"", bytes(32)):
        trust = Trust(CRYPTO, MESH, secret=secret)
        tracemalloc.start()
        try:
            for each in chains:
                trust.verify_chain_untrusted(each, NOW)
            used[secret], _ = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

    # Seen: 260; dictionaries take 74 to 150 of that, as they have grown just now or not.
    assert used[bytes(32)] / len(chains) < 320
    assert used[bytes(32)] < used[b""] - 30 * len(chains)
