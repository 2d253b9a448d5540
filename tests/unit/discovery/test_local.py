from __future__ import annotations

import fcntl
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock

from meshp2p.discovery.entry import MAX_ENTRY, pack_entry, unpack_entry_untrusted
from meshp2p.discovery.local import MAX_ENTRIES, LocalDirectory, folder_for, watch
from meshp2p.engine.joining import Neighbour
from meshp2p.errors import StateUnusable, WireError
from meshp2p.ids import Address, NodeId, show_id
from meshp2p.wire import codec


def neighbour(number: int, handle: str = "", port: int = 7001) -> Neighbour:
    """Somebody on this machine."""
    addresses = (Address("127.0.0.1", port), Address("::1", port))
    return Neighbour(NodeId(bytes([number]) * 16), bytes([number]) * 32, addresses, handle)


ALICE, BOB, CAROL = neighbour(1, "alice"), neighbour(2, "bob"), neighbour(3)

PUBLISH = """
import sys
from pathlib import Path
from meshp2p.discovery.entry import unpack_entry_untrusted
from meshp2p.discovery.local import LocalDirectory

directory = LocalDirectory(Path(sys.argv[1]))
directory.publish(unpack_entry_untrusted(bytes.fromhex(sys.argv[2])))
print("published", flush=True)
sys.stdin.read()
"""


@contextmanager
def process_of(entry: Neighbour, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A node in a process of its own, which has published its entry."""
    process = subprocess.Popen(
        [sys.executable, "-c", PUBLISH, str(folder), pack_entry(entry).hex()],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    with process:
        assert process.stdout
        assert process.stdout.readline() == b"published\n"
        try:
            yield process
        finally:
            process.kill()


def path_of(entry: Neighbour, folder: Path) -> Path:
    """Where the node's entry belongs."""
    return folder / show_id(entry.id)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Of one mesh, still to be made."""
    return tmp_path / "meshp2p" / "group"


def test_nodes_of_one_machine_see_each_other_and_not_themselves(folder: Path) -> None:
    """Two processes that share nothing but a directory find each other."""
    with process_of(BOB, folder), process_of(CAROL, folder):
        directory = LocalDirectory(folder)
        directory.publish(ALICE)
        assert directory.list_others() == [BOB, CAROL]
        directory.withdraw()


def test_a_guest_sees_all_without_being_seen(folder: Path) -> None:
    """Whoever publishes nothing leaves no trace, not even a folder."""
    guest = LocalDirectory(folder)
    assert guest.list_others() == []
    assert not folder.exists()
    with process_of(BOB, folder):
        assert guest.list_others() == [BOB]
        assert list(folder.iterdir()) == [path_of(BOB, folder)]


def test_a_killed_node_is_gone_at_once(folder: Path) -> None:
    """SIGKILL leaves an entry whose lock is free: it is not listed, and swept away."""
    with process_of(BOB, folder) as bob, process_of(CAROL, folder):
        bob.kill()
        bob.wait()
        assert path_of(BOB, folder).exists()
        assert LocalDirectory(folder).list_others() == [CAROL]
        assert not path_of(BOB, folder).exists()


def test_a_node_that_leaves_removes_its_entry(folder: Path) -> None:
    """Nobody knocks at the door of a node that stopped properly."""
    directory = LocalDirectory(folder)
    directory.publish(ALICE)
    directory.withdraw()
    directory.withdraw()

    assert list(folder.iterdir()) == []
    directory.renew()
    assert list(folder.iterdir()) == []


def test_a_restarted_node_takes_the_place_of_its_dead_entry(folder: Path) -> None:
    """After a crash the new process is the one that is found, at its new port."""
    with process_of(BOB, folder) as bob:
        bob.kill()
        bob.wait()
    restarted = neighbour(2, "bob", port=7002)
    with process_of(restarted, folder):
        assert LocalDirectory(folder).list_others() == [restarted]


def test_changed_addresses_replace_the_old_ones(folder: Path) -> None:
    """A node that publishes again stays alive for everyone, with what it said last."""
    directory = LocalDirectory(folder)
    directory.publish(BOB)
    directory.publish(moved := neighbour(2, "bob", port=7002))

    assert LocalDirectory(folder).list_others() == [moved]
    assert list(folder.iterdir()) == [path_of(BOB, folder)]
    directory.withdraw()
    assert list(folder.iterdir()) == []


def test_sweeping_a_dead_entry_never_hits_its_new_owner(folder: Path) -> None:
    """However often others sweep while nodes restart, a running node stays listed."""
    done = threading.Event()

    def sweep() -> None:
        others = LocalDirectory(folder)
        while not done.is_set():
            others.list_others()

    LocalDirectory(folder).publish(CAROL)
    sweepers = [threading.Thread(target=sweep) for _ in range(2)]
    for sweeper in sweepers:
        sweeper.start()
    missing = 0
    for _ in range(300):
        path_of(BOB, folder).write_bytes(pack_entry(BOB))  # what a killed node leaves
        restarted = LocalDirectory(folder)
        restarted.publish(BOB)
        missing += BOB not in LocalDirectory(folder).list_others()
        restarted.withdraw()
    done.set()
    for sweeper in sweepers:
        sweeper.join()
    assert missing == 0


def test_two_who_sweep_at_once_do_not_take_each_other_for_the_owner(folder: Path) -> None:
    """A dead node is dead for all who look at the same moment."""
    folder.mkdir(parents=True, mode=0o700)
    together = threading.Barrier(2)
    seen: list[Neighbour] = []

    def look() -> None:
        others = LocalDirectory(folder)
        for _ in range(200):
            path_of(BOB, folder).write_bytes(pack_entry(BOB))
            together.wait(timeout=20)
            seen.extend(others.list_others())
            together.wait(timeout=20)

    threads = [threading.Thread(target=look) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert seen == []


def test_two_never_sweep_at_once(folder: Path) -> None:
    """While one sweeps another waits for the next look: it could hit a new owner."""
    folder.mkdir(parents=True, mode=0o700)
    path_of(BOB, folder).write_bytes(pack_entry(BOB))
    sweeper = os.open(folder, os.O_RDONLY)
    fcntl.flock(sweeper, fcntl.LOCK_EX)

    assert LocalDirectory(folder).list_others() == []
    assert path_of(BOB, folder).exists()
    os.close(sweeper)
    assert LocalDirectory(folder).list_others() == []
    assert not path_of(BOB, folder).exists()


def test_a_node_that_stops_late_leaves_the_entry_of_its_successor(folder: Path) -> None:
    """Nobody who holds a name for ever stops a start, or takes the new entry along."""
    stuck, successor = LocalDirectory(folder), LocalDirectory(folder)
    stuck.publish(BOB)
    successor.publish(moved := neighbour(2, "bob", port=7002))
    stuck.withdraw()

    assert LocalDirectory(folder).list_others() == [moved]
    successor.withdraw()


def test_an_entry_that_somebody_tidied_away_comes_back(folder: Path) -> None:
    """Cleaners of temporary files cannot make a running node invisible for long."""
    directory = LocalDirectory(folder)
    directory.publish(BOB)
    path_of(BOB, folder).unlink()
    folder.rmdir()
    directory.renew()

    assert LocalDirectory(folder).list_others() == [BOB]
    directory.withdraw()


def test_an_entry_in_use_looks_fresh_to_cleaners(folder: Path) -> None:
    """Renewing touches the file, as the XDG specification asks within six hours."""
    directory = LocalDirectory(folder)
    directory.publish(BOB)
    os.utime(path_of(BOB, folder), (0, 0))
    directory.renew()

    assert path_of(BOB, folder).stat().st_mtime > 0
    directory.withdraw()


def test_others_cannot_look_into_the_folder(folder: Path) -> None:
    """Folder and entries are their owner's alone, whatever the umask."""
    careful = os.umask(0)
    try:
        directory = LocalDirectory(folder)
        directory.publish(ALICE)
        modes = [
            stat.S_IMODE(path.stat().st_mode)
            for path in (folder.parent, folder, path_of(ALICE, folder))
        ]
        directory.withdraw()
    finally:
        os.umask(careful)
    assert modes == [0o700, 0o700, 0o600]


def _open_to_others(folder: Path) -> None:
    folder.chmod(0o770)


def _owned_by_another(folder: Path) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    os.chown(folder, 65_534, -1)


@pytest.mark.parametrize("spoil", [_open_to_others, _owned_by_another])
def test_a_folder_of_others_is_neither_believed_nor_used(
    spoil: Callable[[Path], None], folder: Path
) -> None:
    """Another user can neither feed us addresses nor learn ours."""
    bob = LocalDirectory(folder)
    bob.publish(BOB)
    spoil(folder)

    directory = LocalDirectory(folder)
    assert directory.list_others() == []
    with pytest.raises(StateUnusable, match="other users may write to"):
        directory.publish(ALICE)
    assert not path_of(ALICE, folder).exists()
    bob.withdraw()


def test_a_folder_that_leads_elsewhere_is_not_followed(folder: Path, tmp_path: Path) -> None:
    """A symbolic link in place of the folder is refused."""
    LocalDirectory(tmp_path / "elsewhere").publish(BOB)
    folder.parent.mkdir(parents=True)
    folder.symlink_to(tmp_path / "elsewhere")

    assert LocalDirectory(folder).list_others() == []


def test_what_is_no_entry_is_passed_over(folder: Path, tmp_path: Path) -> None:
    """Garbage, pipes, links, folders and foreign names disturb nobody."""
    bob = LocalDirectory(folder)
    bob.publish(BOB)
    (folder / "README").write_text("hello")
    (folder / show_id(bytes([4] * 16))).mkdir()
    os.mkfifo(folder / show_id(bytes([5] * 16)))
    (folder / show_id(bytes([6] * 16))).symlink_to(tmp_path / "nowhere")
    (folder / show_id(bytes([7] * 16)).upper()).write_bytes(pack_entry(neighbour(7)))

    assert LocalDirectory(folder).list_others() == [BOB]
    assert (folder / "README").exists()
    bob.withdraw()


@pytest.mark.parametrize(
    "content", [b"", b"garbage", bytes(MAX_ENTRY + 1), pack_entry(CAROL)], ids=len
)
def test_a_living_entry_with_the_wrong_content_is_left_out(content: bytes, folder: Path) -> None:
    """Neither garbage nor another node's entry under a locked name is believed."""
    bob = LocalDirectory(folder)
    bob.publish(BOB)
    path_of(BOB, folder).write_bytes(content)

    assert LocalDirectory(folder).list_others() == []
    assert path_of(BOB, folder).exists()
    bob.withdraw()


def test_a_flood_of_files_costs_a_bounded_look(folder: Path) -> None:
    """However many entries there are, one listing looks at 4,096."""
    folder.mkdir(parents=True, mode=0o700)
    for number in range(MAX_ENTRIES + 10):
        path_of(BOB, folder).with_name(show_id(number.to_bytes(16, "big"))).touch()

    LocalDirectory(folder).list_others()

    assert len(list(folder.iterdir())) == 10  # what was looked at was dead, and is gone


def test_the_folder_is_the_users_runtime_directory(tmp_path: Path) -> None:
    """Each mesh and namespace has a folder there, so that they do not mix."""
    tmp_path.chmod(0o700)
    environ = {"XDG_RUNTIME_DIR": str(tmp_path)}
    work, play = (folder_for(group * 16, environ, tmp_path / "state") for group in (b"w", b"p"))

    assert work == tmp_path / "meshp2p" / ("77" * 16)
    assert play == tmp_path / "meshp2p" / ("70" * 16)


def _relative(tmp_path: Path) -> dict[str, str]:  # noqa: ARG001  # one of several
    return {"XDG_RUNTIME_DIR": "run"}


def _missing(tmp_path: Path) -> dict[str, str]:
    return {"XDG_RUNTIME_DIR": str(tmp_path / "missing")}


def _readable_by_all(tmp_path: Path) -> dict[str, str]:
    tmp_path.chmod(0o755)
    return {"XDG_RUNTIME_DIR": str(tmp_path)}


def _of_another_user(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "theirs").mkdir(mode=0o700)
    _owned_by_another(tmp_path / "theirs")
    return {"XDG_RUNTIME_DIR": str(tmp_path / "theirs")}


def _unset(tmp_path: Path) -> dict[str, str]:  # noqa: ARG001  # one of several
    return {}


@pytest.mark.parametrize(
    "environ", [_unset, _relative, _missing, _readable_by_all, _of_another_user]
)
def test_without_a_private_runtime_directory_it_lies_in_the_state(
    environ: Callable[[Path], dict[str, str]], tmp_path: Path
) -> None:
    """Then each boot has a folder of its own: a home may be shared by machines."""
    path = folder_for(b"w" * 16, environ(tmp_path), tmp_path / "state")

    run, boot, group = path.relative_to(tmp_path / "state").parts
    assert (run, group) == ("run", "77" * 16)
    assert boot not in {"", ".", ".."}


def test_a_node_looks_before_it_waits(folder: Path) -> None:
    """A node that starts next to another one knows it before its first pause."""
    bob = LocalDirectory(folder)
    bob.publish(BOB)
    seen: list[list[Neighbour]] = []

    async def main() -> None:
        with trio.CancelScope() as scope:
            scope.cancel()  # takes effect at the first pause
            await watch(LocalDirectory(folder), seen.append, lambda: True)

    trio.run(main)
    bob.withdraw()
    assert seen == [[BOB]]


def test_who_is_alone_looks_often(folder: Path) -> None:
    """Every 2 s while alone, every 30 s in company, and soon again after losing it."""
    alone_until, alone_after = 5.0, 70.0
    looked_at: list[float] = []

    async def main() -> None:
        begin = trio.current_time()

        def is_alone() -> bool:
            return not alone_until < trio.current_time() - begin < alone_after

        def look(_: list[Neighbour]) -> None:
            looked_at.append(round(trio.current_time() - begin, 3))
            if len(looked_at) == 7:
                scope.cancel()

        with trio.CancelScope() as scope:
            await watch(LocalDirectory(folder), look, is_alone)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    assert looked_at == [0.0, 2.0, 4.0, 34.0, 64.0, 70.0, 72.0]


def test_a_lost_entry_is_back_at_the_next_look(folder: Path) -> None:
    """Watching also keeps the own entry alive."""
    directory = LocalDirectory(folder)
    directory.publish(BOB)
    path_of(BOB, folder).unlink()
    seen: list[list[Neighbour]] = []

    async def main() -> None:
        def look(_: list[Neighbour]) -> None:
            seen.append(LocalDirectory(folder).list_others())
            if len(seen) == 2:
                scope.cancel()

        with trio.CancelScope() as scope:
            await watch(directory, look, lambda: True)

    trio.run(main, clock=MockClock(autojump_threshold=0))
    directory.withdraw()
    assert seen == [[], [BOB]]


@given(
    st.binary(max_size=80)
    | st.lists(st.just(1) | st.binary(max_size=33) | st.text(max_size=3), max_size=7).map(
        codec.pack
    )
)
def test_an_entry_is_read_or_refused(data: bytes) -> None:
    """Whatever lies in a file, reading it raises nothing but `WireError`."""
    try:
        entry = unpack_entry_untrusted(data)
    except WireError:
        return
    assert unpack_entry_untrusted(pack_entry(entry)) == entry


FIELDS = [1, BOB.id, BOB.transport_key, [a.packed() for a in BOB.addresses], "bob"]


def test_entries_of_later_versions_are_understood() -> None:
    """What they append is ignored."""
    assert unpack_entry_untrusted(codec.pack([*FIELDS, "later", 7])) == BOB


@pytest.mark.parametrize(
    ("position", "value"),
    [
        (0, 2),
        (1, bytes(15)),
        (2, bytes(31)),
        (3, b"no list"),
        (3, [b"short"]),
        (3, ["text"]),
        (3, [bytes(4) + b"\x00\x01"] * 9),
        (3, [bytes(6)]),
        (4, "bob\n"),
        (4, "b" * 64),
        (4, b"bob"),
    ],
)
def test_every_field_of_an_entry_is_checked(position: int, value: object) -> None:
    """One field out of range spoils the entry."""
    fields = list(FIELDS)
    fields[position] = value
    with pytest.raises(WireError):
        unpack_entry_untrusted(codec.pack(fields))
