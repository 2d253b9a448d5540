from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from meshp2p.errors import StateUnusable, UsageError
from meshp2p.identity.keyfile import (
    MESH_KEY,
    load_or_create_easy_key,
    load_or_create_secret,
    load_secret,
    state_root,
)
from meshp2p.identity.slots import Slot, open_slot

MESH = "00112233445566778899aabbccddeeff"
PROCESSES: Final = 10

# Each child says that it is there, waits for the starting shot, tells what it got, and
# keeps it until its input is closed.
RACER: Final = """
import sys
from pathlib import Path
from meshp2p.identity.keyfile import load_or_create_easy_key
from meshp2p.identity.slots import open_slot

root = Path(sys.argv[1])
print("ready", flush=True)
sys.stdin.readline()
key = load_or_create_easy_key(root)
slot = open_slot(root, sys.argv[2], "alice")
print(key.hex(), slot.number, slot.node_private.hex(), flush=True)
sys.stdin.read()
"""


def start_racer(root: Path) -> subprocess.Popen[str]:
    """A process that takes the mesh key and a slot once it is told to."""
    return subprocess.Popen(
        [sys.executable, "-c", RACER, str(root), MESH],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def line_of(process: subprocess.Popen[str]) -> str:
    """What the process says next."""
    assert process.stdout is not None
    return process.stdout.readline().strip()


def fire(process: subprocess.Popen[str]) -> None:
    """Give the starting shot."""
    assert process.stdin is not None
    process.stdin.write("go\n")
    process.stdin.flush()


def mode_of(path: Path) -> int:
    """Permission bits."""
    return stat.S_IMODE(path.stat().st_mode)


def test_ten_processes_that_start_at_once_share_a_key_and_no_slot(tmp_path: Path) -> None:
    """Whoever starts ten agents in one go gets one mesh of ten different nodes."""
    racers = [start_racer(tmp_path) for _ in range(PROCESSES)]
    try:
        assert [line_of(racer) for racer in racers] == ["ready"] * PROCESSES
        for racer in racers:
            fire(racer)
        reports = [line_of(racer).split() for racer in racers]
    finally:
        for racer in racers:
            racer.communicate()

    mesh_keys, numbers, node_keys = zip(*reports, strict=True)
    assert set(mesh_keys) == {load_or_create_easy_key(tmp_path).hex()}
    assert sorted(int(number) for number in numbers) == list(range(PROCESSES))
    assert len(set(node_keys)) == PROCESSES
    assert list(tmp_path.glob(".*")) == []


def test_a_killed_process_leaves_its_slot_to_the_next(tmp_path: Path) -> None:
    """A restart after a crash gets its own key back, with nothing to clean up."""
    victim = start_racer(tmp_path)
    line_of(victim)
    fire(victim)
    node_key = line_of(victim).split()[2]
    victim.kill()
    victim.communicate()

    slot = open_slot(tmp_path, MESH, "alice")

    assert (slot.number, slot.node_private.hex()) == (0, node_key)
    slot.close()


def test_replicas_differ_and_a_restart_gets_its_own_key_back(tmp_path: Path) -> None:
    """The first free slot is taken; a closed one is free."""
    first = open_slot(tmp_path, MESH, "alice")
    second = open_slot(tmp_path, MESH, "alice")
    assert (first.number, second.number) == (0, 1)
    assert first.node_private != second.node_private

    first.close()
    again = open_slot(tmp_path, MESH, "alice")

    assert (again.number, again.node_private) == (0, first.node_private)
    again.close()
    second.close()


def test_handles_and_meshes_have_slots_of_their_own(tmp_path: Path) -> None:
    """Alice's key is never bob's, nor hers in another mesh."""
    other_mesh = MESH[::-1]
    slots = [
        open_slot(tmp_path, MESH, "alice"),
        open_slot(tmp_path, MESH, "bob"),
        open_slot(tmp_path, MESH, ""),
        open_slot(tmp_path, other_mesh, "alice"),
    ]

    assert [slot.number for slot in slots] == [0, 0, 0, 0]
    assert len({slot.node_private for slot in slots}) == 4
    assert slots[2].path == tmp_path / MESH / "node" / "0"
    assert slots[0].journal_path == tmp_path / MESH / "alice" / "0" / "journal.sqlite3"
    for slot in slots:
        slot.close()


def test_closing_a_slot_twice_frees_it_once(tmp_path: Path) -> None:
    """A second close does not let go of a lock that somebody else now holds."""
    first = open_slot(tmp_path, MESH, "alice")
    first.close()
    second = open_slot(tmp_path, MESH, "alice")

    first.close()

    third = open_slot(tmp_path, MESH, "alice")
    assert (second.number, third.number) == (0, 1)
    second.close()
    third.close()


def test_a_process_started_by_a_node_does_not_inherit_its_lock(tmp_path: Path) -> None:
    """A handler's child that outlives the node does not keep the slot."""
    slot = open_slot(tmp_path, MESH, "alice")

    flags = fcntl.fcntl(lock_descriptor(slot), fcntl.F_GETFD)

    assert flags & fcntl.FD_CLOEXEC
    slot.close()


def test_a_forked_child_does_not_keep_the_slot_of_its_stopped_parent(tmp_path: Path) -> None:
    """Stopping the node frees the slot, whoever else has a copy of its descriptor."""
    slot = open_slot(tmp_path, MESH, "alice")
    copy = os.dup(lock_descriptor(slot))  # what fork() leaves in the child
    try:
        slot.close()
        again = open_slot(tmp_path, MESH, "alice")
        assert again.number == 0
        again.close()
    finally:
        os.close(copy)


def test_a_slot_with_a_damaged_key_is_reported_and_let_go(tmp_path: Path) -> None:
    """The node does not quietly become another one; mended, the slot is free."""
    slot = open_slot(tmp_path, MESH, "alice")
    slot.close()
    key_file = slot.path / "node.key"
    content = key_file.read_bytes()
    key_file.write_bytes(b"")

    with pytest.raises(StateUnusable, match="damaged"):
        open_slot(tmp_path, MESH, "alice")
    key_file.write_bytes(content)
    mended = open_slot(tmp_path, MESH, "alice")

    assert (mended.number, mended.node_private) == (0, slot.node_private)
    mended.close()


@pytest.mark.parametrize("handle", ["..", "a/b", "two words", "."])
def test_no_handle_leads_out_of_the_state_directory(tmp_path: Path, handle: str) -> None:
    """A handle is a name, and only that becomes a path."""
    with pytest.raises(UsageError):
        open_slot(tmp_path, MESH, handle)


def test_keys_are_for_their_owner_only(tmp_path: Path) -> None:
    """Files are 0600 and new directories 0700, whatever the umask."""
    before = os.umask(0)
    try:
        load_or_create_easy_key(tmp_path / "state")
        slot = open_slot(tmp_path / "state", MESH, "alice")
    finally:
        os.umask(before)
    slot.close()

    assert mode_of(tmp_path / "state") == 0o700
    assert mode_of(tmp_path / "state" / "mesh.key") == 0o600
    assert mode_of(slot.path / "node.key") == 0o600
    assert repr(slot.node_private) not in repr(slot)


def test_a_key_file_is_one_readable_line(tmp_path: Path) -> None:
    """It can be copied, compared and recognised by a person."""
    key = load_or_create_secret(tmp_path / "mesh.key", MESH_KEY, lambda length: b"\xab" * length)

    assert (tmp_path / "mesh.key").read_text() == "meshp2p-mesh-key/1 " + "ab" * 32 + "\n"
    assert key == load_secret(tmp_path / "mesh.key", MESH_KEY) == b"\xab" * 32


def test_an_existing_key_is_never_replaced(tmp_path: Path) -> None:
    """Neither by a second start nor by one that lost the race."""
    first = load_or_create_easy_key(tmp_path)

    assert load_or_create_easy_key(tmp_path) == first


def test_the_loser_of_the_race_takes_the_winners_key(tmp_path: Path) -> None:
    """Somebody else's key appears just while ours is being made: theirs counts."""
    path = tmp_path / "mesh.key"

    def entropy(length: int) -> bytes:
        load_or_create_secret(path, MESH_KEY, lambda size: b"w" * size)
        return b"l" * length

    assert load_or_create_secret(path, MESH_KEY, entropy) == b"w" * 32
    assert [each.name for each in tmp_path.iterdir()] == ["mesh.key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o620, 0o666])
def test_a_key_that_others_can_use_is_refused_with_the_remedy(tmp_path: Path, mode: int) -> None:
    """The sentence names the file and the command."""
    path = tmp_path / "mesh.key"
    load_or_create_easy_key(tmp_path)
    path.chmod(mode)

    with pytest.raises(StateUnusable) as refusal:
        load_or_create_easy_key(tmp_path)

    assert f"mode {mode:04o}" in str(refusal.value)
    assert f"chmod 600 {path}" in str(refusal.value)


DAMAGED = {
    "empty": b"",
    "cut short": b"meshp2p-mesh-key/1 " + b"ab" * 31,
    "too long": b"meshp2p-mesh-key/1 " + b"ab" * 33,
    "no hex": b"meshp2p-mesh-key/1 " + b"xy" * 32,
    "another kind": b"meshp2p-node-key/1 " + b"ab" * 32,
    "another version": b"meshp2p-mesh-key/2 " + b"ab" * 32,
    "two lines": b"meshp2p-mesh-key/1 " + b"ab" * 32 + b"\nmore\n",
    "no text": b"\xff\x00" * 600,
}


@pytest.mark.parametrize("content", DAMAGED.values(), ids=DAMAGED.keys())
def test_a_damaged_key_file_is_never_guessed_at(tmp_path: Path, content: bytes) -> None:
    """The error says what is expected and what to do; the file stays as it is."""
    path = tmp_path / "mesh.key"
    path.write_bytes(content)
    path.chmod(0o600)

    with pytest.raises(StateUnusable, match=r"damaged.*Restore it from a copy; or move it away"):
        load_or_create_easy_key(tmp_path)

    assert path.read_bytes() == content


def test_a_state_directory_that_cannot_be_is_reported_with_the_ways_out(tmp_path: Path) -> None:
    """A file in the way: the error names it, the variable, and the node without disk."""
    (tmp_path / "file").write_text("in the way")

    with pytest.raises(StateUnusable, match="MESHP2P_STATE") as refusal:
        load_or_create_easy_key(tmp_path / "file" / "state")

    assert str(tmp_path / "file") in str(refusal.value)
    assert 'identity="ephemeral"' in str(refusal.value)


def test_a_missing_key_named_by_the_user_is_not_created(tmp_path: Path) -> None:
    """`mesh=PATH` with a typing mistake does not begin a mesh of one."""
    with pytest.raises(StateUnusable, match="No such file"):
        load_secret(tmp_path / "tema.mesh", MESH_KEY)


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "/home/alice/.local/state/meshp2p"),
        ({"XDG_STATE_HOME": "/var/states"}, "/var/states/meshp2p"),
        ({"XDG_STATE_HOME": "relative"}, "/home/alice/.local/state/meshp2p"),
        ({"XDG_STATE_HOME": ""}, "/home/alice/.local/state/meshp2p"),
        ({"MESHP2P_STATE": "/mine", "XDG_STATE_HOME": "/var/states"}, "/mine"),
        ({"MESHP2P_STATE": ""}, "/home/alice/.local/state/meshp2p"),
    ],
)
def test_state_lies_where_the_user_expects_it(environ: dict[str, str], expected: str) -> None:
    """Our own variable first, then the XDG one, then the usual place."""
    assert state_root(environ, Path("/home/alice")) == Path(expected)


def lock_descriptor(slot: Slot) -> int:
    """The descriptor of this process that is open on the slot's lock file."""
    lock = (slot.path / "lock").stat()
    for descriptor in range(3, 1_024):
        try:
            found = os.fstat(descriptor)
        except OSError:
            continue
        if (found.st_dev, found.st_ino) == (lock.st_dev, lock.st_ino):
            return descriptor
    raise AssertionError("the slot holds no lock")
