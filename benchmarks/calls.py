"""Calls between two processes, encrypted, beside a plain asyncio TCP echo of the same run.

    python -m benchmarks.calls [--rounds 5] [--seconds 1.0] [--json]

Each round measures every row once, so that a machine that slows down slows all rows.
Figures are medians over the rounds; "x" is the median of the ratios to the echo of the
same round: its round trip for p50 and p99, its rate for calls/s.
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import statistics
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, Final

import attrs
import trio

from meshp2p import Node, capability

PAYLOAD: Final = b"x" * 128
MANY: Final = 64
MODES: Final = ("inline", "async", "thread")
_LENGTH: Final = struct.Struct(">I")
_WARM_UP: Final = 100


@attrs.frozen
class Figure:
    """One row of one round: microseconds, and calls a second."""

    p50: float
    p99: float
    rate: float


@capability("echo.inline", inline=True)
def echo_inline(data: bytes) -> bytes:
    """Answer on the node's own loop."""
    return data


@capability("echo.thread")
def echo_thread(data: bytes) -> bytes:
    """Answer in a worker thread."""
    return data


@capability("echo.async")
async def echo_async(data: bytes) -> bytes:
    """Answer in a trio task."""
    return data


# --- the other process ---------------------------------------------------------


def serve_mesh() -> None:
    """Run the callee until standard input closes."""

    async def serve() -> None:
        async with Node("callee", capabilities=[echo_inline, echo_thread, echo_async]):
            print("ready", flush=True)
            await trio.to_thread.run_sync(sys.stdin.read)

    trio.run(serve)


def serve_plain() -> None:
    """Run the plain echo until standard input closes: length-prefixed frames over TCP."""

    class Echo(asyncio.Protocol):
        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport
            self.buffer = bytearray()

        def data_received(self, data: bytes) -> None:
            for frame in take_frames(self.buffer, data):
                self.transport.write(_LENGTH.pack(len(frame)) + frame)

    async def serve() -> None:
        loop = asyncio.get_running_loop()
        server = await loop.create_server(Echo, "127.0.0.1", 0)
        print(server.sockets[0].getsockname()[1], flush=True)
        await loop.run_in_executor(None, sys.stdin.read)

    asyncio.run(serve())


def take_frames(buffer: bytearray, data: bytes) -> list[bytes]:
    """Whole frames of a length-prefixed stream."""
    buffer += data
    frames = []
    while len(buffer) >= _LENGTH.size:
        (length,) = _LENGTH.unpack_from(buffer)
        end = _LENGTH.size + length
        if len(buffer) < end:
            break
        frames.append(bytes(buffer[_LENGTH.size : end]))
        del buffer[:end]
    return frames


# --- measuring -------------------------------------------------------------------


def figure(times: list[float], rate: float) -> Figure:
    """From single round trips in seconds, and calls a second with many outstanding."""
    times.sort()
    return Figure(statistics.median(times) * 1e6, times[int(len(times) * 0.99)] * 1e6, rate)


async def measure_plain(port: int, seconds: float) -> Figure:
    """The baseline."""

    class Client(asyncio.Protocol):
        def __init__(self) -> None:
            self.waiting: list[asyncio.Future[bytes]] = []
            self.buffer = bytearray()

        def connection_made(self, transport: asyncio.BaseTransport) -> None:
            assert isinstance(transport, asyncio.Transport)
            self.transport = transport

        def data_received(self, data: bytes) -> None:
            for frame in take_frames(self.buffer, data):
                self.waiting.pop(0).set_result(frame)

        async def call(self) -> bytes:
            future: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
            self.waiting.append(future)
            self.transport.write(_LENGTH.pack(len(PAYLOAD)) + PAYLOAD)
            return await future

    loop = asyncio.get_running_loop()
    transport, client = await loop.create_connection(Client, "127.0.0.1", port)
    try:
        return await _measure_asyncio(client.call, seconds)
    finally:
        transport.close()


async def _measure_asyncio(call: Callable[[], Awaitable[Any]], seconds: float) -> Figure:
    times = await _one_by_one(call, seconds)
    done = 0
    end = time.perf_counter() + seconds

    async def worker() -> None:
        nonlocal done
        while time.perf_counter() < end:
            await call()
            done += 1

    began = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(MANY)))
    return figure(times, done / (time.perf_counter() - began))


async def _one_by_one(call: Callable[[], Awaitable[Any]], seconds: float) -> list[float]:
    for _ in range(_WARM_UP):
        await call()
    times: list[float] = []
    end = time.perf_counter() + seconds
    while (began := time.perf_counter()) < end:
        await call()
        times.append(time.perf_counter() - began)
    return times


async def measure_trio(mode: str, seconds: float) -> Figure:
    """The trio front."""
    async with Node("caller") as node:

        async def call() -> None:
            assert await node.call(f"echo.{mode}", PAYLOAD) == PAYLOAD

        times = await _one_by_one(call, seconds)
        done = 0
        end = time.perf_counter() + seconds

        async def worker() -> None:
            nonlocal done
            while time.perf_counter() < end:
                await call()
                done += 1

        began = time.perf_counter()
        async with trio.open_nursery() as nursery:
            for _ in range(MANY):
                nursery.start_soon(worker)
        return figure(times, done / (time.perf_counter() - began))


async def measure_asyncio(mode: str, seconds: float) -> Figure:
    """The asyncio front."""
    async with Node("caller") as node:
        return await _measure_asyncio(lambda: node.call(f"echo.{mode}", PAYLOAD), seconds)


def measure_blocking(mode: str, seconds: float) -> Figure:
    """The blocking front: 64 outstanding are 64 threads."""
    with Node("caller") as node:
        for _ in range(_WARM_UP):
            node.call(f"echo.{mode}", PAYLOAD)
        times: list[float] = []
        end = time.perf_counter() + seconds
        while (began := time.perf_counter()) < end:
            node.call(f"echo.{mode}", PAYLOAD)
            times.append(time.perf_counter() - began)
        counts: list[int] = []
        end = time.perf_counter() + seconds

        def worker() -> None:
            done = 0
            while time.perf_counter() < end:
                node.call(f"echo.{mode}", PAYLOAD)
                done += 1
            counts.append(done)

        began = time.perf_counter()
        threads = [threading.Thread(target=worker) for _ in range(MANY)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return figure(times, sum(counts) / (time.perf_counter() - began))


def _trio_row(mode: str, seconds: float) -> Figure:
    return trio.run(measure_trio, mode, seconds)


def _asyncio_row(mode: str, seconds: float) -> Figure:
    return asyncio.run(measure_asyncio(mode, seconds))


ROWS: Final[dict[str, Callable[[float], Figure]]] = {
    **{f"trio, {mode}": functools.partial(_trio_row, mode) for mode in MODES},
    "asyncio, inline": functools.partial(_asyncio_row, "inline"),
    "blocking, inline": functools.partial(measure_blocking, "inline"),
}


def run(rounds: int, seconds: float) -> dict[str, list[Figure]]:
    """All rows, `rounds` times."""
    figures: dict[str, list[Figure]] = {}
    command = [sys.executable, "-m", "benchmarks.calls", "--serve"]
    for number in range(rounds):
        with _process([*command, "plain"]) as plain:
            assert plain.stdout is not None
            port = int(plain.stdout.readline())
            baseline = asyncio.run(measure_plain(port, seconds))
        figures.setdefault("plain asyncio TCP echo", []).append(baseline)
        for row, measure in ROWS.items():
            with _process([*command, "mesh"]) as callee:
                assert callee.stdout is not None
                assert callee.stdout.readline().strip() == "ready"
                figures.setdefault(row, []).append(measure(seconds))
        print(f"round {number + 1} of {rounds}", file=sys.stderr)
    return figures


class _process:  # noqa: N801  # used as a function
    def __init__(self, command: list[str]) -> None:
        self._process = subprocess.Popen(  # noqa: S603  # our own module
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def __enter__(self) -> subprocess.Popen[str]:
        return self._process

    def __exit__(self, *_: object) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(20)


def table(figures: dict[str, list[Figure]]) -> list[dict[str, Any]]:
    """Medians, and medians of the ratios to the same round's echo."""
    base = figures["plain asyncio TCP echo"]
    rows = []
    for name, row in figures.items():
        pairs = list(zip(row, base, strict=True))
        rows.append(
            {
                "row": name,
                "p50_us": round(statistics.median(f.p50 for f in row), 1),
                "p99_us": round(statistics.median(f.p99 for f in row), 1),
                "calls_per_s": round(statistics.median(f.rate for f in row)),
                "p50_x": round(statistics.median(f.p50 / b.p50 for f, b in pairs), 2),
                "p99_x": round(statistics.median(f.p99 / b.p99 for f, b in pairs), 2),
                "rate_x": round(statistics.median(f.rate / b.rate for f, b in pairs), 3),
            }
        )
    return rows


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=1.0, help="for each of two parts of a row")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--serve", choices=["mesh", "plain"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve:
        serve_mesh() if arguments.serve == "mesh" else serve_plain()
        return
    with tempfile.TemporaryDirectory() as state:
        os.environ["MESHP2P_STATE"] = state
        os.environ["XDG_RUNTIME_DIR"] = str(Path(state))
        rows = table(run(arguments.rounds, arguments.seconds))
    if arguments.json:
        print(json.dumps(rows))
        return
    print(f"{'128 B, two processes':<24}{'p50 us':>9}{'p99 us':>9}{'calls/s':>10}", end="")
    print(f"{'p50':>8}{'p99':>8}{'calls/s':>9}")
    for row in rows:
        print(
            f"{row['row']:<24}{row['p50_us']:>9}{row['p99_us']:>9}{row['calls_per_s']:>10}", end=""
        )
        print(f"{row['p50_x']:>7}x{row['p99_x']:>7}x{row['rate_x']:>8}x")


if __name__ == "__main__":
    main()
