"""A ledger of years, chained for real, the plans it is about, and the catalogue: what a large contact centre leaves.

Made line by line as `Ledger.write` writes them, without its fsync for each. By a seed, so that it can be had again.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from ccdr.evidence import records
from ccdr.evidence.ledger.ledger import SEGMENT_BYTES
from ccdr.model.values import FileDigest, Manifest, utc
from ccdr.storage.catalogue import entry_text
from ccdr.storage.manifest import manifest_text, snapshot_of, text_digest
from tests.support.manifests import SAID

Event = tuple[
    datetime, int, str, str, str | None, str | None, dict[str, Any]
]  # time, order, kind, plan, asset, run, body
KINDS = ("crm", "calls", "billing", "recordings", "tickets", "dialler", "agents", "voicemail", "wallboard", "surveys")
SERVICES = (
    "outbound",
    "inbound",
    "collections",
    "surveys",
    "helpdesk",
    "sales",
    "claims",
    "booking",
    "roadside",
    "bank",
)
DAY = timedelta(days=1)
KEPT = 35 * DAY  # by the plans' retention; a weekly prune removes the rest
MOST_BYTES = 10**12  # else an asset that grows each day has no end in twenty years


@dataclass(frozen=True)
class Centre:
    """How large, for how long, how often: `every` is between two backups of an asset, `tested` between two tests.
    Without `manifests` their digests are drawn: quick to make, and `write_catalogue` has nothing to write."""

    plans: int
    assets: int  # of each plan
    end: datetime
    days: int
    every: timedelta
    tested: timedelta
    seed: int = 1
    manifests: bool = True

    @property
    def start(self) -> datetime:
        return self.end - timedelta(days=self.days)

    def plan_name(self, number: int) -> str:
        lap, at = divmod(number, len(SERVICES))
        return SERVICES[at] + (f"-{lap + 1}" if lap else "")

    def asset_names(self) -> list[str]:
        return [
            KINDS[n % len(KINDS)] + (f"-{n // len(KINDS) + 1}" if n >= len(KINDS) else "") for n in range(self.assets)
        ]


def write_plans(centre: Centre, root: Path) -> None:
    """`root/plans` and `root/restore_tests`, as a person would write them."""
    (root / "plans").mkdir(parents=True, exist_ok=True)
    (root / "restore_tests").mkdir(exist_ok=True)
    (root / "restore_tests/files.yaml").write_text("restore_test: files\nchecks:\n  - {kind: identical}\n")
    hours = int(centre.every / timedelta(hours=1))
    cron = f"{{}} */{hours} * * *" if hours < 24 else "{} 1 * * *"
    rpo = 2 * max(hours, 1)
    for number in range(centre.plans):
        name = centre.plan_name(number)
        lines = [
            f"plan: {name}",
            f"service: {name.replace('-', ' ').capitalize()} line",
            f"owner: {name}@callcentre.example",
            f"objectives: {{rpo: {rpo}h, rto: 30m, mtd: 4h}}",
            f"repository: {{url: {root}/repo/{name}, password_file: key}}",
            "retention: {keep_within: 35d}",
            "assets:",
        ]
        for at, asset in enumerate(centre.asset_names()):
            lines += [
                f"  {asset}:",
                "    engine: files",
                f"    paths: [{_source(name, asset)}]",
                f'    backup: {{schedule: "{cron.format(at * 5 % 60)}"}}',
                f'    restore_test: {{schedule: "{at % 60} 3 * * {at % 7}", snapshot: latest, checks: [files]}}',
            ]
        (root / f"plans/{name}.yaml").write_text("\n".join(lines) + "\n")


def write_ledger(centre: Centre, directory: Path) -> int:
    """The ledger's segments; how many records."""
    directory.mkdir(parents=True, mode=0o700)
    streams = [_asset(centre, p, a) for p in range(centre.plans) for a in range(centre.assets)]
    streams += [_upkeep(centre, p) for p in range(centre.plans)]
    seq, prev, file, encode = 0, "0" * 64, None, msgspec.json.Encoder().encode
    for when, _, kind, plan, asset, run, body in heapq.merge(*streams):
        seq += 1
        time = when.replace(microsecond=seq % 999_999 + 1)  # never none: a real clock's has some
        envelope = {"seq": seq, "prev": prev, "time": _text(time), "host": "dr1", "actor": "ccdr", "kind": kind}
        named = {"plan": plan, "asset": asset, "run": run, "version": records.VERSIONS[kind]}
        line = encode(msgspec.convert({**envelope, **named, **body}, records.KINDS[kind])) + b"\n"
        prev = sha256(line).hexdigest()
        if file is None or file.tell() >= SEGMENT_BYTES:
            file = (directory / f"{seq:012}.jsonl").open("wb")
        file.write(line)
    if file is not None:
        file.close()
    return seq


def write_catalogue(ledger: Path, catalogue: Path) -> int:
    """An entry of every snapshot that this ledger has seen stored, and no prune removed; how many. Without an fsync for
    each."""
    stored: dict[str, dict[str, Any]] = {}
    read = msgspec.json.Decoder().decode
    for segment in sorted(ledger.glob("*.jsonl")):
        for line in segment.read_bytes().splitlines():
            if b'"kind":"backup.end"' in line and (snapshot := (record := read(line))["snapshot"]):
                stored[snapshot["id"]] = record
            elif b'"kind":"prune.end"' in line:
                for removed in read(line)["removed"]:
                    stored.pop(removed["id"], None)
    for key, record in stored.items():
        said, plan, asset = record["snapshot"], record["plan"], record["asset"]
        manifest = _manifest(plan, asset, record["run"], utc(said["consistent_point"]), said["bytes"])
        text, directory = manifest_text(manifest), catalogue / plan / asset
        if text_digest(text) != said["manifest_sha256"]:
            raise ValueError(f"record {record['seq']} is of another manifest")
        directory.mkdir(parents=True, mode=0o700, exist_ok=True)
        snapshot = snapshot_of(manifest, text, key, "/var/lib/ccdr/ccdr-capture", utc(record["time"]))
        (directory / f"{key}.json").write_text(entry_text(snapshot, text), "utf-8")
    return len(stored)


def _source(plan: str, asset: str) -> str:
    return f"/srv/{plan}/{asset}"


def _manifest(plan: str, asset: str, run: str, point: datetime, size: int) -> Manifest:
    """Of a capture of forty directories."""
    dirs = {f"{_source(plan, asset)}/{n:02}": {"files": 1000 + n, "bytes": size // 40} for n in range(40)}
    contents = {"source": _source(plan, asset), "files": 40_000, "bytes": size - size % 1000, "directories": dirs}
    files = {"listing.jsonl": FileDigest(size % 1000, "ab" * 32, 40_000)}
    return Manifest(
        plan, asset, run, "files", "scan", "dr1", point, 0.0, {"ccdr": "0.1.0"}, contents, files, attested=SAID
    )


def _run_id(when: datetime, dice: random.Random) -> str:
    return f"{when:%Y%m%dT%H%M%S}-{dice.getrandbits(24):06x}"


def _asset(centre: Centre, plan_at: int, asset_at: int) -> Iterator[Event]:
    """One asset's backups and tests, in order of time; each asset has a character of its own."""
    plan, asset = centre.plan_name(plan_at), centre.asset_names()[asset_at]
    order = plan_at * 1000 + asset_at
    dice = random.Random(centre.seed * 1_000_003 + order)
    whose = (plan_at * 3 + asset_at) % 23
    untested, failing, slow = whose == 22, whose == 7, whose == 11
    size = dice.randrange(10**8, 4 * 10**10)
    slot = _first_slot(centre, plan_at, asset_at)
    test_due = slot + (asset_at % 7 + 1) * DAY
    outage = centre.start + timedelta(days=centre.days * 0.6), centre.start + timedelta(days=centre.days * 0.6 + 2)
    stored: list[tuple[str, datetime]] = []
    missed = 0
    while slot < centre.end - timedelta(hours=1):
        due, slot = slot, slot + centre.every
        if plan_at == 1 and outage[0] <= due < outage[1]:
            missed += 1
            continue
        trigger = {"by": "run", "due": _text(due)}
        if missed:
            first = due - missed * centre.every
            body = {"verb": "backup", "due": _text(due - centre.every), "first_due": _text(first), "count": missed,
                    "reason": "the host was down or asleep"}  # fmt: skip
            yield due, order, "missed", plan, asset, None, body
            missed = 0
        run = _run_id(due, dice)
        start = {"plan_sha256": "ab" * 32, "engine": "files", "method": "scan", "trigger": trigger}
        yield due, order, "backup.start", plan, asset, run, start
        took = 2 + size / 4e8 * dice.uniform(0.8, 1.3)
        fate = dice.random()
        if fate < 0.0004:
            continue  # killed
        bad = fate < 0.006
        done = due + timedelta(seconds=took)
        snapshot = {"id": _snapshot_id(plan, asset, due), "consistent_point": _text(due + timedelta(seconds=1)),
                    "bytes": size, "manifest_sha256": f"{dice.getrandbits(256):064x}"}  # fmt: skip
        if centre.manifests and due > centre.end - KEPT - 8 * DAY:  # it may be in the catalogue yet
            manifest = _manifest(plan, asset, run, due + timedelta(seconds=1), size)
            snapshot["manifest_sha256"] = text_digest(manifest_text(manifest))
        added = int(size * dice.uniform(0.001, 0.01))
        size = min(size + added // 2, MOST_BYTES)
        yield done, order, "backup.end", plan, asset, run, {
            "result": "FAILED" if bad else "STORED",
            "reason": "restic exited with 1: Save(<data/5f1c>) failed: connection refused" if bad else None,
            "snapshot": None if bad else snapshot, "added_bytes": 0 if bad else added, "clock_skew_s": 0.0,
            "phases": {"capture": round(took * 0.3, 3), "store": round(took * 0.7, 3)},
            "tools": {"source": "files", "ccdr": "0.1.0"}, "notes": [], "findings": [], "left_behind": [],
        }  # fmt: skip
        if not bad:
            stored.append((snapshot["id"], due + timedelta(seconds=1)))
            stored = stored[-40:]
        if test_due <= due and stored and not untested:
            test_due += centre.tested
            yield from _test(
                centre, plan, asset, order, dice, done + timedelta(seconds=30), stored, size, failing, slow
            )


def _test(
    centre: Centre, plan: str, asset: str, order: int, dice: random.Random, when: datetime,
    stored: list[tuple[str, datetime]], size: int, failing: bool, slow: bool,
) -> Iterator[Event]:  # fmt: skip
    run = _run_id(when, dice)
    selection = dice.choices(("latest", "random", "oldest"), (8, 2, 1))[0]
    snapshot, point = {"latest": stored[-1], "oldest": stored[0], "random": dice.choice(stored)}[selection]
    body: dict[str, Any] = {"plan_sha256": "ab" * 32, "restore_tests": {"files": "cd" * 32}, "selection": selection,
                            "trigger": {"by": "run", "due": _text(when)}}  # fmt: skip
    yield when, order, "restore_test.start", plan, asset, run, body
    fate = dice.random()
    if fate < 0.002:
        return
    age = (centre.end - when) / DAY
    verdict = "FAIL" if failing and age < centre.days * 0.2 else "INCONCLUSIVE" if fate < 0.02 else "PASS"
    fetch, load, check = size / 3e8 * dice.uniform(0.9, 1.2), size / 2e8 * dice.uniform(0.9, 1.2), size / 5e8
    if slow:
        load += 1500 + 1200 * (1 - age / centre.days)
    phases = {"provision": 1.1, "fetch": fetch, "load": load, "check": check, "dispose": 0.6}
    answering = 1.1 + fetch + load
    rto = answering + check
    status = {"PASS": "PASS", "FAIL": "FAIL", "INCONCLUSIVE": "INCONCLUSIVE"}[verdict]
    checks = [
        {"kind": "identical", "name": "every file is the one captured", "status": status, "expected": "0 differ",
         "actual": "3 differ" if verdict == "FAIL" else "0 differ"},
        {"kind": "integrity", "name": "no unreadable file", "status": "PASS", "expected": "0", "actual": "0"},
        {"kind": "rows", "name": "call has at least 1000 rows", "status": "PASS", "expected": "≥ 1000", "actual": "52311"},
    ]  # fmt: skip
    reasons = {"PASS": None, "FAIL": "failed: every file is the one captured", "INCONCLUSIVE": "Docker does not answer"}
    exposure = (when - point).total_seconds()
    yield when + timedelta(seconds=rto), order, "restore_test.end", plan, asset, run, {
        "verdict": verdict, "reason": reasons[verdict],
        "snapshot": {"id": snapshot, "consistent_point": _text(point), "bytes": size, "selected": selection,
                     "seed": 7 if selection == "random" else None, "manifest_sha256": "ef" * 32,
                     "verdict": None if verdict == "INCONCLUSIVE" else verdict},
        "phases": {k: round(v, 3) for k, v in phases.items()} if verdict != "INCONCLUSIVE" else dict.fromkeys(phases, 0.0),
        "checks": checks if verdict != "INCONCLUSIVE" else [],
        "rpo": {"objective_s": 7200, "achieved_s": round(exposure, 3), "verdict": "MET"},
        "rto": {"objective_s": 1800, "achieved_s": round(rto, 3) if verdict == "PASS" else None,
                "answering_s": round(answering, 3) if verdict == "PASS" else None, "basis": "throwaway",
                "verdict": ("MET" if rto <= 1800 else "BREACHED") if verdict == "PASS" else "NOT_MEASURED"},
        "findings": [], "sandbox": {"image": "ccdr-sandbox/files:1", "image_digest": "sha256:" + "12" * 32, "network": "none"},
        "disposal": {"kept_until": None, "sandbox_gone": True, "scratch_gone": True, "left_behind": []},
        "tools": {"ccdr": "0.1.0", "restic": "0.18.0"},
    }  # fmt: skip


def _upkeep(centre: Centre, plan_at: int) -> Iterator[Event]:
    """A plan's prunes (weekly) and checks (daily for few plans, weekly for many)."""
    plan, order = centre.plan_name(plan_at), 900_000 + plan_at
    dice = random.Random(centre.seed * 7 + order)
    when, day, held = centre.start + timedelta(hours=5, minutes=plan_at), 0, 4 * 10**9
    while when < centre.end - timedelta(hours=1):
        if day % 7 == 0:
            run = _run_id(when, dice)
            yield (
                when,
                order,
                "prune.start",
                plan,
                None,
                run,
                {"plan_sha256": "ab" * 32, "trigger": {"by": "run", "due": _text(when)}},
            )
            held += dice.randrange(10**8, 10**9)
            yield when + timedelta(minutes=3), order, "prune.end", plan, None, run, {
                "result": "DONE", "reason": None,
                "removed": list(_past_retention(centre, plan_at, when)),
                "kept": dict.fromkeys(centre.asset_names(), 35), "held": [], "findings": [],
                "repository_bytes": held, "freed_bytes": 10**8,
            }  # fmt: skip
            run = _run_id(when, dice)
            trigger = {"by": "run", "due": _text(when + timedelta(hours=1))}
            part = day // 7 % 30 + 1
            start = {"plan_sha256": "ab" * 32, "trigger": trigger, "part": part, "parts": 30}
            yield when + timedelta(hours=1), order, "check.start", plan, None, run, start
            damaged = plan_at == 2 and day // 7 == int(centre.days / 7 * 0.7)
            yield when + timedelta(hours=1, minutes=9), order, "check.end", plan, None, run, {
                "result": "DAMAGED" if damaged else "CLEAN", "reason": "pack 5f1c… is damaged" if damaged else None,
                "part": part, "parts": 30, "covered": part, "full_since": _text(when - 210 * DAY) if day > 210 else None,
                "findings": ["pack 5f1c2c0e is damaged"] if damaged else [],
            }  # fmt: skip
        when, day = when + DAY, day + 1


def _snapshot_id(plan: str, asset: str, due: datetime) -> str:
    return sha256(f"{plan}/{asset}/{_text(due)}".encode()).hexdigest()


def _first_slot(centre: Centre, plan_at: int, asset_at: int) -> datetime:
    return centre.start + timedelta(minutes=5 * asset_at % 60, seconds=plan_at)


def _past_retention(centre: Centre, plan_at: int, when: datetime) -> Iterator[dict[str, str]]:
    """What a weekly prune removes: a week's snapshots, 35 days old."""
    plan = centre.plan_name(plan_at)
    for asset_at, asset in enumerate(centre.asset_names()):
        slot = _first_slot(centre, plan_at, asset_at)
        while slot < when - KEPT:
            if slot >= when - KEPT - 7 * DAY:
                yield {"asset": asset, "id": _snapshot_id(plan, asset, slot), "consistent_point": _text(slot),
                       "why": "older than keep_within"}  # fmt: skip
            slot += centre.every


def _text(when: datetime) -> str:
    return when.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
