"""What discovering servers has in common, whichever they are."""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Generic, Protocol, TypeVar

from ccdr.engines.base import EngineConfig
from ccdr.engines.discovery.contract import DiscoveryReport, Item, Looking, SourceKind
from ccdr.engines.discovery.text import name_from, scalar
from ccdr.engines.servers.address import Address
from ccdr.model.errors import CcdrError, CommandFailed, UsageProblem
from ccdr.ports.place import Source


class NamedServer(Address):
    """An address as `Named` has it."""

    @property
    def kind(self) -> SourceKind:
        return SourceKind.SERVER

    @property
    def where(self) -> object:
        return self

    def plan_name(self, hostname: str) -> tuple[str, str]:
        if self.database:
            return self.database, "database"
        return hostname if self.local else self.host, "server"


class Listed(Protocol):
    """A database of a server. `bytes` is None where it may not be looked into."""

    @property
    def name(self) -> str: ...

    @property
    def bytes(self) -> int | None: ...


@dataclass(frozen=True)
class DatabaseItem:
    """A database that becomes an asset; an engine adds what it has found in it."""

    address: NamedServer
    database: str
    version: str
    bytes: int
    tree: None = field(default=None, init=False)

    @property
    def local(self) -> bool:
        return self.address.local

    @property
    def title(self) -> str:
        return self.database

    def name(self, taken: Collection[str]) -> str:
        return database_name(self.database, taken)


class FoundItem(Item, Protocol):
    """A database that becomes an asset: what it holds, and what its user lacks."""

    @property
    def tables(self) -> int: ...

    @property
    def described(self) -> str: ...


L = TypeVar("L", bound=Listed)
I = TypeVar("I", bound=FoundItem)  # noqa: E741 - an item


class Databases(ABC, Generic[L, I]):
    """A server that answers, database by database."""

    @abstractmethod
    def listed(self) -> Sequence[L]: ...

    @abstractmethod
    def closed(self, one: L) -> tuple[str, str] | None:
        """Why this one cannot be looked into, and as whom which SQL changes that; None where it can."""

    @abstractmethod
    def look_into(self, one: L) -> I: ...

    @abstractmethod
    def explained(self, error: CommandFailed) -> CcdrError: ...

    @abstractmethod
    def empty(self, name: str) -> UsageProblem:
        """No table of it can be seen, and it was named."""

    @abstractmethod
    def remarks(self, item: I, report: DiscoveryReport) -> None:
        """Whatever else is to be told of it."""

    def items(self, wanted: str | None, looking: Looking) -> Iterator[I]:
        """The databases, or the one that is `wanted`; whatever is left out is told."""
        report = looking.report
        for one in self.listed():
            name = one.name
            if wanted not in (None, name):
                continue
            if not name.isprintable():
                report.findings.append(f"the database {name!a} is left out: its name cannot stand in a plan")
                continue
            if closed := self.closed(one):
                why, grant = closed
                report.findings.append(f"the database {name} is left out: {why}; {grant}")
                report.grants.append(grant)
                continue
            looking.progress.step(f"looking at {name}")
            try:
                item = self.look_into(one)
            except CommandFailed as error:
                if wanted:
                    raise self.explained(error) from None
                report.findings.append(f"the database {name} is left out: {self.explained(error)}")
                continue
            if not item.tables:
                if wanted:
                    raise self.empty(name)
                report.notes.append(f"the database {name} is left out: it has no table")
                continue
            report.contents.append(f"  {name}: {item.described}")
            self.remarks(item, report)
            yield item


def explained(error: CommandFailed, where: str, refusals: Iterable[tuple[str, str]], otherwise: str) -> CcdrError:
    """Why a server did not answer, with the next step: UsageProblem by the first of the `refusals` (a pattern, and what
    to do), where the command line or a file is wrong."""
    message = f"{where}: {error.stderr.answer or error}"
    for pattern, hint in refusals:
        if error.stderr.search(pattern):
            return UsageProblem(message, hint=hint)
    return CcdrError(message, hint=otherwise)


@contextlib.contextmanager
def client_of(looking: Looking, where: str, engine: EngineConfig) -> Iterator[Source]:
    with looking.clients(where, engine) as (client,), client as source:
        yield source


def connection_lines(
    address: Address, settings: Mapping[str, str | int | None], password_file: str | None, advice: Iterable[str] = ()
) -> Iterator[str]:
    """A plan's connection; `settings` is what the engine calls who is who, `advice` comments on the user."""
    yield "connection:"
    yield f"  host: {scalar(address.host)}"
    yield from (f"  {key}: {scalar(value)}" for key, value in settings.items() if value is not None)
    yield from (f"  # {line}" for line in advice)
    if password_file:
        yield f"  password_file: {scalar(password_file)}"
    if address.tls == "verify":
        yield "  tls: verify"
    if address.ca_file:
        yield f"  ca_file: {scalar(address.ca_file)}"


def database_name(database: str, taken: Collection[str]) -> str:
    return name_from(database, taken, otherwise="database")


def absolute(password_file: Path | None) -> Path | None:
    return password_file and password_file.absolute()
