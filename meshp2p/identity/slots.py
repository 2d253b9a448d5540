"""Slots: where one node keeps its key and journal, held by a lock while it runs.

Replicas with one handle on one machine take different slots; a restarted node takes
the first free one and so gets its own key back.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from typing import Final

import attrs

from meshp2p.errors import StateUnusable
from meshp2p.identity.keyfile import NODE_KEY, load_or_create_secret, make_private_directory
from meshp2p.ids import check_name

MAX_SLOTS: Final = 1_024
"""Nodes of one handle on one machine; beyond lies a program that forgets to stop them."""

WITHOUT_HANDLE: Final = "node"
"""The directory of nodes that have no handle."""

_RELEASED: Final = -1


@attrs.define(eq=False, kw_only=True)
class Slot:
    """A held slot. Its lock ends with `close`, or with the process.

    Args:
        path: `<root>/<mesh>/<handle or "node">/<number>`.
        node_private: The node's Ed25519 seed, kept in the slot.
    """

    path: Path
    number: int
    node_private: bytes = attrs.field(repr=False)
    _descriptor: int = attrs.field(repr=False, alias="descriptor")

    @property
    def journal_path(self) -> Path:
        """Where the node's journal belongs."""
        return self.path / "journal.sqlite3"

    def abandon(self) -> None:
        """Close this process's copy only, after a fork: the lock is the parent's."""
        descriptor, self._descriptor = self._descriptor, _RELEASED
        if descriptor != _RELEASED:
            os.close(descriptor)

    def close(self) -> None:
        """Let another node have the slot. A second call does nothing."""
        descriptor, self._descriptor = self._descriptor, _RELEASED
        if descriptor != _RELEASED:
            # A child forked meanwhile shares the lock; closing alone would leave it held.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


def open_slot(
    root: Path,
    mesh_id_hex: str,
    handle: str,
    entropy: Callable[[int], bytes] = os.urandom,
) -> Slot:
    """Take the first slot that no running node holds; make its key if it has none.

    Args:
        root: See `keyfile.state_root`.
        mesh_id_hex: Names the mesh's directory.
        handle: Empty for a node without one.
        entropy: Gives so many random bytes.

    Raises:
        UsageError: The handle is no name.
        StateUnusable: The directory or a key in it cannot be used, or all are taken.
    """
    family = root / mesh_id_hex / (check_name("handle", handle) if handle else WITHOUT_HANDLE)
    for number in range(MAX_SLOTS):
        path = family / str(number)
        make_private_directory(path)
        descriptor = _try_lock(path / "lock")
        if descriptor is None:
            continue
        try:
            node_private = load_or_create_secret(path / "node.key", NODE_KEY, entropy)
        except BaseException:
            os.close(descriptor)
            raise
        return Slot(path=path, number=number, node_private=node_private, descriptor=descriptor)
    raise StateUnusable(f"all {MAX_SLOTS} slots in {family} are held by running nodes: stop some")


def _try_lock(path: Path) -> int | None:
    """The descriptor that holds the lock, or None while another one does."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StateUnusable(f"cannot open {path}: {error.strerror}") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(descriptor)
        if error.errno in (errno.EWOULDBLOCK, errno.EAGAIN, errno.EACCES):
            return None
        raise StateUnusable(
            f"cannot lock {path}: {error.strerror}. Set MESHP2P_STATE to a local directory"
        ) from error
    return descriptor
