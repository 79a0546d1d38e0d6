"""A ledger that somebody changes, and what is said of it. `quiet` changes are made to what the state directory keeps of
the ledger, too: then only the repository tells."""

from __future__ import annotations

import json
from datetime import timedelta
from hashlib import sha256
from typing import Any

from ccdr.jobs.services import Services
from tests.support.harness import Ran, ShiftedClock, Site

Records = list[dict[str, Any]]


def lines(site: Site) -> Records:
    (segment,) = sorted((site.state / "ledger").glob("*.jsonl"))
    return [json.loads(line) for line in segment.read_bytes().splitlines()]


def chained(site: Site, records: Records, *, renumbered: bool = False) -> None:
    """Put these records there in place of what was, as a chain that verifies."""
    (segment,) = sorted((site.state / "ledger").glob("*.jsonl"))
    before, out = "0" * 64, b""
    for number, record in enumerate(records, 1):
        body = {**record, "prev": before, **({"seq": number} if renumbered else {})}
        line = json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"
        before, out = sha256(line).hexdigest(), out + line
    segment.write_bytes(out)


def cut(site: Site) -> None:
    """The newest backup never was."""
    records = lines(site)
    last = max(n for n, r in enumerate(records) if r["kind"] == "backup.start")
    chained(site, records[:last])


def forged(site: Site) -> None:
    """As long as it was, and of the same id, but for the times."""
    chained(site, [{**r, "time": "2026-01-01T00:00:00.000000Z"} for r in lines(site)])


def problems(done: Ran) -> str:
    return " | ".join(done.json["problems"])


def ledger_problems(site: Site) -> tuple[int, str]:
    done = site.run("status")
    return done.code, " | ".join(done.json["lineage"]["problems"])


def days_later(site: Site, days: float) -> Services:
    return site.services(ShiftedClock(timedelta(days=days)))


def as_text(site: Site, *args: str) -> str:
    return site.plainly(*args).stdout
