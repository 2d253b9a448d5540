"""Headless Chromium on a pair of pipes: opens a page, asks it, points and presses keys in it.

It speaks the DevTools protocol as JSON with a NUL after each message, so tests need no package
for it: only the browser, and they are skipped where there is none.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import selectors
import shutil
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_FOR_ANSWERS = 30.0
"""Seconds; a browser that needs longer hangs."""
_ABOVE_STANDARD = 10
"""Of the pipes' own file numbers: 3 and 4 are where Chromium looks."""
_FLAGS = (
    "--headless",
    "--no-sandbox",  # tests may run as root, where Chromium's sandbox refuses to start
    "--disable-gpu",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--remote-debugging-pipe",
    "--hide-scrollbars",
    "--window-size=1440,1000",
)


def chromium() -> str | None:
    """The browser's path, or None."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((found for name in names if (found := shutil.which(name))), None)


class Page:
    """One open page, without a network, and everything that it said and asked for."""

    def __init__(self, commands: int, answers: int) -> None:
        """A blank page of the browser behind two pipes."""
        self.said: list[str] = []
        """Console messages, errors and dialogues."""
        self.requested: list[str] = []
        """Addresses, the page's own among them."""
        self.blocked: list[str] = []
        """Why a request was not even sent, for each such one."""
        self._commands, self._answers = commands, answers
        self._rest, self._number, self._session = b"", 0, ""
        self._loaded = False
        target = self.do("Target.createTarget", url="about:blank")["targetId"]
        attached = self.do("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            self.do(f"{domain}.enable")
        offline = {"latency": 0, "downloadThroughput": 0, "uploadThroughput": 0}
        self.do("Network.emulateNetworkConditions", offline=True, **offline)

    def open(self, path: Path, fragment: str = "") -> None:
        """Load a file and wait until its program has drawn."""
        self._loaded = False
        self.do("Page.navigate", url=path.as_uri() + fragment)
        while not self._loaded:
            self._hear(self._next())
        self.drawn()

    def drawn(self) -> None:
        """Wait for two frames: in the first one the page draws what has changed."""
        self.ask("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")

    def ask(self, expression: str) -> Any:  # noqa: ANN401  # whatever JSON can say
        """The value of a JavaScript expression in the page."""
        answer = self.do(
            "Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True
        )
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def mouse(self, kind: str, x: float, y: float, **more: object) -> None:
        """Let the mouse do something: mouseMoved, mousePressed, mouseReleased, mouseWheel."""
        self.do("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def click(self, x: float, y: float) -> None:
        """Press and release at one point."""
        for kind in ("mousePressed", "mouseReleased"):
            self.mouse(kind, x, y, button="left", clickCount=1)
        self.drawn()

    def key(self, key: str) -> None:
        """Press and release a key."""
        for kind in ("keyDown", "keyUp"):
            self.do("Input.dispatchKeyEvent", type=kind, key=key)
        self.drawn()

    def picture(self, path: Path) -> None:
        """Save what the window shows as PNG."""
        path.write_bytes(base64.b64decode(self.do("Page.captureScreenshot")["data"]))

    def do(self, method: str, **params: object) -> Mapping[str, Any]:
        """One command of the DevTools protocol; what happens meanwhile is heard."""
        self._number += 1
        whole: dict[str, object] = {"id": self._number, "method": method, "params": params}
        if self._session:
            whole["sessionId"] = self._session
        os.write(self._commands, json.dumps(whole).encode() + b"\0")
        while True:
            answer = self._next()
            if answer.get("id") == self._number:
                assert "error" not in answer, (method, answer["error"])
                return dict(answer["result"])
            self._hear(answer)

    def _next(self) -> dict[str, Any]:
        deadline = time.monotonic() + _FOR_ANSWERS
        with selectors.DefaultSelector() as selector:
            selector.register(self._answers, selectors.EVENT_READ)
            while b"\0" not in self._rest:
                assert selector.select(deadline - time.monotonic()), "the browser hangs"
                data = os.read(self._answers, 1 << 20)
                assert data, "the browser has ended"
                self._rest += data
        first, self._rest = self._rest.split(b"\0", 1)
        return dict(json.loads(first))

    def _hear(self, message: Mapping[str, Any]) -> None:
        match message:
            case {"method": "Page.loadEventFired"}:
                self._loaded = True
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": str(url)}}}:
                self.requested.append(url)
            case {"method": "Network.loadingFailed", "params": {"blockedReason": str(reason)}}:
                self.blocked.append(reason)
            case {
                "method": "Runtime.consoleAPICalled"
                | "Runtime.exceptionThrown"
                | "Log.entryAdded"
                | "Page.javascriptDialogOpening",
                "params": params,
            }:
                self.said.append(json.dumps(params))


@contextmanager
def browser(home: Path) -> Iterator[Page]:
    """A page of a browser of its own, which ends with the block.

    Args:
        home: An empty directory for its profile.
    """
    path = chromium()
    assert path is not None
    (theirs_in, ours_out), (ours_in, theirs_out) = _pipe(), _pipe()
    process = os.posix_spawn(
        path,
        [path, *_FLAGS, f"--user-data-dir={home}"],
        {**os.environ, "HOME": str(home)},
        file_actions=[
            (os.POSIX_SPAWN_DUP2, theirs_in, 3),
            (os.POSIX_SPAWN_DUP2, theirs_out, 4),
            (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
            (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        ],
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        yield Page(ours_out, ours_in)
    finally:
        os.close(ours_out)
        os.close(ours_in)
        os.kill(process, signal.SIGTERM)
        os.waitpid(process, 0)


def _pipe() -> tuple[int, int]:
    """A pipe whose numbers are not those that the browser wants to have."""
    ends = os.pipe()
    above = [fcntl.fcntl(end, fcntl.F_DUPFD_CLOEXEC, _ABOVE_STANDARD) for end in ends]
    for end in ends:
        os.close(end)
    return above[0], above[1]
