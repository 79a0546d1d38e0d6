"""Whoever wants another record than there was: random changes of a ledger that a key signs, with and without the key;
and honest work that looks alike.

What an auditor has from elsewhere is not theirs: the pinned key, and checkpoints that were mailed.
"""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any

from ccdr.evidence.checkpoints.checkpoint import GIVEN, Anchor, SigningKey, checkpoint_of, origin_of, read_checkpoint
from ccdr.evidence.checkpoints.keys import Pin
from ccdr.evidence.checkpoints.names import checkpoint_name
from ccdr.evidence.checkpoints.verification import Checked
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import Verification, verify
from ccdr.evidence.lineage.own_records import KEY
from ccdr.host.state import State
from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from ccdr.jobs.checkpoints.held_to import Brought, of_directory
from ccdr.jobs.checkpoints.store import directory_of
from ccdr.jobs.services import Services
from tests.support.clocks import Clock
from tests.support.harness import services as services_of
from tests.support.merkle import over
from tests.support.sparse import append_sparse

Lines = list[dict[str, Any]]
BEGAN = datetime(2026, 6, 1, 12, tzinfo=UTC)


@dataclass
class Kept:
    """A ledger and its checkpoints on a host, and what an auditor was mailed of it."""

    root: Path
    clock: Clock = field(default_factory=lambda: Clock(BEGAN))
    mailed: list[bytes] = field(default_factory=list)
    pins: list[str] = field(default_factory=list)

    @property
    def services(self) -> Services:
        made = services_of(self.root)
        ledger = Ledger(made.state.ledger, self.clock, host="db1", actor="root", begin=made.ledger._begin)
        return Services(self.clock, made.state, ledger, made.catalogue, made.lab, made.host)

    @property
    def ledger(self) -> Path:
        return self.root / "ledger"

    @property
    def checkpoints(self) -> Path:
        return directory_of(State(self.root), self.id)

    @property
    def id(self) -> str:
        return (self.ledger / "id").read_text().strip()

    def work(self, runs: int, *, crash: bool = False) -> None:
        ledger = self.services.ledger
        for number in range(runs):
            self.clock.on(minutes=7)
            run = f"{self.clock.at:%Y%m%dT%H%M%S}-{number:06x}"
            about = {"plan": "outbound", "asset": ("crm", "recordings")[number % 2], "run": run}
            append_sparse(ledger, "restore_test.start", **about, body={"trigger": {"by": "run"}})
            self.clock.on(seconds=40)
            if not crash or number % 3:
                verdict = ("PASS", "FAIL")[number % 5 == 0]
                snapshot = {"id": f"s{number}", "verdict": verdict, "selected": "latest"}
                body = {"verdict": verdict, "reason": None, "snapshot": snapshot}
                append_sparse(ledger, "restore_test.end", **about, body=body)

    def sign(self, *, mail: bool = False) -> None:
        made = make(self.services).checkpoint
        if mail:
            self.mailed.append(made.contents)

    def key(self) -> None:
        self.pins.append(str(signing_keys.create(self.services).key))

    def judged(self) -> tuple[Verification, Checked]:
        """As an auditor does, with nothing of the host's but the files."""
        anchors = tuple(Anchor(GIVEN, "mail", read_checkpoint(one), None, independent=True) for one in self.mailed)
        brought = Brought(tuple(map(Pin.of, self.pins)), anchors)
        return verify(self.ledger), of_directory(self.ledger, self.checkpoints, brought, None)

    def copied(self, to: Path) -> Kept:
        shutil.copytree(self.root, to)
        return Kept(to, Clock(self.clock.at), [*self.mailed], [*self.pins])

    # What somebody with a free hand does to the files.

    def lines(self) -> Lines:
        return [json.loads(line) for path in self._segments for line in path.read_bytes().splitlines()]

    def raw(self) -> list[bytes]:
        return [line for path in self._segments for line in path.read_bytes().splitlines(keepends=True)]

    def write(self, raw: list[bytes]) -> None:
        for path in self._segments:
            path.unlink()
        (self.ledger / "000000000001.jsonl").write_bytes(b"".join(raw))

    def chained(self, lines: Lines, since: int = 0) -> None:
        """Numbered and chained anew from that line on."""
        raw, prev = self.raw()[:since], "0" * 64
        if raw:
            prev = sha256(raw[-1]).hexdigest()
        for number, record in enumerate(lines[since:], start=since + 1):
            line = json.dumps({**record, "seq": number, "prev": prev}, separators=(",", ":"), ensure_ascii=False)
            raw.append(line.encode() + b"\n")
            prev = sha256(raw[-1]).hexdigest()
        self.write(raw)

    @property
    def private(self) -> SigningKey:
        newest = max(signing_keys.keys_directory(State(self.root)).glob("*.pem"), key=lambda p: p.stat().st_mtime_ns)
        return SigningKey.of_pem("ccdr.host/db1", newest.read_bytes())

    def signed_anew(self) -> None:
        """Each checkpoint again, over the lines as they are now, by the key that lies on the host."""
        raw, key = self.raw(), self.private
        sizes = sorted({int(path.stem) for path in self.checkpoints.glob("*.txt")} | {len(raw)})
        shutil.rmtree(self.checkpoints)
        self.checkpoints.mkdir()
        for size in (one for one in sizes if 0 < one <= len(raw)):
            made = checkpoint_of(origin_of(self.id), over(raw[:size]), key)
            (self.checkpoints / checkpoint_name(size)).write_bytes(made.contents)

    @property
    def _segments(self) -> list[Path]:
        return sorted(self.ledger.glob("*.jsonl"))


def a_year(root: Path) -> Kept:
    """Work, a key, checkpoints; some of them were mailed; and some work after the last one that was."""
    kept = Kept(root)
    State(root).directory("keys")  # is of today's format from the beginning
    kept.work(6)
    kept.key()
    kept.sign(mail=True)
    for round_ in range(4):
        kept.work(5, crash=round_ == 1)
        kept.sign(mail=round_ in (1, 2))
    kept.work(3)
    return kept


# --- changes of lines: each gives the lines as they are to be -----------------------------------------------------


def _edited(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    record = dict(lines[at])
    key = rng.choice([k for k in ("verdict", "actor", "time", "asset", "host", "run", "kind") if record.get(k)])
    better = {"verdict": "FAIL" if record.get("verdict") == "PASS" else "PASS", "kind": "backup.end"}
    earlier = datetime.fromisoformat(record["time"]) - timedelta(hours=rng.randrange(1, 40))
    better["time"] = earlier.isoformat(timespec="microseconds").replace("+00:00", "Z")
    record[key] = better.get(key, f"{record[key]}x")
    return [*lines[:at], record, *lines[at + 1 :]]


def _dropped(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], *lines[at + rng.randrange(1, 4) :]]


def _inserted(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[:at], {**lines[rng.randrange(len(lines))], "run": "20260601T120000-ffffff"}, *lines[at:]]


def _swapped(lines: Lines, rng: random.Random) -> Lines:
    one, two = sorted(rng.sample(range(len(lines)), 2))
    changed = [*lines]
    changed[one], changed[two] = changed[two], changed[one]
    return changed


def _truncated(lines: Lines, rng: random.Random) -> Lines:
    return lines[: rng.randrange(1, len(lines))]


def _without_the_oldest(lines: Lines, rng: random.Random) -> Lines:
    return lines[rng.randrange(1, 10) :]


def _doubled(lines: Lines, rng: random.Random) -> Lines:
    at = rng.randrange(len(lines))
    return [*lines[: at + 1], *lines[at:]]


def _another_key(lines: Lines, rng: random.Random) -> Lines:
    """The record of the key names a forger's."""
    from ccdr.evidence.checkpoints.keys import statement

    key = SigningKey.new("ccdr.host/db1")
    ledger = next(one["ledger"] for one in lines if one["kind"] == "ledger.begin")
    import base64

    signature = base64.b64encode(key.sign(statement(ledger, key.verifier, None))).decode()
    return [{**one, "key": str(key.verifier), "signature": signature} if one["kind"] == KEY else one for one in lines]


CHANGES: dict[str, Callable[[Lines, random.Random], Lines]] = {
    "edited": _edited, "dropped": _dropped, "inserted": _inserted, "swapped": _swapped, "truncated": _truncated,
    "without the oldest": _without_the_oldest, "doubled": _doubled, "another key": _another_key,
}  # fmt: skip


@dataclass(frozen=True)
class Tampering:
    """What is changed, and how far whoever did it goes to hide it."""

    change: str
    hiding: str  # none, chained (all after it numbered and hashed anew), signed (… and by the host's key)
    gone: str  # which checkpoints were removed as well: none, all, newest

    def __str__(self) -> str:
        return f"{self.change}, {self.hiding}, {self.gone} gone"


def drawn(rng: random.Random) -> Tampering:
    return Tampering(
        rng.choice(list(CHANGES)), rng.choice(("none", "chained", "signed")), rng.choice(("none", "all", "newest"))
    )


def tampered(kept: Kept, how: Tampering, rng: random.Random) -> int | None:
    """Do it; the number of the first record that is another one, or is not there any more. None: nothing changed."""
    before = kept.raw()
    lines = CHANGES[how.change](kept.lines(), rng)
    if how.hiding == "none":
        by_text = {json.dumps(json.loads(line), sort_keys=True): line for line in before}
        texts = (json.dumps(one, sort_keys=True) for one in lines)
        kept.write([by_text.get(text, text.encode() + b"\n") for text in texts])
    else:
        kept.chained(lines, 0)
    if how.hiding == "signed":
        kept.signed_anew()
    checkpoints = sorted(kept.checkpoints.glob("*.txt"))
    for path in {"none": [], "all": checkpoints, "newest": checkpoints[-1:]}[how.gone]:
        path.unlink()
    after = kept.raw()
    at = next((n for n, (a, b) in enumerate(zip(before, after, strict=False)) if a != b), min(len(before), len(after)))
    return None if after == before else at + 1
