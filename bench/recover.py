"""A whole contact centre that is lost: brought back by one command, and by hand with everything side by side.

.venv/bin/python bench/recover.py [--quick] [--recordings 50000] [--rounds 3]

The demo's centre, a MariaDB server with its log shipped beside it, and an archive of recordings (about 3 GB in all),
on a host that has bucket and key alone. By hand is by_hand/recover.sh: each store by restic and its own tools, with
their checks (not the plan's own queries, nor a comparison of stores), all at once; it takes as long as the slowest.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import recordings
from machine import facts, timed
from rounds import NAME, OURS, Measure, Rounds, carry_out, finish, numbers, options, rounds_of, say
from sides import CCDR, discard, init
from source import HERE, pick_image, tree_bytes
from tests.support.mariadb_source import PASSWORD, dialling, mariadb_server, whole_server
from tests.support.shipping_mariadb import SMALL

from ccdr.demo import plan
from ccdr.demo.centre import Centre, Home, open_centre
from ccdr.demo.images import Images, find_images
from ccdr.host.secret_files import write_secret
from ccdr.storage.catalogue import Catalogue
from ccdr.wiring import services

LIMIT = 1.15  # times by hand
MEASURES = {
    "recover": Measure("everything back, checked, on new servers", limits={"by hand": LIMIT}),
}
MORE = """
  dialler-server:
    engine: mariadb
    {whole}
    connection: {{host: {socket}, user: ccdr_backup_crm, database: crm, password_file: secrets/dialler-server.pw}}
    image: {image}
    backup: {{schedule: "0 1 * * *"}}
    restore_test: {{schedule: "0 3 * * *", checks: [dialler-server]}}
  archive:
    engine: files
    paths: [{archive}]
    backup: {{schedule: "0 1 * * *"}}
    restore_test: {{schedule: "0 3 * * *", checks: [archive]}}
"""
CHECKS = {
    "dialler-server": "  - {kind: identical}\n  - {kind: integrity}\n  - {kind: rows, table: calls, at_least: 100}\n",
    "archive": "  - {kind: identical}\n",
}
HOW = {  # of by_hand/recover.sh, and what it needs besides the snapshot
    "crm": ("postgres_dump", "crm"),
    "recordings": ("tree",),
    "crm-server": ("postgres_physical", "crm"),
    "dialler": ("maria_dump", "dialler"),
    "dialler-server": ("maria_physical",),
    "queues": ("redis",),
    "cdr": ("sqlite",),
    "configuration": ("tree",),
    "archive": ("tree",),
}


@dataclass(frozen=True)
class Lost:
    """What is left of it: the repository with its key, below `root`; `bytes` is what was captured."""

    root: Path
    images: Images
    stores: dict[str, str]
    bytes: int

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def key(self) -> Path:
        return self.root / "plans/secrets" / plan.KEY


@contextlib.contextmanager
def _at_work(work: Path, count: int, size: int) -> Iterator[tuple[Path, Centre, Images]]:
    """The whole centre, under one plan with a repository in a directory; all of it backed up and shipped."""
    root, data = work / "centre", work / "dialler-server"
    root.mkdir()
    own = services(root / "servers")
    images = find_images(own.lab.docker)
    home = Home(own.lab.docker, root, NAME, keep=False)
    with (
        open_centre(home, images, "a-password-of-queues") as centre,
        mariadb_server("--log-bin=binlog", "--binlog-format=ROW", data=data) as dialler,
    ):
        dialler.sql(SMALL)
        recordings.SIZES = (size // 2, size * 3 // 2)
        recordings.Tree(root / "archive").add(count)
        _plan(root, centre, images, f"{dialler.sockets}/mysqld.sock", data)
        _run(root, "backup", "outbound")
        with dialling(dialler, work, 200):
            centre.carry_on()
            _run(root, "ship", "outbound", "--once")
        _run(root, "ship", "outbound", "--once")
        yield root, centre, images


def _plan(root: Path, centre: Centre, images: Images, socket: str, data: Path) -> None:
    @dataclass
    class Here:  # in place of the S3 server: a path
        endpoint: str = "http://127.0.0.1:1"

        @staticmethod
        def env_file() -> str:
            return ""

    plan.write_plan(root, centre, images, Here(), services(root / "state"))  # type: ignore[arg-type]
    path = root / "plans/outbound.yaml"
    text = path.read_text("utf-8").replace("s3:http://127.0.0.1:1/ccdr-outbound", str(root / "repo"))
    text = text.replace("  env_file: secrets/outbound.env\n", "")
    more = MORE.format(
        whole=whole_server(data, "{interval: 60s}").replace("\n", "\n    "),
        socket=socket,
        image=images.mariadb.name,
        archive=root / "archive",
    )
    path.write_text(text + more, "utf-8")
    write_secret(root / "plans/secrets/dialler-server.pw", PASSWORD)
    for name, checks in CHECKS.items():
        (root / f"restore_tests/{name}.yaml").write_text(f"restore_test: {name}\nchecks:\n{checks}", "utf-8")
    init(root / "repo", root / "plans/secrets" / plan.KEY)


def _run(root: Path, *args: str) -> None:
    argv = [CCDR, "--plans", str(root / "plans"), "--state", str(root / "state"), *args]
    timed(argv)


def _lost(root: Path, images: Images) -> Lost:
    """What by_hand/recover.sh is told of each store; then nothing is left but repository and key."""
    catalogue, stores, total = Catalogue(root / "state/catalogue"), {}, 0
    for asset, (function, *more) in HOW.items():
        snapshot = catalogue.snapshots("outbound", asset)[-1]
        total += snapshot.bytes
        streamed = catalogue.manifest(snapshot).contents.get("stream")
        where = snapshot.id if function == "tree" else f"{snapshot.id}:{snapshot.root}"
        stores[asset] = " ".join([function, where, *more, *([str(streamed)] if streamed else [])])
    return Lost(root, images, stores, total)


def by_hand(lost: Lost, work: Path) -> float:
    env = {
        "WORK": str(work / "hand"),
        "NAME": f"{NAME}-hand",
        "STORES": " ".join(lost.stores),
        "RESTIC_REPOSITORY": str(lost.repo),
        "RESTIC_PASSWORD_FILE": str(lost.key),
        "RESTIC_CACHE_DIR": str(work / "hand/cache"),
        "POSTGRES": lost.images.postgres.name,
        "MARIADB": lost.images.mariadb.name,
        "REDIS": lost.images.redis.name,
        **{asset.replace("-", "_"): how for asset, how in lost.stores.items()},
    }
    (work / "hand").mkdir()
    done = timed(["bash", str(HERE / "by_hand/recover.sh")], env=env)
    say("; ".join(done.stdout.split("\n")))
    discard(work / "hand")
    return done.seconds


def ours(lost: Lost, work: Path) -> float:
    """On a host that knows nothing: plans from the repository are there, state is not."""
    new, state = work / "new", work / "state"
    argv = [CCDR, "--plans", str(lost.root / "plans"), "--state", str(state), "recover", "outbound", "--json"]
    new.mkdir()
    done = timed([*argv, "--under", str(new), "--yes-i-mean", "outbound"])
    document = json.loads(done.stdout)
    say(", ".join(f"{step.get('asset')} {step.get('seconds')}" for step in document["steps"]))
    discard(new)
    shutil.rmtree(state, ignore_errors=True)
    return done.seconds


def bench(args: argparse.Namespace, work: Path) -> int:
    rounds: Rounds = rounds_of(args, MEASURES)
    count, size = (2_000, 10_000) if args.quick else (args.recordings, args.size)
    with _at_work(work, count, size) as (root, _, images):
        lost = _lost(root, images)
    say(f"{lost.bytes / 1e6:.0f} MB captured, {tree_bytes(lost.repo) / 1e6:.0f} MB stored")
    if args.hand_only:
        say(f"by hand: {by_hand(lost, work):.1f} s")
        return 0
    for number in numbers(1 if args.quick else args.rounds, args.minutes):
        rounds.turn("recover", number, {OURS: lambda: ours(lost, work), "by hand": lambda: by_hand(lost, work)})
    about = facts(pick_image(), postgres="postgres --version")
    return finish(args, rounds, about, {"bytes": lost.bytes, "recordings": count}, f"{lost.bytes / 1e9:.1f} GB")


def main() -> None:
    parser = options(__doc__, "recover", room="12 GB")
    parser.add_argument("--recordings", type=int, default=50_000, help="files in the archive (50000)")
    parser.add_argument("--size", type=int, default=50_000, help="bytes of each, on average (50000)")
    parser.add_argument("--hand-only", action="store_true", help="once by hand, and no more: does the script work?")
    args = parser.parse_args()
    os.umask(0o022)
    raise SystemExit(carry_out(args, bench))


if __name__ == "__main__":
    main()
