"""Watches for secrets where other users of a machine could see them."""

from __future__ import annotations

import contextlib
import json
import os
import stat
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from docker.errors import APIError

from ccdr.host.state import State
from tests.support.harness import Site
from tests.support.inside import daemon

PAUSE = 0.002  # seconds: hardly a program is done sooner


class Watch:
    """Every command line and every container of this host while something runs, looked at again and again."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.containers: dict[str, str] = {}
        self.modes: dict[str, int] = {}

    def read(self, processes: Iterable[str]) -> None:
        for pid in processes:
            with contextlib.suppress(OSError):
                self.lines.add(Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace"))


def _processes() -> set[str]:
    return set(filter(str.isdigit, os.listdir("/proc")))


@contextmanager
def watching(site: Site) -> Iterator[Watch]:
    """What was there before is read at the beginning and at the end; what is new, every few milliseconds. A loop
    without a pause would take a processor from those that are watched, and from all other tests."""
    seen, stop, before = Watch(), threading.Event(), _processes()
    labelled = {"label": f"ccdr.state={State(site.state.absolute()).id}"}
    seen.read(before)

    def processes() -> None:
        pause = 0.0
        while not stop.wait(pause):
            begun = time.monotonic()
            seen.read(_processes() - before)
            with contextlib.suppress(OSError):
                for path in (site.state / "scratch").rglob("*"):
                    if "fetched" not in path.parts and "out" not in path.parts:
                        seen.modes[str(path)] = stat.S_IMODE(path.lstat().st_mode)
            pause = max(PAUSE, 3 * (time.monotonic() - begun))

    def inspect(container: str) -> None:
        with contextlib.suppress(APIError):  # it has gone
            seen.containers[container] = json.dumps(daemon().inspect_container(container), ensure_ascii=False)

    def containers() -> None:
        for event in told:
            inspect(event["id"])

    told = daemon().events(
        since=int(time.time()), filters={"type": "container", "event": ["create", "start"], **labelled}, decode=True
    )
    for one in daemon().containers(all=True, filters=labelled):
        inspect(one["Id"])
    threads = [threading.Thread(target=t, daemon=True) for t in (processes, containers)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        told.close()
        seen.read(before)
        for thread in threads:
            thread.join(20)
