from __future__ import annotations

from typing import Any

import pytest

from meshp2p.errors import CredentialError, UsageError, WireError
from meshp2p.identity.block import DOMAIN
from meshp2p.identity.credential import (
    CHILD,
    ISSUER,
    NODE,
    TRANSPORT,
    Credential,
    pack_chain,
    parse_chain_untrusted,
    without_transport,
)
from meshp2p.identity.keys import node_id_of
from meshp2p.identity.trust import verify_chain
from meshp2p.wire import codec, limits
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
    root_private,
    signing,
)


def proved(*blocks: bytes, at: float = NOW) -> Credential:
    """What the blocks prove to a member of the mesh."""
    return verify_chain(CRYPTO, chain(*blocks), root_public=MESH.root_public, at=at)


def test_a_chain_proves_the_keys_and_names_of_its_holder() -> None:
    """Root, issuer, node, transport key: the last node's claims count."""
    team = by_root(ISSUER, signing("team"), namespaces=("lab",), handles=("deploy.*",))
    alice = block(
        "team",
        NODE,
        signing("alice"),
        name="alice",
        namespaces=("lab",),
        roles=("worker",),
        handles=("deploy.a",),
        announces=("code.*",),
    )
    today = block("alice", TRANSPORT, exchanging("alice"), not_after=NOW + 60)

    credential = proved(team, alice, today)

    assert credential.node_key == signing("alice")
    assert credential.node_id == node_id_of(signing("alice"))
    assert credential.transport_key == exchanging("alice")
    assert (credential.name, credential.namespaces, credential.roles) == (
        "alice",
        ("lab",),
        ("worker",),
    )
    assert credential.mesh_id == MESH.mesh_id
    assert (credential.not_before, credential.not_after) == (NOW, NOW + DAY)
    assert credential.transport_not_after == NOW + 60


def test_a_credential_allows_what_its_patterns_cover() -> None:
    """Nobody may pose as @deploy, or announce what was not given to them."""
    alice = by_root(
        NODE, signing("alice"), handles=("alice",), announces=("code.*",), roles=(), namespaces=()
    )

    credential = proved(alice)

    assert credential.allows_handle("alice")
    assert not credential.allows_handle("deploy")
    assert credential.allows_capability("code.review")
    assert not credential.allows_capability("code")
    assert not credential.allows_capability("codex.review")
    assert not credential.allows_role("worker")
    assert not credential.allows_namespace("default")


def test_a_child_speaks_for_itself_and_not_for_its_parent() -> None:
    """A sub-agent's chain proves the sub-agent's key, with its narrower claims."""
    alice = by_root(NODE, signing("alice"))
    guest = block("alice", CHILD, signing("guest"), roles=("guest",), not_after=NOW + 300)
    today = block("guest", TRANSPORT, exchanging("guest"), not_after=NOW + 300)

    credential = proved(alice, guest, today)

    assert credential.node_key == signing("guest")
    assert credential.roles == ("guest",)
    assert credential.not_after == NOW + 300


WIDER: dict[str, dict[str, Any]] = {
    "another namespace": {"namespaces": ("lab", "office")},
    "every namespace": {"namespaces": ("*",)},
    "another role": {"roles": ("governor",)},
    "another handle": {"handles": ("deploy",)},
    "a wider pattern of handles": {"handles": ("*",)},
    "another capability": {"announces": ("shell",)},
    "the parent of its capabilities": {"announces": ("code",)},
    "an earlier beginning": {"not_before": NOW - 1},
    "a later end": {"not_after": NOW + DAY + 1},
    "as much depth": {"depth": 2},
    "a higher limit": {"limits": {"calls": 11, "children": 1}},
    "a limit left out": {"limits": {"calls": 10}},
}


@pytest.mark.parametrize("wider", WIDER.values(), ids=WIDER.keys())
def test_no_block_gives_what_its_issuer_has_not_got(wider: dict[str, Any]) -> None:
    """A team's issuer cannot make anybody more than the team is."""
    narrow: dict[str, Any] = {
        "namespaces": ("lab",),
        "roles": ("worker", "guest"),
        "handles": ("a.*",),
        "announces": ("code.*",),
        "limits": {"calls": 10, "children": 1},
    }
    team = by_root(ISSUER, signing("team"), **narrow)
    same = narrow | {"handles": ("a.*", "a.b"), "limits": {"calls": 10, "children": 0}}

    assert proved(team, block("team", NODE, signing("alice"), **same)).handles == ("a.*", "a.b")
    with pytest.raises(CredentialError):
        proved(team, block("team", NODE, signing("alice"), **(same | wider)))


def test_a_child_cannot_outlive_or_outreach_its_node() -> None:
    """Narrowing holds below the node as well."""
    alice = by_root(NODE, signing("alice"), roles=("worker",))

    with pytest.raises(CredentialError, match="valid for longer"):
        proved(
            alice,
            block("alice", CHILD, signing("c"), roles=("worker",), not_after=NOW + DAY + 1),
        )
    with pytest.raises(CredentialError, match="role 'governor'"):
        proved(alice, block("alice", CHILD, signing("c"), roles=("governor",)))


def test_a_node_without_depth_has_no_children() -> None:
    """An issuer can forbid sub-agents."""
    alice = by_root(NODE, signing("alice"), depth=0)

    with pytest.raises(CredentialError, match="depth"):
        proved(alice, block("alice", CHILD, signing("carol")))
    assert proved(alice, block("alice", TRANSPORT, exchanging("alice"))).transport_key


ORDERS = {
    "a child of the root": [("root", CHILD)],
    "a transport key of the root": [("root", TRANSPORT)],
    "a node issued by a node": [("root", NODE), ("k0", NODE)],
    "an issuer issued by a node": [("root", NODE), ("k0", ISSUER)],
    "a child of an issuer": [("root", ISSUER), ("k0", CHILD)],
    "a transport key of an issuer": [("root", ISSUER), ("k0", TRANSPORT)],
    "a child of a child": [("root", NODE), ("k0", CHILD), ("k1", CHILD)],
    "a node issued by a transport key": [("root", NODE), ("k0", TRANSPORT), ("k1", NODE)],
    "two transport keys": [("root", NODE), ("k0", TRANSPORT), ("k1", TRANSPORT)],
    "an issuer and nobody else": [("root", ISSUER)],
}


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS.keys())
def test_blocks_come_in_order(order: list[tuple[str, int]]) -> None:
    """Issuers, then one node, then perhaps a child, then perhaps its transport key."""
    blocks = [
        block(
            root_private() if issuer == "root" else issuer,
            kind,
            signing(f"k{place}"),
            **({} if kind == TRANSPORT else {"depth": 9 - place}),
        )
        for place, (issuer, kind) in enumerate(order)
    ]

    with pytest.raises(CredentialError):
        proved(*blocks)


def test_each_block_is_signed_by_the_key_before_it() -> None:
    """A genuine block of somebody else's does not fit into a chain."""
    alice = by_root(NODE, signing("alice"))
    bobs_key = block("bob", TRANSPORT, exchanging("bob"))

    with pytest.raises(CredentialError, match="issued by somebody else"):
        proved(alice, bobs_key)


def test_a_block_that_names_its_issuer_without_being_signed_by_it_is_refused() -> None:
    """The signature decides, not the claim."""
    alice = by_root(NODE, signing("alice"))
    payload = alice[:-64]

    with pytest.raises(CredentialError, match="forged"):
        proved(payload + CRYPTO.sign(key("mallory"), DOMAIN + payload))


def test_a_signature_made_for_something_else_is_no_credential() -> None:
    """The domain keeps a signed record or ballot from being passed off as a block."""
    payload = by_root(NODE, signing("alice"))[:-64]

    for domain in (b"", b"meshp2p/line/1\0", b"meshp2p/cred/2\0"):
        with pytest.raises(CredentialError, match="forged"):
            proved(payload + CRYPTO.sign(root_private(), domain + payload))


def test_all_blocks_are_of_one_mesh() -> None:
    """One root may hold several meshes: their credentials do not mix."""
    alice = by_root(NODE, signing("alice"))
    stray = block("alice", TRANSPORT, exchanging("alice"), mesh_id=b"another mesh....")

    with pytest.raises(CredentialError, match="another mesh"):
        proved(alice, stray)


def test_a_transport_key_lives_a_day_and_claims_nothing() -> None:
    """A stolen transport key is worth a day; it carries its node's claims, not its own."""
    alice = by_root(NODE, signing("alice"), not_after=NOW + 30 * DAY)

    def of(**claims: Any) -> Credential:  # noqa: ANN401  # any claim
        return proved(alice, block("alice", TRANSPORT, exchanging("alice"), **claims))

    assert of(not_after=NOW + DAY).transport_not_after == NOW + DAY
    with pytest.raises(CredentialError, match="more than 86400 s"):
        of(not_after=NOW + DAY + 1)
    for claims in ({"roles": ("*",)}, {"depth": 1}, {"limits": {"calls": 1}}):
        with pytest.raises(CredentialError, match="claims of its own"):
            of(**claims)


def test_times_are_judged_with_five_minutes_of_patience() -> None:
    """Clocks differ a little; whose differ more are told by how much."""
    alice = by_root(NODE, signing("alice"))

    for at in (NOW - 300, NOW + DAY + 300):
        assert proved(alice, at=at).node_key == signing("alice")
    with pytest.raises(CredentialError) as early:
        proved(alice, at=NOW - 412)
    with pytest.raises(CredentialError) as late:
        proved(alice, at=NOW + DAY + 301)

    assert str(early.value) == (
        "credential not valid before 2027-01-15 08:00:00 UTC, 412 s from now by this node's "
        "clock (300 s are forgiven): one of the two clocks is wrong"
    )
    assert "expired at 2027-01-16 08:00:00 UTC, 301 s ago" in str(late.value)


def test_an_expired_transport_key_is_named_as_such() -> None:
    """Whoever reads the log knows which of the two has to be renewed."""
    alice = by_root(NODE, signing("alice"))
    today = block("alice", TRANSPORT, exchanging("alice"), not_after=NOW + 60)

    with pytest.raises(CredentialError, match="transport key expired"):
        proved(alice, today, at=NOW + 3_600)
    assert proved(alice, at=NOW + 3_600).transport_key is None


def test_a_certificate_keeps_the_chain_without_its_transport_block() -> None:
    """What is left still proves the signer, long after the transport key is gone."""
    alice = identity("alice")
    kept = without_transport(alice.chain)

    later = NOW + 20 * DAY
    credential = verify_chain(CRYPTO, kept, root_public=MESH.root_public, at=later)

    assert credential.node_key == alice.node_public
    assert credential.transport_key is None
    assert without_transport(kept) == kept


def test_a_later_version_may_append_elements() -> None:
    """Blocks grow at the end; this version ignores what it does not know."""
    payload = by_root(NODE, signing("alice"), roles=("worker",))[:-64]
    longer = codec.pack([*codec.unpack_list_untrusted(payload, 14), "new", {"more": 1}])

    credential = proved(longer + CRYPTO.sign(root_private(), DOMAIN + longer))

    assert credential.roles == ("worker",)


BAD_FIELDS: dict[str, tuple[int, Any]] = {
    "version 2": (0, 2),
    "version true": (0, True),
    "kind 0, the root": (1, 0),
    "kind 5": (1, 5),
    "kind true": (1, True),
    "a mesh id of 15 bytes": (2, b"m" * 15),
    "an issuer as text": (3, "i" * 16),
    "a subject of 31 bytes": (4, b"s" * 31),
    "a name with a line break": (5, "alice\n"),
    "a name as bytes": (5, b"alice"),
    "namespaces as a map": (6, {}),
    "a pattern of another form": (6, ["*.lab"]),
    "a number among the roles": (7, [1]),
    "a negative time": (8, -1),
    "a time as float": (9, 1.5),
    "a time beyond the calendar": (9, 253_402_300_800),
    "depth true": (10, True),
    "depth 256": (10, 256),
    "limits as a list": (11, []),
    "a negative limit": (11, {"calls": -1}),
    "a limit with a bad name": (11, {"": 1}),
    "handles of none": (12, None),
    "a capability with a space": (13, ["rm -rf"]),
}


@pytest.mark.parametrize(("place", "value"), BAD_FIELDS.values(), ids=BAD_FIELDS.keys())
def test_a_field_out_of_range_is_refused_even_if_well_signed(place: int, value: object) -> None:
    """Not even the root can put something odd into logs or memory."""
    genuine = by_root(NODE, signing("alice"))
    fields: list[object] = [*codec.unpack_list_untrusted(genuine[:-64], 14)]
    fields[place] = value
    payload = codec.pack(fields)

    with pytest.raises((WireError, CredentialError)):
        proved(payload + CRYPTO.sign(root_private(), DOMAIN + payload))


def test_whoever_issues_nonsense_learns_it_at_once() -> None:
    """The issuer hears of a mistake, not the person who is refused with it later."""
    with pytest.raises(UsageError, match="cannot issue"):
        by_root(NODE, signing("alice"), roles=("two words",))


def test_chains_are_short() -> None:
    """What strangers send before they are known is bounded: bytes and blocks."""
    alice = by_root(NODE, signing("alice"))
    names = tuple(f"{'n' * 50}{number:03}" for number in range(14))

    with pytest.raises(UsageError, match="use fewer or shorter names"):
        chain(by_root(NODE, signing("alice"), handles=names))
    with pytest.raises(WireError, match="897 bytes"):
        parse_chain_untrusted(b"x" * (limits.MAX_CHAIN + 1))
    with pytest.raises(UsageError):
        chain(*[alice] * 5)
    with pytest.raises(WireError, match="5 blocks"):
        parse_chain_untrusted(codec.pack([b"x" * 70] * 5))


def test_a_chain_has_one_encoding() -> None:
    """The unsigned framing cannot be varied to have the same blocks verified again."""
    alice = by_root(NODE, signing("alice"))
    usual = pack_chain([alice])
    padded = b"\xdc\x00\x01" + usual[1:]  # the same list with a longer header

    assert codec.unpack_untrusted(padded) == codec.unpack_untrusted(usual)
    with pytest.raises(WireError, match="one encoding"):
        parse_chain_untrusted(padded)


@pytest.mark.parametrize("odd", [b"", b"\x90", b"\x91\xc0", b"\xc0", codec.pack(["text" * 40])])
def test_what_is_no_chain_is_refused(odd: bytes) -> None:
    """Empty, a list of nothing, no list at all."""
    with pytest.raises(WireError):
        parse_chain_untrusted(odd)
