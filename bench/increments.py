"""What increments of a PostgreSQL server save, over full bases that restic deduplicates anyway.

.venv/bin/python bench/increments.py [--quick] [--scale 20] [--json FILE]

One server, two plans: every base a full one, and increments upon the first. Each is backed up, 1 % more rows come, and
each is backed up again; then 1 % of the rows are changed, all over, and so once more. At the end both are restored and
checked. Seconds are wall time of the whole command; who comes first changes from step to step.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from machine import start
from rounds import command, write_json
from sides import init
from source import tree_bytes
from tests.support.cluster import Cluster, cluster
from tests.support.harness import Site

CHECKS = "restore_test: crm\nchecks:\n  - {kind: identical}\n"
ROWS = 100_000  # of pgbench, for each unit of scale
SAYS = "create table call as select n as id, md5(n::text) as note, now() as at from generate_series(1, {rows}) n"
APPEND = "insert into call select n, md5(random()::text), now() from generate_series(1, {few}) n"
CHANGE = "update pgbench_accounts set abalance = abalance + 1 where aid % 100 = 0"
PLANS = {"full": "method: physical", "incremental": "method: physical\nincremental: {full_every: 7d}"}


def measured(site: Site) -> dict[str, float]:
    before, began = tree_bytes(site.repo), start()
    done = site.backed_up().json
    seconds = time.monotonic() - began
    upon = len(done["snapshot"].get("upon", []))
    return {"seconds": seconds, "stored": tree_bytes(site.repo) - before, "upon": upon}


def measure(server: Cluster, root: Path, scale: int) -> dict[str, Any]:
    rows = scale * ROWS
    server.psql("create database crm")
    server.run("pgbench", "-h", "/sockets", "-U", "postgres", "-q", "-i", "-s", str(scale), "crm")
    server.psql(SAYS.format(rows=rows), "crm")
    size = int(server.psql("select pg_database_size('crm')"))
    sites = {}
    for name, extra in PLANS.items():
        (root / name).mkdir()
        # As restic's own repositories cost: those of tests open at once.
        sites[name] = Site(root / name, bare=True)
        init(sites[name].repo, sites[name].root / "plans/key")
        sites[name].crm(server, "crm", extra, checks=CHECKS)
    found: dict[str, Any] = {name: {} for name in sites}
    steps: dict[str, Callable[[], object]] = {
        "first": lambda: None,
        "1 % more rows": lambda: server.psql(APPEND.format(few=rows // 100), "crm"),
        "1 % of the rows changed": lambda: server.psql(CHANGE, "crm"),
    }
    for number, (step, change) in enumerate(steps.items()):
        change()
        for name, site in reversed(sites.items()) if number % 2 else sites.items():
            found[name][step] = measured(site)
    for name, site in sites.items():
        done = site.run("test", "p").json
        assert done["verdict"] == "PASS", done
        found[name]["restored"] = {"seconds": done["rto"]["answering_s"]}
    return {"bytes": size, "plans": found}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a scale of 2: does the bench work?")
    parser.add_argument("--scale", type=int, default=20, help="of pgbench; 20 are about 450 MB with what stands beside")
    parser.add_argument("--json", type=Path, help="write the numbers there, too")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ccdr-bench-", dir="/var/tmp") as place:
        root = Path(place)
        root.chmod(0o755)
        with cluster(root / "server", summarize_wal="on", max_wal_size="4GB") as server:
            found = measure(server, root, 2 if args.quick else args.scale)
    if args.json:
        write_json(args.json, {"command": command(), **found})
    print(f"\n`{command()}`: {found['bytes'] / 1e6:.0f} MB\n\n| | {' | '.join(found['plans'])} |\n|---|---|---|")
    for step in next(iter(found["plans"].values())):
        cells = []
        for plan in found["plans"].values():
            stored = f", {plan[step]['stored'] / 1e6:.1f} MB stored" if "stored" in plan[step] else ""
            cells.append(f"{plan[step]['seconds']:.1f} s{stored}")
        print(f"| {step} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
