"""A mesh, its root and its people, for tests of what credentials prove."""

from __future__ import annotations

from typing import Any

from meshp2p.identity.credential import ISSUER, NODE, TRANSPORT, Block, pack_chain
from meshp2p.identity.keys import OpenSSL
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import MeshKeys

NOW = 1_800_000_000
"""Unix seconds, in 2027."""
DAY = 24 * 3_600

CRYPTO = OpenSSL()
MESH = MeshKeys.from_easy_key(b"mesh key of the tests".ljust(32, b"."), "default", CRYPTO)


def key(owner: str) -> bytes:
    """The private key of somebody, 32 bytes."""
    return owner.encode().ljust(32, b"-")


def signing(owner: str) -> bytes:
    """Their Ed25519 public key."""
    return CRYPTO.signing_public(key(owner))


def exchanging(owner: str) -> bytes:
    """Their X25519 public key."""
    return CRYPTO.exchange_public(key(owner))


def identity(owner: str, **changes: Any) -> NodeIdentity:  # noqa: ANN401  # any claim, right or wrong
    """A member of the mesh who has issued their own credential."""
    facts: dict[str, Any] = {
        "node_private": key(owner),
        "transport_private": key(owner),
        "journal_id": owner.encode().ljust(16, b"-"),
        "handle": owner,
        "role": "worker",
        "unix": NOW,
    }
    return NodeIdentity.self_issued(CRYPTO, MESH, **(facts | changes))


def block(  # any claim, right or wrong
    issuer: str | bytes,
    kind: int,
    subject: bytes,
    **claims: Any,  # noqa: ANN401
) -> bytes:
    """A block by a person, or by the owner of a private key; wide unless told otherwise."""
    wide: dict[str, Any] = {
        "mesh_id": MESH.mesh_id,
        "not_before": NOW,
        "not_after": NOW + DAY,
    }
    if kind != TRANSPORT:
        names = dict.fromkeys(("namespaces", "roles", "handles", "announces"), ("*",))
        wide |= names | {"depth": {ISSUER: 2, NODE: 1}.get(kind, 0)}
    private = key(issuer) if isinstance(issuer, str) else issuer
    return Block.issue(CRYPTO, private, kind=kind, subject=subject, **(wide | claims))


def by_root(kind: int, subject: bytes, **claims: Any) -> bytes:  # noqa: ANN401  # any claim, right or wrong
    """A block by the mesh's root."""
    return block(root_private(), kind, subject, **claims)


def root_private() -> bytes:
    """The root's private key."""
    if MESH.root_private is None:
        raise AssertionError("an easy mesh holds its root")
    return MESH.root_private


def chain(*blocks: bytes) -> bytes:
    """The blocks, as they travel."""
    return pack_chain(blocks)
