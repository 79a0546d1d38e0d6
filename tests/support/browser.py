"""A page in headless Chromium under a person's keyboard: real keys, and what a screen reader is told. By the DevTools
protocol over a pair of pipes, so that no port is open and no library is needed."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import pytest

FLAGS = ("--headless", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run")
KEYS = {"Tab": ("", 9), "Enter": ("\r", 13), " ": (" ", 32), "ArrowRight": ("", 39), "End": ("", 35)}
SHIFT = 8


def chromium() -> str:
    """The program; a test without it has seen nothing, and fails."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.fail("no Chromium to look at the report with: `apt-get install chromium`")
    return found


@dataclass
class Browser:
    """One tab that shows one page."""

    to: IO[bytes]
    back: IO[bytes]
    session: str | None = None
    number: int = 0
    rest: bytes = b""

    def call(self, method: str, **params: Any) -> dict[str, Any]:
        self.number += 1
        message = {"id": self.number, "method": method, "params": params}
        if self.session is not None:
            message["sessionId"] = self.session
        self.to.write(json.dumps(message).encode() + b"\0")
        self.to.flush()
        while True:
            said = self._next()
            if said.get("id") == self.number:
                assert "error" not in said, (method, said["error"])
                return dict(said["result"])

    def _next(self) -> dict[str, Any]:
        while b"\0" not in self.rest:
            got = os.read(self.back.fileno(), 1 << 20)
            assert got, "the browser has ended"
            self.rest += got
        one, _, self.rest = self.rest.partition(b"\0")
        return dict(json.loads(one))

    def show(self, page: Path, width: int = 1280, height: int = 900) -> None:
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.call("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=False)
        self.call("Page.enable")
        self.call("Page.navigate", url=page.as_uri())
        while self._next().get("method") != "Page.loadEventFired":
            pass
        self.call("Page.bringToFront")

    def ask(self, script: str) -> Any:
        """The value of an expression in the page."""
        said = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in said, said["exceptionDetails"]
        return said["result"].get("value")

    def press(self, key: str, *, shift: bool = False) -> None:
        text, code = KEYS[key]
        held: dict[str, Any] = {
            "key": key,
            "code": "Space" if key == " " else key,
            "windowsVirtualKeyCode": code,
            "modifiers": SHIFT if shift else 0,
        }
        typed = {"text": text} if text else {}
        self.call("Input.dispatchKeyEvent", type="keyDown" if text else "rawKeyDown", **held, **typed)
        self.call("Input.dispatchKeyEvent", type="keyUp", **held)

    def spoken(self) -> list[dict[str, Any]]:
        """What a screen reader is told: role, name and properties of each node that it hears of."""
        self.call("Accessibility.enable")
        found = []
        for node in self.call("Accessibility.getFullAXTree")["nodes"]:
            if not node.get("ignored"):
                properties = {p["name"]: p["value"].get("value") for p in node.get("properties", ())}
                name = str((node.get("name") or {}).get("value") or "").strip()
                found.append({"role": (node.get("role") or {}).get("value"), "name": name, **properties})
        return found


@contextmanager
def browsing(page: Path, profile: Path, width: int = 1280) -> Iterator[Browser]:
    """The page, loaded and in front."""
    theirs_in, to = os.pipe()
    back, theirs_out = os.pipe()
    flags = [
        *FLAGS,
        f"--user-data-dir={profile}",
        "--remote-debugging-pipe",
        *(["--no-sandbox"] if not os.geteuid() else []),
    ]
    # The browser wants them as its descriptors 3 and 4.
    script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
    running = subprocess.Popen(
        ["bash", "-c", script, "bash", chromium(), *flags, "about:blank"],
        pass_fds=(theirs_in, theirs_out),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs_in)
    os.close(theirs_out)
    try:
        with os.fdopen(to, "wb") as writing, os.fdopen(back, "rb", buffering=0) as reading:
            browser = Browser(writing, reading)
            browser.show(page, width)
            yield browser
    finally:
        running.terminate()  # it has no work of anybody's
        try:
            running.wait(10)
        except subprocess.TimeoutExpired:
            running.kill()
            running.wait()
