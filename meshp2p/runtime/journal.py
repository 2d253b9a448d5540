"""The journal: what a node must not forget is on disk before anybody hears of it.

One SQLite file and one thread that writes it. All writes that are asked for while a
commit runs go into the next one (group commit), so that a busy node pays for few syncs.

Source: SQLite, "Write-Ahead Logging" and "How To Corrupt
An SQLite Database File".
"""

from __future__ import annotations

import logging
import os
import queue
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, Self

import attrs

from meshp2p.effects import Record
from meshp2p.errors import StateUnusable
from meshp2p.identity.keyfile import make_private_directory
from meshp2p.ids import Seconds

JOURNAL_ID_BYTES: Final = 16

_APPLICATION: Final = 0x6D32706A
"""SQLite's `application_id`: "m2pj", so that no other program's file is mistaken for ours."""
_FORMAT: Final = 1
"""SQLite's `user_version`; a higher one was written by a later version of meshp2p."""
_BUSY: Final[Seconds] = 1.0
"""A curious person with an SQLite shell, or a backup, may hold the file for so long."""
_LAST_WRITES: Final[Seconds] = 5.0
"""How long `close` waits: a disk that hangs must not hang the program's end."""

_SCHEMA: Final = (
    "CREATE TABLE meta(name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE records(tbl TEXT, key BLOB, value BLOB, PRIMARY KEY(tbl, key)) WITHOUT ROWID",
    f"PRAGMA application_id = {_APPLICATION}",
    f"PRAGMA user_version = {_FORMAT}",
)
_PUT: Final = "INSERT OR REPLACE INTO records(tbl, key, value) VALUES(?, ?, ?)"
_DELETE: Final = "DELETE FROM records WHERE tbl = ? AND key = ?"

_LOGGER: Final = logging.getLogger("meshp2p")


@attrs.frozen
class _Write:
    token: int
    records: tuple[Record, ...]


class Journal:
    """What one node has promised, kept through crashes and power cuts.

    A child made by fork must not use it: the thread is the parent's alone, and two
    processes with one SQLite connection destroy the file. There, `close` is harmless and
    writes are never answered.
    """

    def __init__(
        self,
        connection: sqlite3.Connection,
        name: str,
        journal_id: bytes,
        on_written: Callable[[int, bool], None],
    ) -> None:
        """For `open` alone, which checks the file first."""
        self.journal_id = journal_id
        """16 random bytes made with the file: a node that lost its memory has another."""
        self._connection = connection
        self._connection_free = threading.Lock()
        self._name = name
        self._on_written = on_written
        self._queue: queue.SimpleQueue[_Write | None] = queue.SimpleQueue()
        self._closed = False
        self._failing = False
        # A daemon, and started now: neither may the end of the interpreter wait for a
        # disk, nor can a thread be started once that end has begun.
        self._thread = threading.Thread(target=self._run, name="meshp2p journal", daemon=True)
        self._thread.start()

    @classmethod
    def open(
        cls,
        path: Path | None,
        on_written: Callable[[int, bool], None],
        entropy: Callable[[int], bytes] = os.urandom,
    ) -> Self:
        """Open the journal, or make an empty one with a new `journal_id`.

        Args:
            path: Of the file, readable for its owner alone; None keeps all in memory, for
                identities that promise nothing. Only the holder of its slot may open it.
            on_written: Called in the journal's thread with a token of `start_writing` and
                whether its records are on disk. False promises nothing: after an error
                of the disk they may be there all the same.
            entropy: Gives so many random bytes.

        Raises:
            StateUnusable: The file is damaged, not ours, or cannot be used; the text
                says what to do.
        """
        name = "in memory" if path is None else str(path)
        if path is not None:
            _create_private(path)
        try:
            connection = sqlite3.connect(
                ":memory:" if path is None else path,
                timeout=_BUSY,
                isolation_level=None,  # BEGIN and COMMIT are ours alone
                check_same_thread=False,  # `_connection_free` guards it
            )
            try:
                journal_id = _prepare(connection, name, entropy)
            except BaseException:
                connection.close()
                raise
        except sqlite3.Error as error:
            raise _unusable(name, error) from error
        return cls(connection, name, journal_id, on_written)

    def load(self) -> dict[tuple[str, bytes], bytes]:
        """Every record that is on disk: (table, key) to value. For a start, not for a loop.

        Raises:
            StateUnusable: The file cannot be read.
        """
        try:
            with (
                self._connection_free,
                closing(self._connection.execute("SELECT tbl, key, value FROM records")) as rows,
            ):
                return {(table, key): value for table, key, value in rows}
        except sqlite3.Error as error:
            raise _unusable(self._name, error) from error

    def start_writing(self, token: int, records: tuple[Record, ...]) -> None:
        """Write all the records or none, later; `on_written` tells. Never waits.

        After `close` nothing is written and nothing answered.
        """
        if not self._closed:
            self._queue.put(_Write(token, records))

    def close(self) -> None:
        """Write what was asked for, answer it, and end the thread. A second call does nothing."""
        if self._closed:
            return
        self._closed = True
        self._queue.put(None)
        self._thread.join(_LAST_WRITES)

    def _run(self) -> None:
        stopping = False
        while not stopping:
            asked = [self._queue.get()]
            # Only what came during the last commit: later writes may not delay these answers.
            asked += [self._queue.get_nowait() for _ in range(self._queue.qsize())]
            stopping = None in asked
            group = [write for write in asked if write is not None]
            if group:
                ok = self._commit(group)
                for write in group:
                    self._answer(write.token, ok=ok)
        with self._connection_free, suppress(sqlite3.Error):
            self._connection.close()

    def _commit(self, group: list[_Write]) -> bool:
        """Whether all of the group is on disk now."""
        with self._connection_free:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                for write in group:
                    for record in write.records:
                        _apply(self._connection, record)
                self._connection.execute("COMMIT")
            except Exception as error:  # noqa: BLE001  # a dead thread would answer nobody, for ever
                with suppress(sqlite3.Error):
                    self._connection.rollback()
                self._note(error)
                return False
        self._note(None)
        return True

    def _note(self, error: Exception | None) -> None:
        """Log the first failure and the first success after it, not each of thousands."""
        if error is not None and not self._failing:
            _LOGGER.error("the journal %s cannot be written: %s", self._name, error)
        elif error is None and self._failing:
            _LOGGER.warning("the journal %s can be written again", self._name)
        self._failing = error is not None

    def _answer(self, token: int, *, ok: bool) -> None:
        try:
            self._on_written(token, ok)
        except Exception:  # the writes of others still wait
            _LOGGER.exception("nobody heard that the journal %s was written", self._name)


def _create_private(path: Path) -> None:
    """Make the file before SQLite does, which would let others read it."""
    make_private_directory(path.parent)
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        raise StateUnusable(
            f"cannot open the journal {path}: {error.strerror}. Make it writable, or set "
            'MESHP2P_STATE to another directory; identity="ephemeral" keeps nothing on disk'
        ) from error


def _prepare(connection: sqlite3.Connection, name: str, entropy: Callable[[int], bytes]) -> bytes:
    """Check the file, or fill an empty one; return its journal id."""
    empty = _pragma(connection, "schema_version") == 0
    if not empty and _pragma(connection, "application_id") != _APPLICATION:
        raise _damaged(name, "it belongs to another program")
    # WAL for speed: one sync for a commit. Where it is impossible SQLite keeps its older
    # journal, which with FULL is as safe.
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    if empty:
        _fill(connection, entropy(JOURNAL_ID_BYTES))
    if (found := _pragma(connection, "user_version")) != _FORMAT:
        raise StateUnusable(
            f"the journal {name} has format {found}, this version of meshp2p knows {_FORMAT}: "
            "run the version that wrote it, or a later one"
        )
    if (verdict := _pragma(connection, "quick_check(1)")) != "ok":
        raise _damaged(name, " ".join(str(verdict).split()))  # on one line
    row = connection.execute("SELECT value FROM meta WHERE name = 'journal_id'").fetchone()
    match row:
        case (bytes(journal_id),) if len(journal_id) == JOURNAL_ID_BYTES:
            return journal_id
        case _:
            raise _damaged(name, "it has no id")


def _fill(connection: sqlite3.Connection, journal_id: bytes) -> None:
    connection.execute("BEGIN IMMEDIATE")  # a crash leaves all of it or an empty file
    for statement in _SCHEMA:
        connection.execute(statement)
    connection.execute("INSERT INTO meta VALUES('journal_id', ?)", (journal_id,))
    connection.execute("COMMIT")


def _pragma(connection: sqlite3.Connection, name: str) -> object:
    (value,) = connection.execute(f"PRAGMA {name}").fetchone()
    return value


def _apply(connection: sqlite3.Connection, record: Record) -> None:
    if record.value is None:
        connection.execute(_DELETE, (record.table, record.key))
    else:
        connection.execute(_PUT, (record.table, record.key, record.value))


def _damaged(name: str, reason: str) -> StateUnusable:
    return StateUnusable(
        f"the journal {name} is damaged ({reason}). Move {name}* away, and the node begins "
        "an empty one with a new id, so that no old vote counts on it; an old copy would have "
        "forgotten promises"
    )


def _unusable(name: str, error: sqlite3.Error) -> StateUnusable:
    """Say what to do about what SQLite complains of."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR) & 0xFF  # without its details
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return StateUnusable(
            f"the journal {name} is held by another program: close what has it open, e.g. a backup"
        )
    if code in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_ERROR):
        return _damaged(name, str(error))
    return StateUnusable(
        f"cannot use the journal {name}: {error}. Free or repair its disk, or set MESHP2P_STATE "
        "to a directory on another one"
    )
