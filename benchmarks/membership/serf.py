"""Debian's serf, the measure: as many agents, in the same network, with the same seed."""

from __future__ import annotations

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from random import Random
from typing import Any, Final

import msgpack

from benchmarks.membership import namespace
from benchmarks.membership.mesh import BOOT, now
from meshp2p.ids import Seconds

_PORT: Final = 7946
_RPC_PORT: Final = 7373
_LOOK: Final[Seconds] = 0.1
"""Agents are asked so often, since they tell of events only some seconds later."""
_ANSWER: Final[Seconds] = 20.0


def is_installed() -> bool:
    """Whether there is one."""
    return shutil.which("serf") is not None


def version() -> str:
    """As it says, and as its package does."""
    said = _output("serf", "version").split("\n", 1)[0]
    package = _output("dpkg-query", "-W", "-f", "${Version}", "serf")
    return f"{said} (Debian {package})" if package else said


def _output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603  # fixed
    return done.stdout.strip()


class Connection:
    """To one agent's RPC port."""

    def __init__(self, host: str) -> None:
        """Connect, and shake hands.

        Raises:
            OSError: It does not listen.
        """
        self._socket = socket.create_connection((host, _RPC_PORT), _ANSWER)
        self._unpacker = msgpack.Unpacker(raw=True)
        self._number = 0
        self.send("handshake", {"Version": 1})
        self.receive(body=False)

    def send(self, command: str, body: dict[str, Any] | None = None) -> None:
        """Ask; answers come in the same order."""
        self._number += 1
        asked = msgpack.packb({"Command": command, "Seq": self._number}, use_bin_type=False)
        if body is not None:
            asked += msgpack.packb(body, use_bin_type=False)
        self._socket.sendall(asked)

    def receive(self, *, body: bool) -> Any:  # noqa: ANN401  # as the agent likes
        """The next answer.

        Raises:
            RuntimeError: It is an error.
        """
        head = self._next()
        if head[b"Error"]:
            raise RuntimeError(head[b"Error"].decode())
        return self._next() if body else None

    def _next(self) -> Any:  # noqa: ANN401  # the same
        while True:
            try:
                return self._unpacker.unpack()
            except msgpack.OutOfData:
                data = self._socket.recv(1 << 16)
                if not data:
                    raise ConnectionResetError("the agent has closed its RPC connection") from None
                self._unpacker.feed(data)

    def close(self) -> None:
        """Close it."""
        self._socket.close()


class Serf:
    """So many agents, which know nobody before `begin`. Number 0 is the others' seed."""

    how = (
        f"serf's agents run before the signal, which tells them to join; each is asked every "
        f"{_LOOK:g} s how many members it lists and how many failed."
    )

    def __init__(self, size: int, *, encrypted: bool = False) -> None:
        """Start the agents, and wait until each listens.

        Raises:
            OSError: One does not.
        """
        self.size = size
        self.name = version() + (", encrypted" if encrypted else "")
        self._key = _output("serf", "keygen") if encrypted else ""
        self._net = f"127.{Random().randrange(64, 250)}.{Random().randrange(256)}"
        self._log = tempfile.TemporaryDirectory()
        self._processes: list[subprocess.Popen[bytes]] = []
        self._connections: list[Connection] = []
        try:
            for number in range(size):
                self._processes.append(self._boot(number))
            for number in range(size):
                self._connections.append(self._connect(number))
        except BaseException:  # Ctrl-C too: agents must not stay
            self.close()
            raise

    def host(self, number: int) -> str:
        """Its address."""
        return f"{self._net}.{number + 1}"

    def _boot(self, number: int, *options: str) -> subprocess.Popen[bytes]:
        command = ["serf", "agent", "-profile=lan", "-log-level=err", f"-node=node{number}"]
        command += [f"-bind={self.host(number)}:{_PORT}"]
        command += [f"-rpc-addr={self.host(number)}:{_RPC_PORT}", *options]
        command += [f"-encrypt={self._key}"] if self._key else []
        with (Path(self._log.name) / f"{number}.log").open("ab") as log:
            return subprocess.Popen(  # noqa: S603  # the program of that name
                command,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                group=namespace.FIRST_GROUP + number if namespace.is_inside() else None,
            )

    def _connect(self, number: int) -> Connection:
        end = now() + BOOT
        while True:
            try:
                return Connection(self.host(number))
            except OSError:
                if now() > end:
                    raise
                time.sleep(_LOOK)

    # --- what happens to them --------------------------------------------------

    def begin(self) -> Seconds:
        """Tell all to join; return when. The answers come once each has."""
        at = now()
        for connection in self._connections[1:]:
            connection.send("join", {"Existing": [f"{self.host(0)}:{_PORT}"], "Replay": False})
        for connection in self._connections[1:]:
            connection.receive(body=True)
        return at

    def kill(self, number: int) -> Seconds:
        """End its process at once; return when."""
        at = now()
        self._processes[number].kill()
        self._processes[number].wait()
        self._connections[number].close()
        return at

    def silence(self, number: int) -> Seconds:
        """Lose all that it sends and is sent; return when."""
        self._connections[number].close()
        namespace.silence(self.host(number), namespace.FIRST_GROUP + number)
        return now()

    def revive(self, number: int) -> None:
        """Start a killed one again."""
        self._processes[number] = self._boot(number, f"-join={self.host(0 if number else 1)}")
        self._connections[number] = self._connect(number)

    def unsilence(self, number: int) -> None:
        """Let it be heard again."""
        namespace.unsilence(self.host(number), namespace.FIRST_GROUP + number)
        self._connections[number] = self._connect(number)

    def close(self) -> None:
        """End all of them."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.wait()
        for connection in self._connections:
            connection.close()
        self._log.cleanup()

    # --- what they see -----------------------------------------------------------

    @property
    def pids(self) -> list[int]:
        """Of all processes."""
        return [process.pid for process in self._processes]

    def whole(self, since: Seconds, within: Seconds) -> list[Seconds | None]:
        """When each listed all as alive, in seconds after `since`; None if not in time."""
        return self._moments(range(self.size), lambda alive, _: alive == self.size, since, within)

    def known(self, word: str, other: int, since: Seconds, within: Seconds) -> list[Seconds | None]:
        """When each of the others listed one as failed, likewise."""
        assert word == "dead", "it does not tell whom it suspects"
        observers = [number for number in range(self.size) if number != other]
        return self._moments(observers, lambda _, failed: failed > 0, since, within)

    def count(self, word: str, since: Seconds) -> int | None:
        """It does not tell how often it saw something."""
        del word, since
        return None

    def _moments(
        self,
        observers: Iterable[int],
        holds: Callable[[int, int], bool],
        since: Seconds,
        within: Seconds,
    ) -> list[Seconds | None]:
        waiting = list(observers)
        moments: dict[int, Seconds | None] = dict.fromkeys(waiting)
        while waiting and now() < since + within:
            look_at = now() + _LOOK
            for number in waiting:
                self._connections[number].send("stats")
            for number in waiting:
                if holds(*_counted(self._connections[number].receive(body=True))):
                    moments[number] = now() - since
            waiting = [number for number in waiting if moments[number] is None]
            time.sleep(max(0.0, look_at - now()))
        return list(moments.values())


def _counted(stats: dict[bytes, dict[bytes, bytes]]) -> tuple[int, int]:
    """How many it lists as alive, and as failed."""
    serf = {name: int(count) for name, count in stats[b"serf"].items() if count.isdigit()}
    return serf[b"members"] - serf[b"failed"] - serf[b"left"], serf[b"failed"]
