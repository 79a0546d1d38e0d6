"""Watches for secrets where other users of a machine could see them."""

from __future__ import annotations

import contextlib
import stat
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ccdr.host.state import State
from tests.support.harness import Site


class Watch:
    """Every command line and every container of this host while something runs, looked at again and again."""

    def __init__(self) -> None:
        self.lines: set[str] = set()
        self.containers: dict[str, str] = {}
        self.modes: dict[str, int] = {}


@contextmanager
def watching(site: Site) -> Iterator[Watch]:
    seen, stop = Watch(), threading.Event()
    label = f"label=ccdr.state={State(site.state.absolute()).id}"

    def processes() -> None:
        while not stop.is_set():
            for entry in Path("/proc").iterdir():
                if entry.name.isdigit():
                    with contextlib.suppress(OSError):
                        seen.lines.add((entry / "cmdline").read_bytes().decode(errors="replace"))
            scratch = site.state / "scratch"
            with contextlib.suppress(OSError):
                for path in scratch.rglob("*"):
                    if "fetched" not in path.parts and "out" not in path.parts:
                        seen.modes[str(path)] = stat.S_IMODE(path.lstat().st_mode)

    def docker() -> None:
        while not stop.wait(0.05):
            argv = ["docker", "ps", "-aq", "--filter", label]
            for one in subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split():
                said = subprocess.run(["docker", "inspect", one], capture_output=True, text=True, check=False).stdout
                if said.strip() not in ("", "[]"):
                    seen.containers[one] = said

    threads = [threading.Thread(target=t, daemon=True) for t in (processes, docker)]
    for thread in threads:
        thread.start()
    try:
        yield seen
    finally:
        stop.set()
        for thread in threads:
            thread.join(20)
