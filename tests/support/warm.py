"""`ccdr`, and neither its start nor its end: of what a short command costs, most is Python's reading of modules, and
Python's taking apart of them.

A process that has read them is forked for each command: that is a process of its own as ever, with its own environment,
directory, files and exit status. What is about start and end starts `ccdr` as a person does: `Site.start`, and tests/e2e.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import gc
import importlib
import json
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import ccdr
from ccdr.evidence.records.reading import _decoder
from ccdr.evidence.records.registry import KINDS


def run(args: Sequence[str], *, env: Mapping[str, str], timeout: float, umask: int) -> subprocess.CompletedProcess[str]:
    """`ccdr ARGS` to its end, with nothing on its standard input; TimeoutExpired where it takes longer (seconds)."""
    with tempfile.TemporaryDirectory() as made, socket.socket(socket.AF_UNIX) as connection:
        files = [os.devnull, f"{made}/stdout", f"{made}/stderr"]
        asked = {"args": args, "env": dict(env), "directory": str(Path.cwd()), "umask": umask, "files": files}
        connection.connect(_server().address)
        connection.settimeout(timeout)
        with connection.makefile("rw", encoding="utf-8") as words:
            words.write(json.dumps(asked) + "\n")
            words.flush()
            pid = int(words.readline())
            try:
                code = int(words.readline())
            except TimeoutError:
                os.kill(pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired(["ccdr", *args], timeout) from None
        out, err = (Path(path).read_text("utf-8", "replace") for path in files[1:])
    return subprocess.CompletedProcess(["ccdr", *args], code, out, err)


class _Server:
    """It ends with the process that has begun it."""

    def __init__(self) -> None:
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind("")  # an address without a file
            listening.listen(16)
            self.address: bytes = listening.getsockname()
            argv = [sys.executable, "-P", __file__, str(listening.fileno())]
            self.process = subprocess.Popen(argv, stdin=subprocess.PIPE, pass_fds=[listening.fileno()])


@functools.cache
def _server() -> _Server:
    return _Server()


def _serve(listening: socket.socket) -> dict[str, Any]:
    """Returns in a process of its own: with what that is to do."""
    home = Path(ccdr.__file__).parent
    for path in sorted(home.rglob("*.py")):
        if path.stem != "__main__":
            importlib.import_module(".".join(path.relative_to(home.parent).with_suffix("").parts))
    importlib.import_module("docker")
    for kind in KINDS:
        _decoder(kind.encode())  # what every ledger is read by, made when it is first used
    importlib.import_module("ccdr.telling.report.page").template()  # compiled when it is first used, too
    gc.freeze()  # or the collector would write to every page that is shared
    begun: dict[int, tuple[int, IO[str]]] = {}  # by what tells its end: a command's process, and who waits for it
    while sys.stdin not in (ready := select.select([listening, sys.stdin, *begun], [], [])[0]):
        for ended in begun.keys() & {one for one in ready if isinstance(one, int)}:
            pid, words = begun.pop(ended)
            os.close(ended)
            with contextlib.suppress(BrokenPipeError), words:
                words.write(f"{os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])}\n")
        if listening not in ready:
            continue
        with listening.accept()[0] as connection:
            words = connection.makefile("rw", encoding="utf-8")
        asked: dict[str, Any] = json.loads(words.readline())
        if (pid := os.fork()) == 0:
            listening.close()
            return asked
        words.write(f"{pid}\n")
        words.flush()
        begun[os.pidfd_open(pid)] = pid, words
    sys.exit()


def _become(args: list[str], env: dict[str, str], directory: str, umask: int, files: list[str]) -> None:
    for number, path in enumerate(files):
        opened = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        os.dup2(opened, number)
        os.close(opened)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None
    if umask >= 0:
        os.umask(umask)
    sys.argv = ["ccdr", *args]


def _to_its_end(main: Callable[[], None]) -> NoReturn:
    """With all that the end of a process brings but one: Python would take every module apart, and each page that the
    processes share would be copied for that, which is half of what a short command costs."""
    try:
        main()
        code = 0
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            raise
        code = end.code or 0
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _become(**_serve(socket.socket(fileno=int(sys.argv[1]))))
    from ccdr.__main__ import main

    _to_its_end(main)
