"""What a node has on disk: the mesh's key, a slot with its own key, its journal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from meshp2p.discovery.local import Directory, LocalDirectory, folder_for
from meshp2p.identity.keyfile import MESH_KEY, load_or_create_easy_key, load_secret, state_root
from meshp2p.identity.keys import Crypto
from meshp2p.identity.node import NodeIdentity
from meshp2p.identity.slots import Slot, open_slot
from meshp2p.identity.trust import MeshKeys
from meshp2p.node.settings import Settings
from meshp2p.runtime.journal import Journal
from meshp2p.runtime.ports import JournalStore

KEY_BYTES: Final = 32
GUEST_LIFE: Final = 300.0
"""Seconds. A guest is a short visit; its credential is for no longer."""
GUEST_ROLE: Final = "guest"


@attrs.define
class Home:
    """Everything of a node that outlives its process, and what guards it."""

    identity: NodeIdentity
    journal: JournalStore
    stored: dict[tuple[str, bytes], bytes]
    slot: Slot | None
    directory: Directory | None

    def abandon(self) -> None:
        """In a child made by fork: let go of locks, which are the parent's."""
        if self.directory is not None:
            self.directory.abandon()
        if self.slot is not None:
            self.slot.abandon()

    def close(self) -> None:
        """Write what is queued, then let another node have the slot."""
        if self.directory is not None:
            with contextlib.suppress(OSError):
                self.directory.withdraw()
        self.journal.close()
        if self.slot is not None:
            self.slot.close()


def open_home(
    settings: Settings,
    crypto: Crypto,
    *,
    entropy: Callable[[int], bytes],
    unix: float,
    on_written: Callable[[int, bool], None],
) -> Home:
    """Read or create what the settings ask for.

    Raises:
        StateUnusable: The disk does not allow it.
    """
    root = settings.state_dir or state_root(os.environ, Path.home())
    keys = mesh_keys(settings, crypto, lambda: load_or_create_easy_key(root))
    slot = None
    if settings.ephemeral:
        node_private = entropy(KEY_BYTES)
        journal = Journal.open(None, on_written, entropy)
    else:
        slot = open_slot(root, keys.mesh_id.hex(), settings.handle, entropy)
        node_private = slot.node_private
        try:
            journal = Journal.open(slot.journal_path, on_written, entropy)
        except BaseException:
            slot.close()
            raise
    identity = identity_of(
        settings,
        crypto,
        keys,
        node_private=node_private,
        transport_private=entropy(KEY_BYTES),
        journal_id=journal.journal_id,
        unix=unix,
    )
    directory = None
    if settings.local:
        directory = LocalDirectory(folder_for(keys.group_id, os.environ, root))
    return Home(identity, journal, journal.load(), slot, directory)


def identity_of(
    settings: Settings,
    crypto: Crypto,
    keys: MeshKeys,
    *,
    node_private: bytes,
    transport_private: bytes,
    journal_id: bytes,
    unix: float,
) -> NodeIdentity:
    """Who a node with these settings and keys is."""
    lifetime = {"lifetime": GUEST_LIFE} if settings.guest else {}
    return NodeIdentity.self_issued(
        crypto,
        keys,
        node_private=node_private,
        transport_private=transport_private,
        journal_id=journal_id,
        handle=settings.handle,
        role=GUEST_ROLE if settings.guest else settings.role,
        unix=unix,
        may_promise=not settings.ephemeral,
        **lifetime,
    )


def mesh_keys(settings: Settings, crypto: Crypto, easy_key: Callable[[], bytes]) -> MeshKeys:
    """The keys of the mesh that the settings name; without one, of the easy key's.

    Raises:
        StateUnusable: The file cannot be read.
    """
    secret = easy_key() if settings.mesh is None else load_secret(settings.mesh, MESH_KEY)
    return MeshKeys.from_easy_key(secret, settings.namespace, crypto)
