"""Parts of an asset: where a method can give them, which it would give; else the way that can."""

from __future__ import annotations

import shutil
from pathlib import Path

from ccdr.engines.files.parts import Chosen, choose
from ccdr.jobs.fetch import fetch
from ccdr.jobs.restore.request import Request
from ccdr.jobs.restore.ways import Order
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Manifest
from ccdr.plans.job import Job
from ccdr.ports.place import Progress
from ccdr.storage.catalogue import stream_of

# By engine and method: what cannot be had in part, and how one gets at a part of it all the same.
_WAYS = {
    ("postgres", "physical"): (
        "a base backup is of a whole server",
        "`ccdr restore {of} --new-server DIR` makes one ready; `pg_dump -t TABLE` takes the table from there",
    ),
    ("postgres", "dump"): (
        "a dump is restored as a whole",
        "`ccdr restore {of} --to postgresql://…/ANOTHER_NAME` loads it beside, and `pg_dump -t TABLE` takes the table "
        "from there; or `--to DIR`, and `pg_restore -t TABLE DIR/dump`",
    ),
    ("mariadb", "physical"): (
        "a base backup is of a whole server",
        "`ccdr restore {of} --new-server DIR` makes one ready; `mariadb-dump DATABASE TABLE` takes it from there",
    ),
    ("mariadb", "dump"): (
        "a dump is restored as a whole",
        "`ccdr restore {of} --to mysql://…/ANOTHER_NAME` loads it beside, and `mariadb-dump ANOTHER_NAME TABLE` takes "
        "the table from there",
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
