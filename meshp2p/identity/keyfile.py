"""Keys on disk: one line of text, for the owner's eyes only, made once whoever else tries."""

from __future__ import annotations

import os
import re
import stat
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Final

from meshp2p.errors import StateUnusable
from meshp2p.identity.keys import KEY_BYTES

MESH_KEY: Final = "meshp2p-mesh-key/1"
"""First word of a file that holds the easy key of a mesh."""
NODE_KEY: Final = "meshp2p-node-key/1"
"""First word of a file that holds a node's Ed25519 seed."""

MESH_KEY_NAME: Final = "mesh.key"
"""The easy key's file in the state directory."""

_OTHERS: Final = 0o077
_MAX_FILE: Final = 1_024
"""Bytes read at most: somebody may point `mesh=` at a film."""


def state_root(environ: Mapping[str, str], home: Path) -> Path:
    """Where keys and journals live: `$MESHP2P_STATE`, else below the user's state directory.

    Args:
        environ: Of the process.
        home: Of the user.

    Source: XDG Base Directory Specification 0.8; a relative `$XDG_STATE_HOME` is invalid
        and ignored, as it demands.
    """
    if own := environ.get("MESHP2P_STATE"):
        return Path(own)
    users = Path(environ.get("XDG_STATE_HOME", ""))
    return (users if users.is_absolute() else home / ".local" / "state") / "meshp2p"


def make_private_directory(path: Path) -> None:
    """Create the directory (0700) and what is missing above it.

    Raises:
        StateUnusable: It cannot be created, or is something else.
    """
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StateUnusable(
            f"cannot create {path}: {error.strerror}. Make it writable, or set MESHP2P_STATE to "
            'another directory; identity="ephemeral" keeps nothing on disk'
        ) from error


def load_secret(path: Path, kind: str, length: int = KEY_BYTES) -> bytes:
    """Read a secret of `length` bytes from its file.

    Args:
        path: Of the file.
        kind: The first word of its line, e.g. `MESH_KEY`.
        length: Bytes of the secret; the file has two hex digits for each.

    Raises:
        StateUnusable: Missing, unreadable, open to other users, or not such a file; the
            text says what to do.
    """
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            content = file.read(_MAX_FILE)
    except OSError as error:
        raise StateUnusable(f"cannot read the key file {path}: {error.strerror}") from error
    if mode & _OTHERS:
        raise StateUnusable(
            f"other users may use the key in {path} (mode {mode:04o}). If nobody has read it, "
            f"run: chmod 600 {path}"
        )
    line = rb"%b ([0-9a-f]{%d})\s*" % (re.escape(kind.encode()), 2 * length)
    found = re.fullmatch(line, content)
    if found is None:
        raise StateUnusable(
            f"{path} is damaged: expected is one line, {kind!r} and {2 * length} hex digits. "
            "Restore it from a copy; or move it away, and a new key is made, which the nodes "
            "that use the old one do not know"
        )
    return bytes.fromhex(found[1].decode())


def load_or_create_secret(
    path: Path, kind: str, entropy: Callable[[int], bytes] = os.urandom, length: int = KEY_BYTES
) -> bytes:
    """Read the secret; if there is none yet, make one that every starter agrees on.

    The file appears under its name whole and synced, or not at all: ten processes that
    start at once all read the same key, and a crash leaves no half of one.

    Args:
        path: Of the file.
        kind: The first word of its line, e.g. `MESH_KEY`.
        entropy: Gives so many random bytes.
        length: Bytes of the secret.

    Raises:
        StateUnusable: As `load_secret`, or the file cannot be created.
    """
    make_private_directory(path.parent)
    try:
        if not path.exists():
            _publish(path, f"{kind} {entropy(length).hex()}\n".encode())
    except OSError as error:
        raise StateUnusable(
            f"cannot create the key file {path}: {error.strerror}. Make its directory "
            "writable, or set MESHP2P_STATE to another one"
        ) from error
    return load_secret(path, kind, length)


def load_or_create_easy_key(root: Path, entropy: Callable[[int], bytes] = os.urandom) -> bytes:
    """The key of the mesh that all nodes of this user on this machine share, 32 bytes.

    Raises:
        StateUnusable: As `load_or_create_secret`.
    """
    return load_or_create_secret(root / MESH_KEY_NAME, MESH_KEY, entropy)


def _publish(path: Path, content: bytes) -> None:
    """Give `content` its name, unless something already has it."""
    descriptor, draft = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileExistsError):  # another process was faster: its key counts
            # A link, because a rename would replace the winner's key after it was read.
            os.link(draft, path)
    finally:
        Path(draft).unlink()
    _sync_directory(path.parent)


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
