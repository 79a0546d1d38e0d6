"""Parts of an asset: where a method can give them, which it would give; else the way that can."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Protocol, cast

from ccdr.engines.files.parts import Chosen, choose
from ccdr.engines.servers.parts import ChosenTables
from ccdr.jobs.fetch import fetch, verify
from ccdr.jobs.restore.request import Request
from ccdr.jobs.restore.ways import Order
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Manifest
from ccdr.plans.job import Job
from ccdr.plans.problems import did_you_mean
from ccdr.ports.place import Place, Progress
from ccdr.storage.catalogue import stream_of

PARTS_LIST = "parts.list"

# By engine and method: what cannot be had in part, and how one gets at a part of it all the same.
_WAYS = {
    ("postgres", "physical"): (
        "a base backup is of a whole server",
        "`ccdr restore {of} --new-server DIR` makes one ready; `pg_dump -t TABLE` takes the table from there",
    ),
    ("postgres", "stream"): (
        "a dump that was stored as a stream is one file",
        "`ccdr restore {of} --to postgresql://…/ANOTHER_NAME` loads it beside, and `pg_dump -t TABLE` takes the table "
        "from there; or `--to DIR`, and `pg_restore -t TABLE DIR/dump`",
    ),
    ("mariadb", "physical"): (
        "a base backup is of a whole server",
        "`ccdr restore {of} --new-server DIR` makes one ready; `mariadb-dump DATABASE TABLE` takes it from there",
    ),
    ("redis", "rdb"): (
        "an RDB is one file",
        "`ccdr restore {of} --new-server DIR` makes a server ready; `redis-cli --scan` and DUMP take keys from there",
    ),
    ("sqlite", "copy"): (
        "a SQLite database is one file",
        "`ccdr restore {of} --to DIR`, and `sqlite3 FILE '.dump TABLE'` takes the table from there",
    ),
}


def refuse_parts(job: Job, request: Request, manifest: Manifest) -> None:
    """UsageProblem where these cannot be had in part."""
    if _tables_of(job, manifest) is not None:
        if request.new_server is not None:
            raise UsageProblem(
                "--part of a dump makes no new server", hint="name a database that is not there yet: --to URL"
            )
        return
    if "roots" not in manifest.contents:
        of = f"{job.plan} --asset {job.asset}"
        known = ((w, h) for (engine, method), (w, h) in _WAYS.items() if (engine, method) == _method(job, manifest))
        why, how = next(known, ("it is one whole", "`ccdr restore {of} --to DIR` restores all of it"))
        raise UsageProblem(f"{why}: --part cannot be taken from it", hint=how.format(of=of))
    if request.is_url or request.new_server is not None:
        raise UsageProblem("--part of files goes into a directory", hint="name one: --to DIR")


def _method(job: Job, manifest: Manifest) -> tuple[str, str]:
    engine = job.engine.engine_name
    if engine in ("redis", "sqlite"):
        return engine, {"redis": "rdb", "sqlite": "copy"}[engine]
    return engine, manifest.method


class _Tables(Protocol):
    """What an engine knows of the tables of its dumps."""

    LISTING: str  # the captured file by which they are chosen

    def names_of(self, manifest: Manifest) -> dict[str, str]: ...

    def choose(self, manifest: Manifest, keys: Mapping[str, str], listing: str) -> ChosenTables: ...


def _tables_of(job: Job, manifest: Manifest) -> _Tables | None:
    """None where tables cannot be had each for itself."""
    if stream_of(manifest) is not None:
        return None
    match _method(job, manifest):
        case ("postgres", "dump"):
            from ccdr.engines.postgres.dump import parts as of_postgres

            return cast("_Tables", of_postgres)
        case ("mariadb", "dump"):
            from ccdr.engines.mariadb.dump import parts as of_mariadb

            return cast("_Tables", of_mariadb)
    return None


def chosen_tables(order: Order, asked: tuple[str, ...], progress: Progress) -> ChosenTables | None:
    """By the manifest and a small captured file, which is fetched; None where it is no dump. An unknown name is a slip:
    UsageProblem."""
    if (tables := _tables_of(order.job, order.manifest)) is None:
        return None
    names = tables.names_of(order.manifest)
    asked, notes = _with_partitions(order, asked, names, progress)
    keys = {name: names[name] for name in _known(asked, names)}
    capture, name = order.run.directory("parts"), tables.LISTING
    listed = replace(order.manifest, files={name: order.manifest.files[name]})
    restored = fetch(order.repo, order.engine, order.snapshot, listed, capture, progress, only=[name])
    verify(order.engine, restored, listed, order.services.digest)
    with (restored / name).open(encoding="utf-8", errors="surrogateescape", newline="") as file:
        chosen = tables.choose(order.manifest, keys, file.read())
    order.result.notes += [*notes, *chosen.notes]
    return chosen


def _with_partitions(
    order: Order, asked: tuple[str, ...], names: Mapping[str, str], progress: Progress
) -> tuple[tuple[str, ...], list[str]]:
    """What is asked for, with the partitions of each table that is partitioned in its place, and what is to be said of
    that. Only what the dump itself tells says which these are."""
    if all(name in names for name in asked) or _method(order.job, order.manifest) != ("postgres", "dump"):
        return asked, []
    from ccdr.engines.postgres.dump import parts

    directory, toc = order.run.directory("toc"), "dump/toc.dat"
    listed = replace(order.manifest, files={toc: order.manifest.files[toc]})
    restored = fetch(order.repo, order.engine, order.snapshot, listed, directory, progress, only=[toc])
    verify(order.engine, restored, listed, order.services.digest)
    with _box(order, restored, order.run.directory("toc-out")) as box:
        known = parts.partitions(box, restored / "dump")
    notes, all_of = list[str](), list[str]()
    for name in asked:
        leaves = known.get(name, []) if name not in names else []
        all_of += leaves or [name]
        if leaves:
            notes.append(f"{name} is partitioned: it comes back with all of its partitions, {', '.join(leaves)}")
    return tuple(dict.fromkeys(all_of)), notes


def _box(order: Order, tree: Path, scratch: Path) -> AbstractContextManager[Place]:
    """A sandbox that has the fetched `tree`, and runs the client of the asset's engine."""
    return order.sandbox(order.by_this_user, order.in_sandbox(tree, scratch))


def _known(asked: Sequence[str], names: Mapping[str, str]) -> Iterator[str]:
    for name in dict.fromkeys(asked):
        if name not in names:
            same = next((known for known in names if known.partition(".")[2] == name), None)
            meant = same or did_you_mean(name, names)
            raise UsageProblem(
                f"the snapshot holds no table {name} with rows of its own",
                hint=f"did you mean {meant}?" if meant else f"it holds {', '.join(sorted(names)[:20])}",
            )
        yield name


def only_these(order: Order, restored: Path) -> None:
    """Of a dump that was fetched in part and is one of texts: they make these tables alone, and load as any do."""
    if _method(order.job, order.manifest) == ("mariadb", "dump"):
        from ccdr.engines.mariadb.dump import parts

        parts.narrow(restored, order.manifest)


def listed_in_sandbox(order: Order) -> bool:
    """Takes `loadable_by_hand` a sandbox?"""
    return order.tables is not None and _method(order.job, order.manifest)[0] == "postgres"


def loadable_by_hand(order: Order, tree: Path, scratch: Path) -> list[str]:
    """The same in a directory; beside a dump of PostgreSQL stands what `pg_restore -L` is to be given for it. Notes."""
    only_these(order, tree)
    if not listed_in_sandbox(order):
        return []
    from ccdr.engines.postgres.dump import parts

    with _box(order, tree, scratch) as box:
        chosen = parts.needed(box, tree / "dump", order.manifest)
    (tree / PARTS_LIST).write_text(chosen.entries, "utf-8", "surrogateescape")
    return list(chosen.notes())


def chosen_parts(order: Order, parts: tuple[str, ...], progress: Progress) -> Chosen:
    """By the listing alone, which is fetched and proven to be as captured."""
    capture = order.run.directory("parts")
    if stream_of(order.manifest) is not None:
        raise UsageProblem("a tree that was stored as a stream cannot be had in part", hint="restore all of it")
    root = order.snapshot.root
    restored = fetch(order.repo, order.engine, order.snapshot, order.manifest, capture, progress, root=root)
    order.verified(restored)
    return choose(restored, order.manifest, parts)


def fetch_parts(order: Order, chosen: Chosen, tree: Path, progress: Progress) -> Path:
    """Write them into `tree`; the captured directory of it, whose listing is of them alone."""
    captured = Path(f"{tree}{order.snapshot.root}")
    order.repo.restore(
        order.snapshot.id,
        "/",
        tree,
        on_bytes=lambda done: progress.amount(done, chosen.bytes),
        only=chosen.patterns,
    )
    shutil.copytree(chosen.capture, captured)
    return captured
