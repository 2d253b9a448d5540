"""How nodes of one user on one machine find each other: a directory of locked files.

Each running node holds the lock of its own entry, so an entry whose lock is free belongs
to a process that is gone, however it ended. Whoever notices removes it.

Source: flock(2), rename(2).
"""

from __future__ import annotations

import fcntl
import functools
import os
import stat
import threading
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Final, Protocol, TypeAlias

import trio

from meshp2p.discovery.entry import MAX_ENTRY, pack_entry, unpack_entry_untrusted
from meshp2p.engine.joining import Neighbour
from meshp2p.errors import StateUnusable, UsageError, WireError
from meshp2p.identity.keyfile import make_private_directory
from meshp2p.ids import NodeId, Seconds, parse_id, show_id

MAX_ENTRIES: Final = 4_096
"""Files looked at in one listing: four times the slots of one handle."""

LOOK_ALONE: Final[Seconds] = 2.0
"""Between two listings while this node knows nobody."""
LOOK_TOGETHER: Final[Seconds] = 30.0
"""The same once it does: gossip brings the news then, this only mends split meshes."""

_OTHERS: Final = 0o077
_BOOT_ID: Final = Path("/proc/sys/kernel/random/boot_id")
_UNPUBLISHED: Final = -1
_PATIENCE: Final = 50
_PAUSE: Final[Seconds] = 0.02
"""Together one second: a lister holds a dead entry's lock for microseconds."""


InThread: TypeAlias = Callable[[Callable[[], list[Neighbour]]], Awaitable[list[Neighbour]]]


class Directory(Protocol):
    """Where the nodes of one machine leave word of themselves; see `LocalDirectory`."""

    def publish(self, entry: Neighbour) -> None:
        """Show this node to the others."""

    def withdraw(self) -> None:
        """Remove this node's entry."""

    def abandon(self) -> None:
        """After a fork: the entry is the parent's."""

    def list_others(self) -> list[Neighbour]:
        """The nodes that run now, without this one."""
        ...

    def renew(self) -> None:
        """Keep this node's entry."""


def folder_for(group_id: bytes, environ: Mapping[str, str], state_root: Path) -> Path:
    """Where the nodes of one mesh and namespace on this machine leave their entries.

    `$XDG_RUNTIME_DIR` unless it is another user's (as after `sudo`) or open to others;
    else below the state directory, apart for each boot: a home may be shared by several
    machines, and loopback addresses mean nothing on the next one.

    Args:
        group_id: Tells meshes and their namespaces apart.
        environ: Of the process.
        state_root: See `identity.keyfile.state_root`.
    """
    runtime = Path(environ.get("XDG_RUNTIME_DIR", ""))
    if runtime.is_absolute() and _is_private(runtime):
        return runtime / "meshp2p" / group_id.hex()
    return state_root / "run" / _boot() / group_id.hex()


class LocalDirectory:
    """The entries of one folder, and this node's own among them. Usable from any thread."""

    def __init__(self, folder: Path) -> None:
        """Nothing is touched before the first call."""
        self._folder = folder
        self._mutex = threading.Lock()
        self._own: Neighbour | None = None
        self._descriptor = _UNPUBLISHED

    def publish(self, entry: Neighbour) -> None:
        """Show this node to the others, or what has changed about it.

        Raises:
            StateUnusable: The folder or the file cannot be written, or the folder is
                open to other users.
        """
        with self._mutex:
            make_private_directory(self._folder.parent)
            make_private_directory(self._folder)
            if not _is_private(self._folder):
                raise StateUnusable(
                    f"other users may write to {self._folder}, or own it: remove it, or set "
                    "XDG_RUNTIME_DIR to a directory of your own"
                )
            try:
                self._write(entry)
            except OSError as error:
                raise StateUnusable(
                    f"cannot write this node's entry in {self._folder}: {error.strerror}"
                ) from error
            self._own = entry

    def withdraw(self) -> None:
        """Remove this node's entry. A second call does nothing; never raises."""
        with self._mutex:
            own, self._own = self._own, None
            if own is None:
                return
            with suppress(OSError):
                _remove_if_same(self._path(own.id), self._descriptor)
            self._unlock()

    def abandon(self) -> None:
        """Close this process's copy of the lock only, after a fork: the entry is the parent's."""
        # Without the mutex: a thread that held it at the fork does not exist any more.
        descriptor, self._descriptor, self._own = self._descriptor, _UNPUBLISHED, None
        if descriptor != _UNPUBLISHED:
            os.close(descriptor)

    def list_others(self) -> list[Neighbour]:
        """The nodes that run now, without this one. Removes entries of those that do not.

        Never raises: what cannot be read, or is no entry, is left out.
        """
        with self._mutex:
            own = None if self._own is None else self._own.id
            if not _is_private(self._folder):  # nobody has come yet, or it is not ours
                return []
            try:
                with os.scandir(self._folder) as files:
                    names = [file.name for file in islice(files, MAX_ENTRIES)]
            except OSError:
                return []
            ids = [
                node_id for name in sorted(names) if (node_id := _id_in(name)) not in (None, own)
            ]
            found = [_look(self._path(node_id), node_id) for node_id in ids if node_id]
            return [neighbour for neighbour in found if neighbour is not None]

    def renew(self) -> None:
        """Keep this node's entry: those who tidy temporary files remove old ones.

        Source: XDG Base Directory Specification 0.8: files in `$XDG_RUNTIME_DIR` that were
        not touched for 6 hours may be removed.
        """
        with self._mutex, suppress(OSError):
            if self._own is None:
                return
            if _is_same(self._path(self._own.id), self._descriptor):
                os.utime(self._descriptor)
            else:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._write(self._own)

    def _path(self, node_id: NodeId) -> Path:
        return self._folder / show_id(node_id)

    def _write(self, entry: Neighbour) -> None:
        """Put a new file in place of the old one, already locked, so that it is never half."""
        path = self._path(entry.id)
        draft = path.with_name(f".{path.name}")  # one process alone has this id: see slots
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            os.write(descriptor, pack_entry(entry))
            self._rename(draft, path)
        except BaseException:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        self._unlock()
        self._descriptor = descriptor

    def _rename(self, draft: Path, path: Path) -> None:
        """Rename while no lister is about to remove the file that has the name now.

        A lister removes a dead entry only while it holds a shared lock of that very file;
        this renames while it holds the exclusive one. Unless somebody stopped the lister
        just then: the node must start anyway, and `renew` mends what that may cost.
        """
        for _ in range(_PATIENCE):
            try:
                dead = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
            except OSError:  # the usual case: there is none
                break
            try:
                if _is_same(path, self._descriptor) or _locks(dead, fcntl.LOCK_EX):
                    draft.replace(path)
                    return
            finally:
                os.close(dead)
            time.sleep(_PAUSE)
        draft.replace(path)

    def _unlock(self) -> None:
        descriptor, self._descriptor = self._descriptor, _UNPUBLISHED
        if descriptor != _UNPUBLISHED:
            # A child forked meanwhile shares the lock; closing alone would leave it held.
            fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)


@trio.lowlevel.enable_ki_protection
async def watch(
    directory: Directory,
    on_neighbours: Callable[[list[Neighbour]], object],
    is_alone: Callable[[], bool],
    in_thread: InThread | None = None,
) -> None:
    """Tell of the neighbours at once, then every 2 s while alone, else every 30 s.

    The first listing runs before anything is awaited, so that a node that starts knows
    whether there is somebody to wait for. Publish before: of two that start together at
    least one then sees the other.

    Args:
        in_thread: Runs later listings where a slow disk holds nobody up; a worker thread
            of trio's if None.
    """
    limiter = trio.CapacityLimiter(1)  # its own: a slow disk must not keep handlers waiting
    run = in_thread or functools.partial(trio.to_thread.run_sync, limiter=limiter)
    look = functools.partial(_renew_and_list, directory)
    on_neighbours(directory.list_others())
    while True:
        for _ in range(int(LOOK_TOGETHER / LOOK_ALONE)):
            await trio.sleep(LOOK_ALONE)
            if is_alone():
                break
        on_neighbours(await run(look))


def _renew_and_list(directory: Directory) -> list[Neighbour]:
    directory.renew()
    return directory.list_others()


def _look(path: Path, node_id: NodeId) -> Neighbour | None:
    """Read the entry if its owner runs; remove it if not."""
    try:
        # Not blocking: somebody may have put a pipe there. No links: they lead elsewhere.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
            return None
        # A shared lock, so that two listers do not take each other for the owner.
        if _locks(descriptor, fcntl.LOCK_SH):
            _sweep(path, descriptor)
            return None
        neighbour = unpack_entry_untrusted(os.read(descriptor, MAX_ENTRY + 1))
    except (OSError, WireError):
        return None
    finally:
        os.close(descriptor)
    return neighbour if neighbour.id == node_id else None


def _sweep(path: Path, descriptor: int) -> None:
    """Remove a dead entry of which the shared lock is held.

    That lock keeps a new owner from taking the name; the folder's keeps a second sweeper
    from removing what a new owner put there after the first one had removed the dead.
    """
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _locks(folder, fcntl.LOCK_EX):
            _remove_if_same(path, descriptor)
    finally:
        os.close(folder)


def _locks(descriptor: int, kind: int) -> bool:
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_same(path: Path, descriptor: int) -> bool:
    """Whether the name still belongs to the open file, not to one that replaced it."""
    if descriptor == _UNPUBLISHED:
        return False
    try:
        return os.path.samestat(path.lstat(), os.fstat(descriptor))
    except OSError:
        return False


def _remove_if_same(path: Path, descriptor: int) -> None:
    """Remove the file whose lock is held, not the one of a new owner."""
    if _is_same(path, descriptor):
        path.unlink()


def _id_in(name: str) -> NodeId | None:
    """The id that a file's name tells; None for drafts and whatever else lies there."""
    try:
        node_id = parse_id(name)
    except UsageError:
        return None
    return node_id if show_id(node_id) == name else None


def _is_private(path: Path) -> bool:
    """Whether it is a directory (no link) that only this user can use."""
    try:
        status = path.lstat()
    except OSError:
        return False
    closed = not stat.S_IMODE(status.st_mode) & _OTHERS
    return stat.S_ISDIR(status.st_mode) and closed and status.st_uid == os.geteuid()


def _boot() -> str:
    """Names this run of this machine."""
    try:
        return _BOOT_ID.read_text("ascii").strip()
    except OSError:  # not Linux; flock alone then tells the dead from the living
        return os.uname().nodename
