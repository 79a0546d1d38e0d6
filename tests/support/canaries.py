"""Canaries: what stands for a customer's data and for secrets, and every place where none of it may be found.

Each is planted where a program will quote it. It must have been said (it is kept in STATE/private, or nothing was
tried), and it must be nowhere else.
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.model.values import Manifest
from ccdr.plans import LoadedPlan
from ccdr.plans.job import Job
from ccdr.ports.place import Place
from tests.support.harness import Quiet, Ran, Site
from tests.support.listeners import Web
from tests.support.watching import Watch

NAME, PHONE, CARD = "Zamfirescu_Iolanda", "0722911847", "4929384756102938"
ADDRESS, SECRET = "Strada_Pieptanari_117", "hush_hush_9c1f7e"
# As MariaDB keeps a password: by ed25519, and by the way of old.
HASH, NATIVE = "hMarc8UoVZyqJyVKBTVFY7KMJ9UzJ2Vs1IS5rVfLTGw", "*2470C0C06DEE42FD1618BB99005ADCA2EC9D1E19"
CANARIES = {"name": NAME, "phone": PHONE, "card": CARD, "address": ADDRESS, "secret": SECRET}
CANARIES |= {"hash": HASH, "native hash": NATIVE}
# A file's name, as telephone systems give them.
FILE = f"{PHONE}-{NAME}"

# Nothing is due by itself.
SELDOM = 'backup: {schedule: "15 4 1 1 *"}'


@dataclass
class Watched:
    """A site whose every answer is kept, to be searched for canaries. `web` takes its messages."""

    site: Site
    web: Web | None = None
    said: dict[str, str] = field(default_factory=dict)

    def run(self, *words: str, **options: Any) -> Ran:
        done = self.site.run(*words, **options)
        self.said[f"{len(self.said)}: ccdr {' '.join(words)} --json"] = f"{done.stdout}\n{done.stderr}"
        return done

    def plainly(self, *words: str) -> str:
        """As cron has it: for people, and no terminal."""
        out, err = self.site.start(*words).communicate()
        self.said[f"{len(self.said)}: ccdr {' '.join(words)}"] = f"{out}\n{err}"
        return out + err

    def notes(self, done: RestoreTest) -> RestoreTest:
        """A test that was made in this process: what it would print."""
        self.said[f"{len(self.said)}: test of {done.asset}"] = f"{done.as_json()} {done.hint} {done.reason}"
        return done


def met(site: Site, asset: str, edit: Any) -> RestoreTest:
    """A restore test whose load meets what `edit` has made of the fetched files: as where the repository holds it so."""
    loaded = site.loaded()
    engine = loaded.plan.assets[asset]

    class Edited(type(engine)):  # type: ignore[misc]
        def load(self, box: Place | None, restored: Path, manifest: Manifest) -> None:
            edit(restored)
            super().load(box, restored, manifest)

    changed = Edited.model_construct(**{name: getattr(engine, name) for name in type(engine).model_fields})
    plan = loaded.plan.model_copy(update={"assets": {**loaded.plan.assets, asset: changed}})
    job = Job(LoadedPlan(plan, loaded.path, loaded.sha256, loaded.checks, loaded.restore_tests, None), asset)
    return restore_test(job, "latest", site.services(), Quiet())


def readers(watched: Watched, plan: str = "p") -> None:
    """Have everything said that ccdr says of what has happened."""
    textfile = watched.site.root / "ccdr.prom"
    watched.run("notify", "test", plan, "--dry-run")
    watched.run("run", "--metrics", str(textfile))  # tells people what is wrong
    watched.said["metrics"] = textfile.read_text()
    watched.run("status")
    watched.run("snapshots", plan)
    watched.run("ledger", "show")
    for form in ("html", "json", "csv"):
        out = watched.site.root / f"report.{form}"
        watched.run("report", "--format", form, "--out", str(out))
        watched.said[f"report.{form}"] = out.read_text("utf-8")
    if watched.web is not None:
        assert watched.web.documents, "nobody was told"
        watched.said["messages"] = str(watched.web.documents)


def nowhere(watched: Watched, seen: Watch | None = None, *, listed: bool = False) -> None:
    """No canary is in any record, answer, message, state file but the private ones, label or argument list. `listed`:
    the files engine's listings hold the names of files by design, and are searched for all else."""
    wrong = list(_found(watched, seen, listed=listed))
    assert not wrong, "\n".join(wrong)


def _found(watched: Watched, seen: Watch | None, *, listed: bool) -> Iterator[str]:
    for where, text in watched.said.items():
        yield from _in(text, where)
    state = watched.site.state
    for path in sorted(p for p in state.rglob("*") if p.is_file() and not p.is_symlink()):
        below = path.relative_to(state)
        if below.parts[0] == "private":
            continue
        if below.parts[0] == "plans" and path.suffix == ".yaml":  # a person's own plan, word for word, for nobody else
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            continue
        names = (NAME, PHONE) if listed and below.parts[0] == "index" else ()
        yield from _in(path.read_bytes().decode("utf-8", "replace"), f"STATE/{below}", besides=names)
        yield from _in(str(below), "names in STATE")
    if seen is not None:
        assert len(seen.lines) > 1, "nobody watched"
        for line in seen.lines:
            yield from _in(line.replace("\0", " "), "argument list")
        for text in seen.containers.values():
            yield from _in(text, "container")


def _in(text: str, where: str, *, besides: Collection[str] = ()) -> Iterator[str]:
    for what, canary in CANARIES.items():
        if canary not in besides and (at := text.find(canary)) >= 0:
            around = text[max(0, at - 160) : at + 80].replace("\n", "⏎")
            yield f"{what} in {where}: …{around}…"


def kept(site: Site, run: str, *canaries: str) -> None:
    """Programs have quoted these, and a person finds them where they are private."""
    private = site.state / "private"
    assert stat.S_IMODE(private.stat().st_mode) == 0o700
    path = private / f"{run}.txt"
    assert path.exists(), "no program said anything that is kept"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    text = path.read_text("utf-8")
    missing = [canary for canary in canaries if canary not in text]
    assert not missing, f"{missing} not said: the test shows nothing\n{text}"
