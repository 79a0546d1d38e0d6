"""One module's mutants against its tests. Nothing is written to `src/`: a mutant exists in a forked process only.

A process collects the tests once and forks for each mutant: the child puts the changed code into the functions that
are imported already, and runs the tests that reach the changed line, the quickest first, until one fails. What stands
outside of functions is imported anew, changed, in a process that has not imported ccdr yet.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import gc
import importlib.abc
import importlib.machinery
import importlib.util
import inspect
import os
import pickle
import resource
import select
import shutil
import signal
import sys
import tempfile
import threading
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol
from hypothesis import Phase, settings

from tests.mutants.mutations import Mutant, changed

ROOT = Path(__file__).parents[2]
KILLED, SURVIVED = "killed", "survived"
_OPTIONS = [
    "-qq", "--no-header", "--no-summary", "-p", "no:cacheprovider", "-p", "no:xdist",
    "-o", "addopts=--import-mode=importlib", "-o", "timeout=0",
]  # fmt: skip
_MEMORY = 8 << 30
QUICK = 2.0  # seconds that a test may take to be asked
_PATIENCE = 10.0  # seconds, and ten times what the tests took


def try_all(path: Path, mutants: Sequence[Mutant], tests: Sequence[str], told: Callable[[Mutant, str], None]) -> None:
    """Tells of each mutant of the module at `path` whether one of the test files noticed it."""
    for name in ("boto3", "docker", "jinja2", "orjson", "rich", "pydantic", "apprise", "prometheus_client", "tenacity"):
        with contextlib.suppress(ImportError):
            __import__(name)
    inner, outer = [m for m in mutants if m.inner], [m for m in mutants if not m.inner]
    if inner:
        left = set(range(len(inner)))
        for number, verdict in _forked(lambda tell: _session(tests, _InPlace(path, inner, tell))):
            if verdict == "anew":
                outer.append(inner[number])
            else:
                told(inner[number], verdict)
            left.discard(number)
        if left:
            raise SystemExit(f"{path}: the tests could not be tried: do they pass without a mutant?")
    for mutant in outer:
        told(mutant, _anew(path, mutant, tests))


def _session(tests: Sequence[str], plugin: object) -> int:
    return int(pytest.main([*_OPTIONS, *tests], plugins=[plugin, _Settled()]))


class _Settled:
    """The same examples each time, and none made smaller: that it fails is enough."""

    @pytest.hookimpl(tryfirst=True)
    def pytest_collection(self) -> None:
        settings.register_profile(
            "mutants", settings.get_profile("ccdr"), max_examples=50, derandomize=True, database=None, print_blob=False,
            phases=[Phase.explicit, Phase.generate],
        )  # fmt: skip
        settings.load_profile("mutants")


class _InPlace:
    def __init__(self, path: Path, mutants: Sequence[Mutant], tell: Callable[[object], None]) -> None:
        self.path, self.mutants, self.tell = path, mutants, tell
        self.reached = _Reached(path)

    @pytest.hookimpl(wrapper=True)
    def pytest_collection(self) -> Iterator[None]:
        with self.reached.watched():
            return (yield)

    def pytest_runtestloop(self, session: pytest.Session) -> bool:
        if session.testsfailed or not session.items:
            return True
        imported = frozenset(self.reached.now)
        ((lines, took, failed),) = _forked(lambda tell: tell(self.reached.by(session)))
        if failed:
            print(f"left out, for these fail without a mutant: {', '.join(failed)}", file=sys.stderr)
        asked = [i for i in session.items if took[i.nodeid] < QUICK and i.nodeid not in failed]
        by_quickness = sorted(asked, key=lambda i: took[i.nodeid])
        text = self.path.read_text()
        originals = _functions(compile(ast.parse(text), str(self.path), "exec"))
        # Collected objects are never looked at again: a child that touched all of them would copy all of the memory.
        functions = (f for f in gc.get_objects() if isinstance(f, types.FunctionType))
        alive = [f for f in functions if f.__code__.co_filename == str(self.path)]
        gc.freeze()
        for number, mutant in enumerate(self.mutants):
            items = [i for i in by_quickness if lines[i.nodeid].intersection(mutant.lines)]
            if not items:
                self.tell((number, "anew" if imported.intersection(mutant.lines) else SURVIVED))
                continue
            code = compile(changed(text, mutant), str(self.path), "exec")
            new = [(f, c) for f in alive if (c := _counterpart(f, originals, code)) is not None]
            if not new:
                self.tell((number, "anew"))
                continue
            limit = _PATIENCE + 10 * sum(took[i.nodeid] for i in items)
            self.tell((number, _noticed(functools.partial(_run_changed, session, items, new), limit)))
        return True


def _run_changed(
    session: pytest.Session, items: Sequence[pytest.Item], new: Iterable[tuple[types.FunctionType, types.CodeType]]
) -> bool:
    for function, code in new:
        function.__code__ = code
    return any(not passed for _, passed, _ in _run(session, items))


def _run(session: pytest.Session, items: Sequence[pytest.Item]) -> Iterator[tuple[pytest.Item, bool, float]]:
    for n, item in enumerate(items):
        began = time.monotonic()
        reports = runtestprotocol(item, log=False, nextitem=items[n + 1] if n + 1 < len(items) else None)
        yield item, not any(r.failed for r in reports), time.monotonic() - began


class _Reached:
    """Which lines inside of a file's functions each test reaches."""

    def __init__(self, path: Path) -> None:
        self.file, self.now = str(path), set[int]()

    def by(self, session: pytest.Session) -> tuple[dict[str, set[int]], dict[str, float], list[str]]:
        lines, took, failed = {}, {}, []
        self.now.clear()
        with self.watched():
            for item, passed, seconds in _run(session, session.items):
                lines[item.nodeid], took[item.nodeid] = set(self.now), seconds
                self.now.clear()
                if not passed:
                    failed.append(item.nodeid)
        return lines, took, failed

    @contextlib.contextmanager
    def watched(self) -> Iterator[None]:
        sys.settrace(self._call)
        threading.settrace(self._call)
        try:
            yield
        finally:
            sys.settrace(None)
            threading.settrace(None)  # type: ignore[arg-type]

    def _call(self, frame: types.FrameType, event: str, arg: object) -> Callable[..., object] | None:
        if frame.f_code.co_filename != self.file or not frame.f_code.co_flags & inspect.CO_NEWLOCALS:
            return None
        return self._line(frame, event, arg)

    def _line(self, frame: types.FrameType, event: str, arg: object) -> Callable[..., object]:
        self.now.add(frame.f_lineno)
        return self._line


def _functions(code: types.CodeType) -> dict[tuple[str, int], types.CodeType]:
    """The functions of a module and of its classes; not what stands inside of them."""
    found: dict[tuple[str, int], types.CodeType] = {}
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            if const.co_flags & inspect.CO_NEWLOCALS:  # which a class body has not
                found[const.co_qualname, const.co_firstlineno] = const
            else:
                found |= _functions(const)
    return found


def _counterpart(
    function: types.FunctionType, originals: dict[tuple[str, int], types.CodeType], code: types.CodeType
) -> types.CodeType | None:
    """The changed code of a function, where it is this one that has changed."""
    key = function.__code__.co_qualname, function.__code__.co_firstlineno
    new = _cached_functions(code).get(key)
    if new is None or key not in originals or new == originals[key] or "<" in key[0]:
        return None
    return new if new.co_freevars == function.__code__.co_freevars else None


@functools.lru_cache(maxsize=2)
def _cached_functions(code: types.CodeType) -> dict[tuple[str, int], types.CodeType]:
    return _functions(code)


def _anew(path: Path, mutant: Mutant, tests: Sequence[str]) -> str:
    """The verdict on a mutant that only a fresh import can hold."""
    name = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
    code = compile(changed(path.read_text(), mutant), str(path), "exec")

    def noticed() -> bool:
        sys.meta_path.insert(0, _Changed(name, path, code))
        return _session(["-x", *tests], types.SimpleNamespace()) != 0

    return _noticed(noticed, 120)


class _Changed(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def __init__(self, name: str, path: Path, code: types.CodeType) -> None:
        self.name, self.path, self.code = name, path, code

    def find_spec(self, fullname: str, path: object, target: object = None) -> importlib.machinery.ModuleSpec | None:
        if fullname != self.name:
            return None
        return importlib.util.spec_from_file_location(fullname, self.path, loader=self)  # type: ignore[arg-type]

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> None:
        return None

    def exec_module(self, module: types.ModuleType) -> None:
        exec(self.code, module.__dict__)


def _noticed(work: Callable[[], bool], limit: float) -> str:
    """`work` in a process of its own; one that dies, hangs or stops is noticed too."""
    room = tempfile.mkdtemp(prefix="ccdr-mutant-")
    child = os.fork()
    if not child:
        _become_quiet(room)
        resource.setrlimit(resource.RLIMIT_AS, (_MEMORY, _MEMORY))
        try:
            os._exit(1 if work() else 0)
        except BaseException:
            os._exit(1)
    ended = os.pidfd_open(child)
    try:
        if not select.select([ended], [], [], limit)[0]:
            os.killpg(child, signal.SIGKILL)
    finally:
        os.close(ended)
    _, status = os.waitpid(child, 0)
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child, signal.SIGKILL)  # what its tests left
    shutil.rmtree(room, ignore_errors=True)
    return SURVIVED if status == 0 else KILLED


def _become_quiet(room: str) -> None:
    os.setsid()
    nowhere = os.open(os.devnull, os.O_RDWR)
    for stream in (0, 1, 2):
        os.dup2(nowhere, stream)
    os.environ["TMPDIR"] = os.environ["PYTEST_DEBUG_TEMPROOT"] = tempfile.tempdir = room


def _forked(work: Callable[[Callable[[object], None]], object]) -> Iterator[object]:
    """What `work` tells, from a process of its own."""
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(read)
        with open(write, "wb") as out:

            def tell(what: object) -> None:
                pickle.dump(what, out)
                out.flush()

            try:
                work(tell)
            except BaseException as error:
                print(f"{type(error).__name__}: {error}", file=sys.stderr)
            finally:
                out.flush()
                os._exit(0)
    os.close(write)
    with open(read, "rb") as told:
        with contextlib.suppress(EOFError):
            while True:
                yield pickle.load(told)
    os.waitpid(child, 0)
