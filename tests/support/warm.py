"""`ccdr`, and neither its start nor its end: of what a short command costs, most is Python's reading of modules, and
Python's taking apart of them.

A process that has read them is forked for each command: that is a process of its own as ever, with its own environment,
directory, files and exit status. What is about start and end starts `ccdr` as a person does: see tests/e2e/conftest.py.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn

import ccdr
from ccdr.evidence.records.reading import _decoder
from ccdr.evidence.records.registry import KINDS
from ccdr.model.schema import Strict


def run(args: Sequence[str], *, env: Mapping[str, str], timeout: float, umask: int) -> subprocess.CompletedProcess[str]:
    """`ccdr ARGS` to its end, with nothing on its standard input; TimeoutExpired where it takes longer (seconds)."""
    with (
        tempfile.TemporaryFile("w+") as out,
        tempfile.TemporaryFile("w+") as err,
    ):  # no pipes: what it leaves may hold them
        process = Started(args, env=env, umask=umask, out=out.fileno(), err=err.fileno())
        try:
            process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        said = [os.pread(file.fileno(), os.fstat(file.fileno()).st_size, 0) for file in (out, err)]
    return subprocess.CompletedProcess(
        ["ccdr", *args], process.returncode, *(text.decode("utf-8", "replace") for text in said)
    )


def start(args: Sequence[str], *, env: Mapping[str, str], umask: int = -1) -> Started:
    """`ccdr ARGS`, begun: what it says comes by pipes."""
    (out, to_out), (err, to_err) = os.pipe(), os.pipe()
    try:
        process = Started(args, env=env, umask=umask, out=to_out, err=to_err)
    finally:
        os.close(to_out)
        os.close(to_err)
    process.stdout, process.stderr = os.fdopen(out, encoding="utf-8"), os.fdopen(err, encoding="utf-8")
    return process


class Started(subprocess.Popen[str]):
    """A process that another one has begun, and waits for: that one tells us how it ended."""

    def __init__(self, args: Sequence[str], *, env: Mapping[str, str], umask: int, out: int, err: int) -> None:
        self.args, self.returncode, self.stdin = ["ccdr", *args], None, None
        self.encoding, self.errors, self.text_mode = "utf-8", "replace", True
        self._communication_started, self._input, self._sigint_wait_secs = False, None, 0.25
        self._child_created, self._waitpid_lock = True, threading.Lock()
        asked = {"args": list(args), "env": dict(env), "directory": str(Path.cwd()), "umask": umask}
        self._told = socket.socket(socket.AF_UNIX)
        self._told.connect(_server().address)
        socket.send_fds(self._told, [b"f"], [out, err])
        self._told.sendall(json.dumps(asked).encode() + b"\n")
        self._words = self._told.makefile("r", encoding="utf-8")
        self.pid = int(self._words.readline())

    def _internal_poll(self, _deadstate: int | None = None) -> int | None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._wait(0)
        return None

    def _wait(self, timeout: float | None) -> int:
        if self.returncode is None:
            if not select.select([self._told], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(self.args, timeout or 0)
            self.returncode = int(self._words.readline() or -signal.SIGKILL)  # nothing: who has begun it is gone, too
            self._words.close()
            self._told.close()
        return self.returncode


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


def _below(model: type[Strict]) -> Iterator[type[Strict]]:
    for one in model.__subclasses__():
        yield from (one, *_below(one))


def _serve(listening: socket.socket) -> dict[str, Any]:
    """Returns in a process of its own: with what that is to do."""
    home = Path(ccdr.__file__).parent
    for path in sorted(home.rglob("*.py")):
        if path.stem != "__main__":
            importlib.import_module(".".join(path.relative_to(home.parent).with_suffix("").parts))
    primitives = "cryptography.hazmat.primitives."
    for name in ("docker", f"{primitives}serialization", f"{primitives}ciphers", f"{primitives}poly1305"):
        importlib.import_module(name)
    for model in _below(Strict):  # as decoders and the page's template: made when they are first used
        model.model_rebuild()
    for kind in KINDS:
        _decoder(kind.encode())
    importlib.import_module("ccdr.telling.report.page").template()
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
            files = socket.recv_fds(connection, 1, 2)[1]
        asked: dict[str, Any] = json.loads(words.readline()) | {"files": files}
        if (pid := os.fork()) == 0:
            listening.close()
            return asked
        for file in files:
            os.close(file)
        words.write(f"{pid}\n")
        words.flush()
        begun[os.pidfd_open(pid)] = pid, words
    sys.exit()


def _become(args: list[str], env: dict[str, str], directory: str, umask: int, files: list[int]) -> None:
    for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), *files]):
        os.dup2(file, number)
        os.close(file)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # heard, as in a terminal, also where we are deaf to them
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    tempfile.tempdir = None
    if umask >= 0:
        os.umask(umask)
    sys.argv, sys.orig_argv = ["ccdr", *args], [sys.executable, "-m", "ccdr", *args]


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
