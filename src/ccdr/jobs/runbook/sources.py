"""Is it dead? By several looks from this host: its process, its port or files, and a question that it must answer."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from ccdr.host.interrupts import each_to_its_end
from ccdr.model.errors import CcdrError, CommandFailed, Exit
from ccdr.ports.engine import Engine

if TYPE_CHECKING:
    from ccdr.engines import AnyEngine
    from ccdr.jobs.runbook.work import Work

AT_ONCE = 4
KNOCK = 5.0  # seconds
# By engine, what its server's process is called.
PROCESSES = {
    "postgres": ("postgres", "postmaster"),
    "mariadb": ("mariadbd", "mysqld"),
    "redis": ("redis-server", "valkey-server"),
}


def look_at(assets: Sequence[str], work: Work) -> dict[str, str]:
    """What each look at each source has told, in words of ours."""

    def one(name: str) -> str:
        return "; ".join(_looks(name, work.loaded.plan.assets[name], work))

    looks = each_to_its_end([(lambda name=name: one(name)) for name in assets], AT_ONCE)  # type: ignore[misc]
    return dict(zip(assets, looks, strict=True))


def _looks(name: str, asset: AnyEngine, work: Work) -> Iterable[str]:
    connection = getattr(asset, "connection", None)
    if connection is None:
        there = [path.exists() for path in asset.source_paths]
        yield "its files are there" if there and all(there) else "its files are not there"
        return
    names = PROCESSES.get(asset.engine_name, ())
    if asset.on_this_host and names:
        yield _some(names[0]) if _process(names) else f"no process {names[0]} runs here"
    yield _knock(connection.host, getattr(connection, "port", None))
    yield _asked(name, cast(Engine, asset), work)


def _some(process: str) -> str:
    """It may be of a container, or of another one beside it."""
    return f"some {process} runs on this host: whether it is this one, its port or socket tells"


def _process(names: Sequence[str]) -> bool:
    for path in Path("/proc").glob("[0-9]*/comm"):
        with contextlib.suppress(OSError):
            if path.read_text("utf-8", "replace").strip() in names:
                return True
    return False


def _knock(host: str, port: int | None) -> str:
    if host.startswith("/"):
        return "its socket is there" if Path(host).exists() else "its socket is not there"
    if port is None:
        return "its port is not known"
    try:
        with socket.create_connection((host, port), KNOCK):
            return f"port {port} is open"
    except socket.gaierror:
        return "its name is not known here"
    except ConnectionRefusedError:
        return f"port {port} refuses"
    except OSError:
        return f"port {port} does not answer"


def _asked(name: str, engine: Engine, work: Work) -> str:
    from ccdr.jobs.runbook.questions import client_of

    try:
        with client_of(engine, f"{name}: connection", f"look-{name}", work):
            return "it ANSWERS a question"
    except CommandFailed as error:
        refused = engine.refused(error.stderr)
        return "it ANSWERS, and says no" if refused else "it answers no question"
    except CcdrError as error:
        if error.exit_code is Exit.FINDING:
            return "it answers no question"
        return "it could not be asked a question from here"
