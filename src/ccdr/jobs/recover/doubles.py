"""Assets that protect one server, or one database of it: which of them to recover from, and at which port each new
server listens, so that both can be opened. Pure, but for a look at which ports are taken."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ccdr.engines.postgres.dump.parts import names_of
from ccdr.jobs.recover.states import ChosenState, Instead
from ccdr.jobs.restore.opening import EVERYWHERE
from ccdr.model.values import Manifest, human_seconds, to_the_second
from ccdr.plans.job import Job
from ccdr.plans.one_server import holds, is_whole, of_one_server
from ccdr.plans.targets import Target

NEVER = datetime.min.replace(tzinfo=UTC)
IDENTITY = "system_identifier"  # of a manifest: PostgreSQL's own number of a server
UNLOGGED = "unlogged"  # of a manifest: how many tables of PostgreSQL's have no rows in a base backup
MOST_NAMED = 5
ALIKE = 1.0  # seconds: two states that lie no further apart are equally near


@dataclass(frozen=True)
class _One:
    """An asset, and the state that was chosen for it."""

    job: Job
    state: ChosenState
    manifest: Manifest

    @property
    def distance(self) -> float:
        return abs(self.state.lost_s or 0.0)

    def better_than(self, other: _One) -> bool:
        """Nearer to the moment; as near, and proven later; as near, and of all of the server."""
        if abs(self.distance - other.distance) > ALIKE:
            return self.distance < other.distance
        mine, theirs = (one.state.proven_at if one.state.proof == "PASS" else None for one in (self, other))
        if mine != theirs:
            return (mine or NEVER) > (theirs or NEVER)
        return is_whole(self.job.engine) and not is_whole(other.job.engine)

    def why_before(self, other: _One) -> str:
        nearer = other.distance - self.distance
        if nearer > ALIKE:
            why = f"its state is {human_seconds(nearer)} nearer to the moment"
        elif self.state.proof == "PASS" and self.state.proven_at is not None:
            why = f"its state was proven later, on {to_the_second(self.state.proven_at)}"
        else:
            why = "its state is as near to the moment"
        return f"{why}, and it has all of the server{self._but(other)}" if is_whole(self.job.engine) else why

    def _but(self, other: _One) -> str:
        """What a copy of a whole server lacks, and whether the other one has it."""
        if self.manifest.method != "physical" or not self.manifest.contents.get(UNLOGGED):
            return ""
        lost = [str(name).replace(" ", ".", 1) for name in self.manifest.contents[f"{UNLOGGED}_tables"]]
        there = _with_rows(other.manifest).intersection(lost)
        kept = f"; {other.job.asset} has those of {len(there)}" if there else ""
        return f" but the rows of its unlogged tables ({', '.join(lost[:MOST_NAMED])}){kept}"


def _with_rows(dump: Manifest) -> set[str]:
    """The tables of a dump of PostgreSQL that have rows, by `schema.table`; none of what is no dump."""
    tables = dump.contents.get("tables")
    if not isinstance(tables, dict) or "roles" not in dump.contents:
        return set()
    return {name for name, key in names_of(dump).items() if tables[key]["rows"]}


def doubles(
    jobs: Sequence[Job], states: Mapping[str, ChosenState], manifests: Mapping[str, Manifest]
) -> dict[str, Instead]:
    """By each asset that another is to be recovered from instead."""
    known = [_One(job, states[job.asset], manifests[job.asset]) for job in jobs if job.engine.has_server]
    found: dict[str, Instead] = {}
    for one in known:
        beside = [o for o in known if o is not one and _of_one_server(one, o) and o.better_than(one)]
        in_full = [other for other in beside if holds(other.job.engine, one.job.engine)]
        in_part = [other for other in beside if holds(one.job.engine, other.job.engine)]
        if others := in_full or in_part:
            best = next((o for o in others if not any(other.better_than(o) for other in others)), others[0])
            beside_it = [name for name in one.job.grouped if name in states and name != one.job.asset]
            apart = () if one.job.engine.group == best.job.engine.group else tuple(beside_it)
            found[one.job.asset] = Instead(best.job.asset, best.why_before(one), bool(in_full), apart)
    return found


def _of_one_server(one: _One, other: _One) -> bool:
    """What was captured says so; else what the plan says."""
    if one.job.engine.engine_name != other.job.engine.engine_name:
        return False
    mine, theirs = (o.manifest.contents.get(IDENTITY) for o in (one, other))
    if mine and theirs:
        return bool(mine == theirs)
    return of_one_server(one.job.engine, other.job.engine)


@dataclass(frozen=True)
class Moved:
    """A new server whose port is another than the source's, since `before` has that."""

    asset: str
    address: str
    port: int
    was: int
    before: str


def with_ports(
    places: Mapping[str, Target],
    jobs: Sequence[Job],
    last: Iterable[str],
    taken: Callable[[str, int], bool],
) -> tuple[dict[str, Target], list[Moved]]:
    """The places, each new server at a port of its own: what is stated stays; of those that would have their source's,
    the first has it, `last` come last, and the others get the next that is free (on this host: `taken`)."""
    spare = set(last)
    wanted: dict[str, tuple[str, int]] = {}
    for job in jobs:
        new = places[job.asset].new_server
        port = new and (new.port or getattr(getattr(job.engine, "connection", None), "port", None))
        if new is not None and port:
            wanted[job.asset] = new.address, int(port)
    stated = [name for name in wanted if (new := places[name].new_server) and new.port is not None]
    free = [name for name in wanted if name not in stated]
    given: dict[str, tuple[str, int]] = {name: wanted[name] for name in stated}
    result, moved = dict(places), []
    for name in sorted(free, key=lambda one: one in spare):
        address, was = port_at = wanted[name]
        before = next((other for other, at in given.items() if _clash(at, port_at)), None)
        if before is not None:
            port = _next(address, was, [*given.values(), *wanted.values()], taken)
            port_at = address, port
            moved.append(Moved(name, address, port, was, before))
            new = places[name].new_server
            assert new is not None
            result[name] = places[name].model_copy(update={"new_server": new.model_copy(update={"port": port})})
        given[name] = port_at
    return result, moved


def _next(address: str, port: int, others: Sequence[tuple[str, int]], taken: Callable[[str, int], bool]) -> int:
    numbers: list[int] = [*range(port + 1, 65536), *range(port - 1, 1023, -1)]
    for number in numbers:
        if not any(_clash((address, number), at) for at in others) and not taken(address, number):
            return number
    return port  # all are taken: the server will say so when it is started


def _clash(one: tuple[str, int], other: tuple[str, int]) -> bool:
    everywhere = one[0] in EVERYWHERE or other[0] in EVERYWHERE
    return one[1] == other[1] and (one[0] == other[0] or everywhere)
