from __future__ import annotations

import os
import queue
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshp2p.effects import Record
from meshp2p.errors import StateUnusable
from meshp2p.runtime.journal import Journal

PATIENCE = 20.0  # seconds; only a failing test waits so long


class Answers:
    """Hears what the journal tells, in order."""

    def __init__(self) -> None:
        self._queue: queue.SimpleQueue[tuple[int, bool]] = queue.SimpleQueue()
        self.threads: set[int] = set()

    def __call__(self, token: int, ok: bool) -> None:  # noqa: FBT001  # the journal's callback
        """Hear of one write."""
        self.threads.add(threading.get_ident())
        self._queue.put((token, ok))

    def next(self) -> tuple[int, bool]:
        """Wait for the next one."""
        return self._queue.get(timeout=PATIENCE)

    @property
    def silent(self) -> bool:
        """Whether nothing more was told."""
        return self._queue.empty()


@contextmanager
def opened(path: Path | None, on_written: Callable[[int, bool], None]) -> Iterator[Journal]:
    """A journal that is closed at the end."""
    journal = Journal.open(path, on_written)
    try:
        yield journal
    finally:
        journal.close()


def ballot(value: bytes | None, key: bytes = b"vote") -> tuple[Record, ...]:
    """One record; None deletes it."""
    return (Record("ballots", key, value),)


def run(script: str, path: Path) -> str:
    """What a process of its own prints."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script, str(path)],
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    """A node killed right after it heard "written" still knows its promise."""
    script = """
import os, signal, sys
from pathlib import Path
from meshp2p.effects import Record
from meshp2p.runtime.journal import Journal

def die(token, ok):
    os.kill(os.getpid(), signal.SIGKILL)

journal = Journal.open(Path(sys.argv[1]), die)
journal.start_writing(1, (Record("ballots", b"vote", b"yes"),))
signal.pause()
"""
    path = tmp_path / "journal"
    killed = subprocess.run(
        [sys.executable, "-c", script, str(path)], timeout=PATIENCE, check=False
    )

    with opened(path, Answers()) as journal:
        assert (killed.returncode, journal.load()) == (-9, {("ballots", b"vote"): b"yes"})


def test_an_answer_comes_only_after_others_can_read_it(tmp_path: Path) -> None:
    """When the node hears "written", any other connection to the file sees the record."""
    path = tmp_path / "journal"
    seen: queue.SimpleQueue[list[object]] = queue.SimpleQueue()

    def look(token: int, ok: bool) -> None:  # noqa: ARG001, FBT001  # the journal's callback
        with closing(sqlite3.connect(path)) as other:
            seen.put(other.execute("SELECT tbl, key, value FROM records").fetchall())

    with opened(path, look) as journal:
        journal.start_writing(1, ballot(b"yes"))
        assert seen.get(timeout=PATIENCE) == [("ballots", b"vote", b"yes")]


def test_writes_asked_for_during_a_commit_share_the_next_one(tmp_path: Path) -> None:
    """Asking never waits, and a hundred waiting promises cost one sync, not a hundred."""
    busy, go_on, answers = threading.Event(), threading.Event(), Answers()
    visible_at_first_answer: list[int] = []

    def slow(token: int, ok: bool) -> None:  # noqa: FBT001  # the journal's callback
        if token == 0:
            busy.set()
            go_on.wait(PATIENCE)
        if token == 1:
            visible_at_first_answer.append(len(journal.load()))
        answers(token, ok)

    with opened(tmp_path / "journal", slow) as journal:
        journal.start_writing(0, ballot(b"first", b"0"))
        busy.wait(PATIENCE)
        for token in range(1, 101):
            journal.start_writing(token, ballot(b"more", b"%d" % token))
        go_on.set()
        told = [answers.next() for _ in range(101)]

    assert told == [(token, True) for token in range(101)]
    assert visible_at_first_answer == [101]


def test_the_last_write_wins_and_none_deletes(tmp_path: Path) -> None:
    """Records are written in the order given, within a write and between writes."""
    with opened(tmp_path / "journal", Answers()) as journal:
        journal.start_writing(1, ballot(b"no") + ballot(b"yes") + ballot(b"x", b"other"))
        journal.start_writing(2, ballot(None, b"other"))

    with opened(tmp_path / "journal", Answers()) as journal:
        assert journal.load() == {("ballots", b"vote"): b"yes"}


RECORDS = st.builds(
    Record,
    table=st.sampled_from(["ballots", "awards"]),
    key=st.binary(max_size=2),
    value=st.none() | st.binary(max_size=40),
)


@given(st.lists(st.lists(RECORDS, max_size=4), max_size=8))
def test_the_journal_is_a_dictionary(writes: list[list[Record]]) -> None:
    """Whatever is written and deleted, what is loaded is what a dictionary would hold."""
    expected: dict[tuple[str, bytes], bytes] = {}
    answers = Answers()
    with opened(None, answers) as journal:
        for token, records in enumerate(writes):
            journal.start_writing(token, tuple(records))
            for record in records:
                expected.pop((record.table, record.key), None)
                if record.value is not None:
                    expected[record.table, record.key] = record.value
        told = [answers.next() for _ in writes]
        assert journal.load() == expected
    assert told == [(token, True) for token in range(len(writes))]


def test_while_another_program_holds_the_file_nothing_is_promised(tmp_path: Path) -> None:
    """A locked file fails the write that met it, and only that one."""
    path, answers = tmp_path / "journal", Answers()
    with opened(path, answers) as journal, closing(sqlite3.connect(path)) as curious:
        curious.execute("BEGIN IMMEDIATE")
        journal.start_writing(1, ballot(b"no"))
        assert answers.next() == (1, False)
        curious.rollback()

        journal.start_writing(2, ballot(b"yes", b"second"))
        assert answers.next() == (2, True)
        assert journal.load() == {("ballots", b"second"): b"yes"}


def test_a_full_disk_fails_a_write_as_a_whole_and_the_journal_goes_on(tmp_path: Path) -> None:
    """No half of a write stays, nothing is promised, and with space it works again."""
    script = """
import queue, resource, sys
from pathlib import Path
from meshp2p.effects import Record
from meshp2p.runtime.journal import Journal

told = queue.SimpleQueue()
journal = Journal.open(Path(sys.argv[1]), lambda token, ok: told.put(ok))
unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, unlimited[1]))
big = Record("ballots", b"big", bytes(1_000_000))
journal.start_writing(1, (Record("ballots", b"small", b"no"), big))
full = told.get()
resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
journal.start_writing(2, (Record("ballots", b"later", b"yes"),))
print(full, told.get(), sorted(journal.load()))
"""
    assert run(script, tmp_path / "journal") == "False True [('ballots', b'later')]\n"


def test_what_cannot_be_written_spoils_nothing_later(tmp_path: Path) -> None:
    """Even a record that SQLite cannot take fails alone, and leaves no open transaction."""
    answers = Answers()
    with opened(tmp_path / "journal", answers) as journal:
        journal.start_writing(1, (*ballot(b"no"), Record("\ud800", b"half a character", b"")))
        assert answers.next() == (1, False)
        journal.start_writing(2, ballot(b"yes", b"second"))
        assert answers.next() == (2, True)
        assert journal.load() == {("ballots", b"second"): b"yes"}


def test_a_listener_that_fails_does_not_silence_the_rest() -> None:
    """An error in one answer keeps no other promise waiting."""
    answers = Answers()

    def listen(token: int, ok: bool) -> None:  # noqa: FBT001  # the journal's callback
        if token == 1:
            raise RuntimeError("the loop has ended")
        answers(token, ok)

    with opened(None, listen) as journal:
        journal.start_writing(1, ballot(b"no"))
        journal.start_writing(2, ballot(b"yes"))
        assert answers.next() == (2, True)


def test_closing_writes_and_answers_what_was_asked_for(tmp_path: Path) -> None:
    """Nothing asked for before `close` is lost; after it nothing is answered."""
    answers = Answers()
    journal = Journal.open(tmp_path / "journal", answers)
    for token in range(100):
        journal.start_writing(token, ballot(b"yes", b"%d" % token))
    journal.close()
    journal.close()
    told = [answers.next() for _ in range(100)]
    journal.start_writing(100, ballot(b"late"))

    assert told == [(token, True) for token in range(100)]
    assert answers.silent
    with opened(tmp_path / "journal", answers) as again:
        assert len(again.load()) == 100


def test_the_journal_id_tells_a_restart_from_a_loss_of_memory(tmp_path: Path) -> None:
    """The id stays with the file; an empty file is another journal."""
    ids = []
    for name in ("alice", "alice", "bob"):
        with opened(tmp_path / name, Answers()) as journal:
            ids.append(journal.journal_id)

    assert len(ids[0]) == 16
    assert ids[0] == ids[1] != ids[2]


def test_an_ephemeral_journal_answers_in_its_thread_and_touches_no_disk(
    tmp_path: Path,
) -> None:
    """Guests take the same asynchronous path, with nothing left behind."""
    answers = Answers()
    before = sorted(Path.cwd().iterdir())
    with opened(None, answers) as journal:
        journal.start_writing(1, ballot(b"yes"))
        assert answers.next() == (1, True)
        assert journal.load() == {("ballots", b"vote"): b"yes"}

    assert threading.get_ident() not in answers.threads
    assert (sorted(Path.cwd().iterdir()), list(tmp_path.iterdir())) == (before, [])


def test_other_users_cannot_read_it(tmp_path: Path) -> None:
    """Even a careless umask leaves all of the journal's files to its owner alone."""
    careful = os.umask(0)
    try:
        with opened(tmp_path / "slot" / "journal", Answers()):
            files = list((tmp_path / "slot").iterdir())
            modes = {stat.S_IMODE(file.stat().st_mode) for file in files}
    finally:
        os.umask(careful)
    assert len(files) > 1
    assert modes == {0o600}


def test_a_program_may_end_without_closing(tmp_path: Path) -> None:
    """An unclosed journal, even with a stuck listener, does not hang the interpreter."""
    script = """
import sys, threading
from pathlib import Path
from meshp2p.runtime.journal import Journal

stuck = threading.Event()
journal = Journal.open(Path(sys.argv[1]), lambda token, ok: (stuck.set(), threading.Event().wait()))
journal.start_writing(1, ())
stuck.wait()
print("bye")
"""
    assert run(script, tmp_path / "journal") == "bye\n"


def test_a_forked_child_does_the_journal_no_harm(tmp_path: Path) -> None:
    """A child that closes what it inherited returns at once; the parent writes on."""
    script = """
import os, queue, sys
from pathlib import Path
from meshp2p.effects import Record
from meshp2p.runtime.journal import Journal

told = queue.SimpleQueue()
journal = Journal.open(Path(sys.argv[1]), lambda token, ok: told.put(ok))
journal.start_writing(1, (Record("ballots", b"first", b"yes"),))
told.get()
child = os.fork()
if child == 0:
    journal.close()
    sys.exit(0)
os.waitpid(child, 0)
journal.start_writing(2, (Record("ballots", b"second", b"yes"),))
print(told.get(), len(journal.load()))
journal.close()
"""
    assert run(script, tmp_path / "journal") == "True 2\n"
    with opened(tmp_path / "journal", Answers()) as journal:
        assert len(journal.load()) == 2


def _damaged_text(path: Path) -> None:
    path.write_text("shopping list\n" * 100)


def _damaged_page(path: Path) -> None:
    with opened(path, Answers()) as journal:
        journal.start_writing(1, ballot(bytes(50_000)))
    with path.open("r+b") as file:
        file.seek(8_192)  # the third page: what was promised, not what the file is
        file.write(b"\xff" * 4_096)


def _damaged_truncation(path: Path) -> None:
    with opened(path, Answers()) as journal:
        journal.start_writing(1, ballot(bytes(50_000)))
    os.truncate(path, 8_192)


def _damaged_foreign(path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        other.execute("CREATE TABLE bookmarks(url TEXT)")


def _damaged_meta(path: Path) -> None:
    with opened(path, Answers()):
        pass
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("DELETE FROM meta")


@pytest.mark.parametrize(
    "damage", [_damaged_text, _damaged_page, _damaged_truncation, _damaged_foreign, _damaged_meta]
)
def test_a_damaged_journal_stops_the_start_and_says_what_to_do(
    damage: Callable[[Path], None], tmp_path: Path
) -> None:
    """A node that cannot know its promises does not start as if it had made none."""
    path = tmp_path / "journal"
    damage(path)
    before = path.read_bytes()

    with pytest.raises(StateUnusable, match=r"is damaged .* Move .*journal\* away"):
        Journal.open(path, Answers())
    assert path.read_bytes() == before


def test_a_journal_of_a_later_version_is_left_alone(tmp_path: Path) -> None:
    """An older program does not misread what a newer one has promised."""
    with opened(tmp_path / "journal", Answers()):
        pass
    with closing(sqlite3.connect(tmp_path / "journal")) as newer:
        newer.execute("PRAGMA user_version = 2")

    with pytest.raises(StateUnusable, match="format 2, this version of meshp2p knows 1"):
        Journal.open(tmp_path / "journal", Answers())


def test_a_journal_held_by_another_program_says_so(tmp_path: Path) -> None:
    """A lock is not mistaken for damage: nobody is told to move a good file away."""
    path = tmp_path / "journal"
    with opened(path, Answers()):
        pass
    with closing(sqlite3.connect(path)) as other:
        other.execute("PRAGMA journal_mode = DELETE")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(StateUnusable, match="held by another program"):
            Journal.open(path, Answers())


def test_a_path_that_cannot_be_a_file_is_explained(tmp_path: Path) -> None:
    """A directory in the journal's place is named, with ways out."""
    (tmp_path / "journal").mkdir()
    with pytest.raises(StateUnusable, match=r"cannot open the journal .*journal: Is a directory"):
        Journal.open(tmp_path / "journal", Answers())
