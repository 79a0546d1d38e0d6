"""The machine, and how a command is timed on it."""

from __future__ import annotations

import os
import platform
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

# As installed: where Python is told to keep no bytecode, each call of ccdr would compile all of it anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


@dataclass(frozen=True)
class Timed:
    """One command: wall seconds, its own peak memory (not its children's), what it said; `lines` are those of its
    standard error, each with the seconds after which it came."""

    seconds: float
    peak_bytes: int
    code: int
    stdout: str
    lines: Sequence[tuple[float, str]]

    @property
    def stderr(self) -> str:
        return "".join(line for _, line in self.lines)

    def after(self, text: str) -> float:
        """Seconds until it first said so on standard error."""
        for seconds, line in self.lines:
            if text in line:
                return seconds
        raise SystemExit(f"it never said {text!r}:\n{self.stderr}")


def start() -> float:
    """Now, by the monotonic clock, in seconds. What earlier commands left to be written is written first, so that it
    is not paid for by what comes; page caches stay warm for all alike."""
    os.sync()
    return time.monotonic()


def timed(argv: Sequence[str], *, env: Mapping[str, str] | None = None, ok: Sequence[int] = (0,)) -> Timed:
    """Run a command to its end, from `start` on."""
    start()
    return run(argv, env=env, ok=ok)


def run(argv: Sequence[str], *, env: Mapping[str, str] | None = None, ok: Sequence[int] = (0,)) -> Timed:
    """The same for a part of what is timed as a whole."""
    began = time.monotonic()
    process = subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, **(env or {})},
        start_new_session=True,  # the keyboard's interrupt is ours to pass on, once
    )
    peak = [0]
    watcher = threading.Thread(target=_watch, args=(process, peak), daemon=True)
    watcher.start()
    lines: list[tuple[float, str]] = []
    listener = threading.Thread(target=_listen, args=(process.stderr, began, lines), daemon=True)
    listener.start()
    process.stderr = None  # it has its reader
    try:
        out, _ = process.communicate()
    except BaseException:
        _end(process)
        raise
    seconds = time.monotonic() - began
    watcher.join()
    listener.join()
    done = Timed(seconds, peak[0], process.returncode, out.decode("utf-8", "replace"), lines)
    if done.code not in ok:
        raise SystemExit(f"{' '.join(argv)} ended with {done.code}\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}")
    return done


def script(*commands: Sequence[str]) -> list[str]:
    """The command that runs these one after the other, as a person's script does."""
    return ["bash", "-euc", "\n".join(map(shlex.join, commands))]


def _end(process: subprocess.Popen[bytes]) -> None:
    """Let it tidy up after itself: ccdr removes its sandbox, restic its lock."""
    for sign, patience in ((signal.SIGTERM, 60), (signal.SIGKILL, None)):
        try:
            os.killpg(process.pid, sign)
            process.communicate(timeout=patience)
        except ProcessLookupError:
            return
        except subprocess.TimeoutExpired:
            continue
        return


def _watch(process: subprocess.Popen[bytes], peak: list[int]) -> None:
    """The kernel keeps the high-water mark of resident memory; the last look before the end counts."""
    status = Path(f"/proc/{process.pid}/status")
    while process.poll() is None:
        try:
            found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text("ascii"))
        except OSError:
            return
        if found:
            peak[0] = max(peak[0], int(found[1]) * 1024)
        time.sleep(0.05)


def _listen(stream: IO[bytes], began: float, lines: list[tuple[float, str]]) -> None:
    with stream:
        for line in stream:
            lines.append((time.monotonic() - began, line.decode("utf-8", "replace")))


def said(*argv: str) -> str:
    """What a short command answers, or an empty string."""
    try:
        return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""


def version(image: str, program: str) -> str:
    """What a program of an image says of itself; a shell's command."""
    return said("docker", "run", "--rm", "--network", "none", image, "sh", "-c", program)


def facts(image: str, **programs: str) -> dict[str, object]:
    """What a number means nothing without. `programs` tell the versions of what is in the image."""
    cpu = re.search(r"model name\s*: (.+)", Path("/proc/cpuinfo").read_text("ascii", "replace"))
    memory = re.search(r"MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text("ascii"))
    return {
        "processor": cpu[1] if cpu else platform.machine(),
        "processors": os.cpu_count(),
        "memory_bytes": int(memory[1]) * 1024 if memory else None,
        "load_before": [round(n, 2) for n in os.getloadavg()],
        "kernel": platform.release(),
        "python": platform.python_version(),
        "restic": said("restic", "version"),
        "docker": said("docker", "version", "--format", "{{.Server.Version}}"),
        "image": image,
        "image_id": said("docker", "image", "inspect", "--format", "{{.Id}}", image),
        **{name: version(image, program) for name, program in programs.items()},
        "ccdr": said(str(Path(sys.executable).with_name("ccdr")), "--version"),
        "commit": said("git", "rev-parse", "--short", "HEAD")
        + ("+" if said("git", "status", "--porcelain", "src") else ""),
    }
