"""One block of a credential: what it may say, and which block may follow it.

The mesh root signs issuers and nodes, an issuer signs nodes of its team, a node signs
its transport key of the day and narrower children; none gives what it has not got.

Source: Macaroons and Biscuit (narrowing without asking the issuer), Nebula and NATS
(names and namespaces that an issuer is confined to).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final, TypeAlias

import attrs

from meshp2p.errors import CredentialError, UsageError, WireError
from meshp2p.identity.keys import KEY_BYTES, SIGNATURE_BYTES, Crypto, node_id_of
from meshp2p.ids import NAME, NODE_ID_BYTES, NodeId, check_pattern, matches
from meshp2p.wire import codec

ISSUER: Final = 1
"""May sign issuers and nodes."""
NODE: Final = 2
"""A member. May sign one child and its own transport key."""
TRANSPORT: Final = 3
"""The X25519 key that a node uses in handshakes; always the last block."""
CHILD: Final = 4
"""A sub-agent or guest of a node. May sign its own transport key."""

DOMAIN: Final = b"meshp2p/cred/1\0"
"""Goes before every block when it is signed, so that no other signature can pass for one."""

VERSION: Final = 1
MESH_ID_BYTES: Final = 16
TRANSPORT_LIFE: Final = 24 * 3_600
"""Seconds. A stolen transport key is of no use for longer."""

LAST_MOMENT: Final = 253_402_300_799
"""The end of the year 9999 in Unix seconds: what a date can show."""

_ROOT: Final = 0
_MAY_FOLLOW: Final = {
    _ROOT: (ISSUER, NODE),
    ISSUER: (ISSUER, NODE),
    NODE: (CHILD, TRANSPORT),
    CHILD: (TRANSPORT,),
    TRANSPORT: (),
}
_KIND_NAMES: Final = {
    _ROOT: "the root",
    ISSUER: "an issuer",
    NODE: "a node",
    TRANSPORT: "a transport key",
    CHILD: "a child",
}
_ELEMENTS: Final = 14
_MAX_DEPTH: Final = 255
_MAX_LIMIT: Final = (1 << 53) - 1
_ANY: Final = ("*",)

Patterns: TypeAlias = tuple[str, ...]
"""Each a name, `name.*` or `*`; none at all allows nothing."""


@attrs.frozen(kw_only=True)
class Block:
    """One signed statement: "the owner of `subject` may call itself and do this".

    As it travels: MessagePack of [version, kind, mesh id (16 B), issuer id (16 B),
    subject key (32 B), name, namespaces, roles, not before, not after, depth, limits,
    handles, announces], then the issuer's Ed25519 signature (64 B) of `DOMAIN` and
    those bytes. Later versions may append elements.

    Args:
        issuer: Node id of the key that signed.
        subject: Ed25519 public key, of a transport block the X25519 one.
        name: For people; proves nothing.
        not_before: Unix seconds.
        not_after: Unix seconds; still valid then.
        depth: How many further blocks may follow below, transport keys not counted.
        limits: Upper bounds by name; a child may lower them and add more.
        handles: Names under which the subject may be called.
        announces: Capabilities that it may announce.
        wire: The block as it was received, signature included.
    """

    kind: int
    mesh_id: bytes
    issuer: NodeId
    subject: bytes
    name: str = ""
    namespaces: Patterns = ()
    roles: Patterns = ()
    not_before: int = 0
    not_after: int = LAST_MOMENT
    depth: int = 0
    limits: Mapping[str, int] = attrs.field(factory=dict)
    handles: Patterns = ()
    announces: Patterns = ()
    wire: bytes = attrs.field(default=b"", repr=False)

    @classmethod
    def issue(  # noqa: PLR0913  # a credential makes this many claims
        cls,
        crypto: Crypto,
        issuer_private: bytes,
        *,
        kind: int,
        mesh_id: bytes,
        subject: bytes,
        not_before: int,
        not_after: int,
        name: str = "",
        namespaces: Sequence[str] = (),
        roles: Sequence[str] = (),
        depth: int = 0,
        limits: Mapping[str, int] | None = None,
        handles: Sequence[str] = (),
        announces: Sequence[str] = (),
    ) -> bytes:
        """Sign a block; return it as it travels.

        Whether it narrows its issuer's own block is judged by whoever verifies.

        Raises:
            UsageError: Nobody would accept such a block; the text says why.
        """
        issuer = node_id_of(crypto.signing_public(issuer_private))
        who = [VERSION, kind, mesh_id, issuer, subject, name]
        may = [list(namespaces), list(roles), not_before, not_after, depth, dict(limits or {})]
        payload = codec.pack([*who, *may, list(handles), list(announces)])
        wire = payload + crypto.sign(issuer_private, DOMAIN + payload)
        try:
            parse_block_untrusted(wire)
        except (WireError, CredentialError) as error:
            raise UsageError(f"cannot issue this credential: {error}") from error
        return wire

    @classmethod
    def of_root(cls, root_public: bytes, mesh_id: bytes) -> Block:
        """What the root may do: everything. It is pinned, never sent."""
        return cls(
            kind=_ROOT,
            mesh_id=mesh_id,
            issuer=node_id_of(root_public),
            subject=root_public,
            namespaces=_ANY,
            roles=_ANY,
            depth=_MAX_DEPTH + 1,
            handles=_ANY,
            announces=_ANY,
        )

    def check_may_issue(self, child: Block) -> None:
        """Accept `child` as the next block of the chain, its signature apart.

        Raises:
            CredentialError: It is of the wrong kind or mesh, or wider than this block.
        """
        if child.kind not in _MAY_FOLLOW[self.kind]:
            raise CredentialError(
                f"{_KIND_NAMES[self.kind]} may not issue {_KIND_NAMES[child.kind]}"
            )
        if child.mesh_id != self.mesh_id:
            raise CredentialError(f"issued for another mesh, {child.mesh_id.hex()}")
        if child.issuer != node_id_of(self.subject):
            raise CredentialError(f"{_KIND_NAMES[child.kind]} issued by somebody else")
        if child.not_before < self.not_before or child.not_after > self.not_after:
            raise CredentialError(f"{_KIND_NAMES[child.kind]} valid for longer than its issuer")
        if child.kind == TRANSPORT:
            child._check_claims_nothing()
        else:
            self._check_narrows(child)

    def check_signature(self, crypto: Crypto, issuer_public: bytes) -> None:
        """Accept the block as signed by the owner of this key.

        Raises:
            CredentialError: It is not.
        """
        payload, signature = self.wire[:-SIGNATURE_BYTES], self.wire[-SIGNATURE_BYTES:]
        if not crypto.verify(issuer_public, DOMAIN + payload, signature):
            raise CredentialError(f"{_KIND_NAMES[self.kind]} with a forged signature")

    def _check_narrows(self, child: Block) -> None:
        if child.depth >= self.depth:
            raise CredentialError(f"depth {child.depth} below an issuer of depth {self.depth}")
        for what, ours, theirs in (
            ("namespace", self.namespaces, child.namespaces),
            ("role", self.roles, child.roles),
            ("handle", self.handles, child.handles),
            ("announced capability", self.announces, child.announces),
        ):
            for pattern in theirs:
                if not allows(ours, pattern):
                    raise CredentialError(f"{what} {pattern!r} was not its issuer's to give")
        for what, bound in self.limits.items():
            if child.limits.get(what, _MAX_LIMIT + 1) > bound:
                raise CredentialError(f"limit {what!r} above its issuer's, {bound}")

    def _check_claims_nothing(self) -> None:
        """A transport key stands for its node as it is: it neither adds nor narrows."""
        claims = (self.namespaces, self.roles, self.handles, self.announces, self.limits)
        if any(claims) or self.depth:
            raise CredentialError("a transport key with claims of its own")
        if self.not_after - self.not_before > TRANSPORT_LIFE:
            raise CredentialError(f"a transport key valid for more than {TRANSPORT_LIFE} s")


def parse_block_untrusted(wire: object) -> Block:
    """Read one block and check the type and range of each element, not the signature.

    Raises:
        WireError: It is not a block.
        CredentialError: It is one of a version or kind that this node does not know.
    """
    if type(wire) is not bytes or len(wire) <= SIGNATURE_BYTES:
        raise WireError("a block that is no signed bytes")
    fields = codec.unpack_list_untrusted(wire[:-SIGNATURE_BYTES], at_least=_ELEMENTS)
    version, kind, mesh_id, issuer, subject, name, namespaces, roles = fields[:8]
    not_before, not_after, depth, bounds, handles, announces = fields[8:_ELEMENTS]
    if (type(version), version) != (int, VERSION) or kind not in (ISSUER, NODE, TRANSPORT, CHILD):
        raise CredentialError(f"a block of version {version!r:.20} and kind {kind!r:.20}")
    return Block(
        kind=_integer(kind, CHILD),
        mesh_id=_fixed(mesh_id, MESH_ID_BYTES),
        issuer=NodeId(_fixed(issuer, NODE_ID_BYTES)),
        subject=_fixed(subject, KEY_BYTES),
        name=_label(name),
        namespaces=_patterns(namespaces),
        roles=_patterns(roles),
        not_before=_integer(not_before, LAST_MOMENT),
        not_after=_integer(not_after, LAST_MOMENT),
        depth=_integer(depth, _MAX_DEPTH),
        limits=_bounds(bounds),
        handles=_patterns(handles),
        announces=_patterns(announces),
        wire=wire,
    )


def allows(patterns: Patterns, name: str) -> bool:
    """Whether a pattern covers `name`, which may be a pattern itself."""
    for pattern in patterns:  # noqa: SIM110  # a generator takes twice as long, seven times a chain
        if matches(pattern, name):
            return True
    return False


def _fixed(value: object, length: int) -> bytes:
    if type(value) is not bytes or len(value) != length:
        raise WireError(f"not {length} bytes")
    return value


def _integer(value: object, most: int) -> int:
    if type(value) is not int or not 0 <= value <= most:
        raise WireError(f"not an integer from 0 to {most}")
    return value


def _label(value: object) -> str:
    if type(value) is not str or not (value == "" or NAME.fullmatch(value)):
        raise WireError("not a name")
    return value


def _patterns(value: object) -> Patterns:
    if type(value) is not list:
        raise WireError("not a list of patterns")
    if not value:
        return ()
    try:
        return _checked(tuple(value))
    except (TypeError, UsageError) as error:  # the former if it cannot even be looked up
        raise WireError("not a pattern") from error


@lru_cache(maxsize=64)  # all members of a mesh may be much the same
def _checked(items: tuple[object, ...]) -> Patterns:
    return tuple(check_pattern("pattern", item) for item in items)


def _bounds(value: object) -> dict[str, int]:
    if type(value) is not dict:
        raise WireError("not a map of limits")
    if "" in value:
        raise WireError("a limit without a name")
    return {_label(key): _integer(bound, _MAX_LIMIT) for key, bound in value.items()}
