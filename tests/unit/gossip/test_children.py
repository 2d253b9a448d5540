"""One credential makes one member."""

from __future__ import annotations

import hashlib
from random import Random

import attrs

from meshp2p.config import lan
from meshp2p.gossip.swim import Swim
from meshp2p.identity.block import CHILD, TRANSPORT, Block
from meshp2p.identity.credential import pack_chain, parse_chain_untrusted
from meshp2p.identity.keys import node_id_of
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.trust import Trust
from meshp2p.ids import Address
from tests.simulation.swim_world import CRYPTO, START, UNIX, identity_of, keys_of, swim_of
from tests.unit.gossip.people import id_of, work_off


def _child_of(parent: NodeIdentity, number: int) -> NodeIdentity:
    """A key that a member vouches for, as it may for a guest."""
    begins = int(UNIX + START)
    private = hashlib.sha256(b"child %d" % number).digest()
    transport = hashlib.sha256(b"transport of child %d" % number).digest()
    public, transport_public = CRYPTO.signing_public(private), CRYPTO.exchange_public(transport)
    mesh_id, ends = parent.keys.mesh_id, begins + 300
    child = Block.issue(
        CRYPTO,
        parent.node_private,
        kind=CHILD,
        subject=public,
        namespaces=("default",),
        roles=("worker",),
        handles=("*",),
        announces=("*",),
        mesh_id=mesh_id,
        not_before=begins,
        not_after=ends,
    )
    own = Block.issue(
        CRYPTO,
        private,
        kind=TRANSPORT,
        subject=transport_public,
        mesh_id=mesh_id,
        not_before=begins,
        not_after=ends,
    )
    issuers = [
        block.wire for block in parse_chain_untrusted(parent.chain) if block.kind != TRANSPORT
    ]
    return attrs.evolve(
        parent,
        node_private=private,
        node_public=public,
        node_id=node_id_of(public),
        transport_private=transport,
        transport_public=transport_public,
        chain=pack_chain([*issuers, child, own]),
    )


def test_nobody_becomes_many_members_by_one_credential() -> None:
    """A child's chain is a guest's: its holder is listed by nobody, and so counts as no accuser."""
    alice, mallory = swim_of("alice"), identity_of("mallory")
    for number in range(3):
        child = Swim(
            config=lan(),
            identity=_child_of(mallory, number),
            trust=Trust(CRYPTO, keys_of()),
            crypto=CRYPTO,
            rng=Random(number),
            now=START,
            unix=UNIX + START,
            addresses=(Address("192.0.2.9", 1),),
            capabilities=(),
        )
        alice.merge_untrusted(child.sync_payload(), id_of("mallory"), now=START)
        work_off(alice, START)
    assert [member.handle for member in alice.members()] == ["alice"]
