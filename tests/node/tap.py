"""A listener on the wire: passes datagrams and streams on, and keeps a copy of every byte."""

from __future__ import annotations

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable
from typing import TypeAlias

_READ = 65_536
_Act: TypeAlias = Callable[[socket.socket], None]


def free_port() -> int:
    """A port of 127.0.0.1 that nobody uses, for UDP and TCP."""
    while True:
        with socket.socket() as stream, socket.socket(type=socket.SOCK_DGRAM) as datagram:
            stream.bind(("127.0.0.1", 0))
            port: int = stream.getsockname()[1]
            with contextlib.suppress(OSError):
                datagram.bind(("127.0.0.1", port))
                return port


class Tap:
    """One port of UDP and TCP that leads to another port, with `heard` on the way."""

    def __init__(self, target: int) -> None:
        """Listen on a free port for what is meant for `target`."""
        self._target = ("127.0.0.1", target)
        self.port = free_port()
        self.heard = bytearray()
        self._selector = selectors.DefaultSelector()
        self._clients: dict[object, socket.socket] = {}
        self._sockets: list[socket.socket] = []
        self._over, self._wake = socket.socketpair()
        self._datagrams = self._listen(socket.SOCK_DGRAM, self._from_client)
        self._streams = self._listen(socket.SOCK_STREAM, self._accept)
        self._watch(self._over, lambda _: None)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    @property
    def address(self) -> str:
        """For `seeds=` and `advertise=`."""
        return f"127.0.0.1:{self.port}"

    def _listen(self, kind: int, act: _Act) -> socket.socket:
        sock = socket.socket(type=kind)
        sock.bind(("127.0.0.1", self.port))
        if kind == socket.SOCK_STREAM:
            sock.listen()
        self._watch(sock, act)
        return sock

    def _watch(self, sock: socket.socket, act: _Act) -> None:
        self._sockets.append(sock)
        self._selector.register(sock, selectors.EVENT_READ, act)

    def _run(self) -> None:
        while True:
            for key, _ in self._selector.select():
                if key.fileobj is self._over:
                    return
                with contextlib.suppress(OSError):
                    key.data(key.fileobj)

    def _from_client(self, sock: socket.socket) -> None:
        data, client = sock.recvfrom(_READ)
        self.heard += data
        onward = self._clients.get(client)
        if onward is None:
            onward = self._clients[client] = socket.socket(type=socket.SOCK_DGRAM)
            onward.connect(self._target)

            def back(onward: socket.socket) -> None:
                answer = onward.recv(_READ)
                self.heard += answer
                self._datagrams.sendto(answer, client)

            self._watch(onward, back)
        onward.send(data)

    def _accept(self, sock: socket.socket) -> None:
        client, _ = sock.accept()
        onward = socket.create_connection(self._target)
        self._pass_on(client, onward)
        self._pass_on(onward, client)

    def _pass_on(self, source: socket.socket, to: socket.socket) -> None:
        def move(source: socket.socket) -> None:
            data = source.recv(_READ)
            self.heard += data
            if data:
                to.sendall(data)
            else:
                self._selector.unregister(source)
                to.shutdown(socket.SHUT_WR)

        self._watch(source, move)

    def close(self) -> None:
        """Listen no more."""
        self._wake.send(b".")
        self._thread.join()
        self._selector.close()
        for sock in (*self._sockets, self._wake):
            sock.close()
