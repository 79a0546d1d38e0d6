"""What each store and method costs with ccdr, one after the other, about as much data in each.

.venv/bin/python bench/stores.py [--quick] [--gb 0.5] [--json FILE]

PostgreSQL by each of its methods, Redis, SQLite: a first backup, one after 1 % more, a restore until the store answers
with its data, and stored bytes. Seconds are wall time of the whole command. There is no target:
docs/explanation/choosing.md has the table, for who has to choose. MariaDB and recordings have benches of their own.
"""

from __future__ import annotations

import argparse
import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import facts
from rounds import NAME, command, machine_line, say, write_json
from sides import Ours, of_postgres
from source import CALLS_PER_GB, Source, pick_image, source
from tests.support.redis_source import redis_server
from tools import Ccdr

CHECKS = "restore_test: bench\nchecks:\n  - {kind: identical}\n"
METHODS = {
    "`postgres`, `dump`": "",
    "`postgres`, `stream`": "method: stream\n",
    "`postgres`, `physical`": "method: physical\n",
    "`postgres`, `physical`, `incremental`": "method: physical\nincremental: {}\n",
}
REDIS = "engine: redis\nconnection: {{host: {socket}}}\n"
SQLITE = "engine: sqlite\npath: {path}\n"
KEYS_PER_GB, ROWS_PER_GB = 2_500_000, 4_000_000  # about
# As an application writes: an agent's state a key, a call a row.
SET = """\
EVAL "for i = {first}, {last} do redis.call('HSET', 'agent:' .. i, 'state', i % 7, 'name', redis.sha1hex(i), \
'queue', i % 40, 'note', redis.sha1hex(i + 1) .. redis.sha1hex(i + 2)) end" 0
"""
CDR = "create table cdr (id integer primary key, src text, dst text, started text, seconds int, note text)"
CALL = """insert into cdr
with recursive n (i) as (select ? union all select i + 1 from n where i < ?)
select i, '+4021' || (i * 7919 % 9999999), '+4031' || (i * 104729 % 9999999), datetime(1700000000 + i * 7, 'unixepoch'),
  i * 31 % 1800, hex(randomblob(60)) from n"""


@dataclass(frozen=True)
class Store:
    """One line of the table. `more` adds 1 %."""

    name: str
    ours: Ours
    bytes: int
    more: Callable[[], object]


@contextlib.contextmanager
def stores(work: Path, gb: float) -> Iterator[Iterator[Store]]:
    """One at a time: the next is made when it is asked for."""
    with contextlib.ExitStack() as stack:
        image = pick_image()
        server = stack.enter_context(source(image, NAME, work, settings={"summarize_wal": "on"}))
        yield (
            store
            for each in (_postgres(server, work, image, gb), _redis(stack, work, gb), _sqlite(work, gb))
            for store in each
        )


def _postgres(server: Source, work: Path, image: str, gb: float) -> Iterator[Store]:
    calls, grown = int(CALLS_PER_GB * gb), 0
    server.fill("crm", calls)
    for number, (name, extra) in enumerate(METHODS.items()):
        ours = of_postgres(work / f"postgres{number}", server, "crm", image, calls, extra)
        (ours.root / "restore_tests/bench.yaml").write_text(CHECKS, "utf-8")

        def more() -> None:
            nonlocal grown
            server.append("crm", calls, calls // 100, more=grown)
            grown += calls // 100

        yield Store(name, ours, server.size("crm"), more)


def _redis(stack: contextlib.ExitStack, work: Path, gb: float) -> Iterator[Store]:
    server = stack.enter_context(redis_server("redis"))
    keys = int(KEYS_PER_GB * gb)

    def fill(first: int, last: int) -> None:
        for begin in range(first, last + 1, 50_000):  # a script of its own each: no other may run meanwhile
            server.fill(SET.format(first=begin, last=min(begin + 49_999, last)))

    fill(1, keys)
    used = int(
        dict(line.split(":", 1) for line in server.cli("INFO", "memory").splitlines() if ":" in line)["used_memory"]
    )
    ours = Ours(work / "redis", REDIS.format(socket=server.socket), CHECKS)
    yield Store("`redis`", ours, used, lambda: fill(keys + 1, keys + keys // 100))


def _sqlite(work: Path, gb: float) -> Iterator[Store]:
    path, rows = work / "pbx" / "cdr.sqlite3", int(ROWS_PER_GB * gb)
    path.parent.mkdir()

    def fill(first: int, last: int) -> None:
        with contextlib.closing(sqlite3.connect(path)) as held, held:
            held.execute(CALL, (first, last))

    with contextlib.closing(sqlite3.connect(path)) as held:
        held.execute(CDR)
    fill(1, rows)
    ours = Ours(work / "sqlite", SQLITE.format(path=path), CHECKS)
    yield Store("`sqlite`", ours, path.stat().st_size, lambda: fill(rows + 1, rows + rows // 100))


def measured(store: Store) -> dict[str, float]:
    say(f"{store.name}: {store.bytes / 1e6:.0f} MB")
    side = Ccdr(store.ours)
    first = side.backup()
    stored = side.stored()
    store.more()
    second = side.backup()
    grown = side.stored() - stored
    restored = side.restore()
    side.close()
    return {
        "bytes": store.bytes,
        "first": first,
        "second": second,
        "restored": restored,
        "stored": stored,
        "grown": grown,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="20 MB each: does the bench work?")
    parser.add_argument("--gb", type=float, default=0.5, help="of data in each store (0.5)")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    args = parser.parse_args()
    about = facts(pick_image(), postgres="postgres --version")
    found = {}
    with tempfile.TemporaryDirectory(prefix="ccdr-bench-", dir="/var/tmp") as place:
        work = Path(place)
        work.chmod(0o755)
        with stores(work, 0.02 if args.quick else args.gb) as each:
            for store in each:
                found[store.name] = measured(store)
    if args.json:
        write_json(args.json, {"command": command(), "machine": about, "stores": found})
    print(f"\n`{command()}`: {machine_line(about)}:\n")
    heads = ("", "data", "first backup", "after 1 % more", "restored, until it answers", "stored: first, 1 % more")
    print("| " + " | ".join(heads) + " |\n" + "|---" * len(heads) + "|")
    for name, f in found.items():
        print(
            f"| {name} | {f['bytes'] / 1e6:.0f} MB | {f['first']:.1f} s | {f['second']:.1f} s | {f['restored']:.1f} s "
            f"| {f['stored'] / 1e6:.1f} MB, {f['grown'] / 1e6:.1f} MB |"
        )


if __name__ == "__main__":
    main()
