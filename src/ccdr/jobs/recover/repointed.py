"""What of a plan is otherwise once everything stands at its new place: which key of which asset, from what to what. As
long as that is not written into the plan (or what was brought back is put where it was), backups are of the old one."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from ccdr.checks.reconcile import Reconcile
from ccdr.engines.servers.connection import Peer
from ccdr.host.files import write_durably
from ccdr.jobs.recover.journal import Journal
from ccdr.jobs.recover.result import RecoveryResult
from ccdr.jobs.recover.then_red import then_red
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.values import Manifest
from ccdr.plans import LoadedPlan
from ccdr.plans.edited import ByHand, edited
from ccdr.plans.job import Job
from ccdr.plans.targets import Target

BESIDE_SQLITE = ("-wal", "-shm", "-journal")  # of a database that something has open, or had as it crashed


@dataclass(frozen=True)
class Repointed:
    """One key of one asset (or of a check of its, in the file of a restore test). `now` is None where it is to be left
    out. `back` is the line that puts what was brought back where it was: then the key stays as it is."""

    asset: str
    file: str
    key: str
    was: str | None
    now: str | None
    back: str | None = None

    def as_json(self) -> dict[str, object]:
        return {
            "asset": self.asset,
            "file": self.file,
            "key": self.key,
            "from": self.was,
            "to": self.now,
            "or_put_back": self.back,
        }


def repointed(
    loaded: LoadedPlan,
    places: Mapping[str, Target],
    manifests: Mapping[str, Manifest] = {},
    spares: Mapping[str, str] = {},
) -> list[Repointed]:
    """Of the assets that were brought there. One of `spares` goes on at the server of the asset that it is a spare of.
    `manifests` is what was captured, as far as that is known."""
    found: list[Repointed] = []
    for asset, target in places.items():
        job, other = Job(loaded, asset), spares.get(asset)
        if other is not None and other in places:
            found += _of_a_server(job, Job(loaded, other), places[other], manifests.get(other))
        elif job.engine.has_server:
            found += _of_a_server(job, job, target, manifests.get(asset))
        elif target.directory is not None:
            files = _of_files(job, target.directory)
            found += [files, *_of_checks(loaded, asset, target.directory, files.back)]
    return found


def repoint(loaded: LoadedPlan, result: RecoveryResult, services: Services, journal: Journal | None) -> None:
    """Tell the result, of what stands at its new place now."""
    done = [step.planned for step in result.steps.values() if step.state == "done"]
    known = services.catalogue
    manifests = {
        one.asset: known.manifest(snapshot)
        for one in done
        for snapshot in known.snapshots(loaded.plan.plan, one.asset)
        if snapshot.id == one.snapshot
    }
    spares = {one.asset: one.spare_of for one in done if one.spare_of is not None}
    result.repointed = repointed(loaded, {one.asset: one.where for one in done}, manifests, spares)
    result.by_hand = by_hand(loaded, result.repointed)
    if journal is not None:
        result.edited = keep_edited(loaded, result.repointed, journal.directory)
    result.repoints = list(lines_of(result.repointed, loaded, result.edited))
    points = {one.asset: one.point for one in done if one.point is not None}
    result.then_red = list(then_red(loaded, points, spares))


def _of_a_server(job: Job, at: Job, target: Target, manifest: Manifest | None) -> Iterator[Repointed]:
    """`job` goes on to be captured where `at` was brought to."""
    now: Mapping[str, object] = {}
    with contextlib.suppress(CcdrError):  # a place that will not do any more is told of elsewhere
        if target.new_server is not None:
            now = at.engine.new_server(at.site(target.new_server)).captured_at(manifest)
        elif target.server is not None:
            now = _on_a_server(at, target)
    for key, value in now.items():
        if at is not job and not key.startswith("connection."):
            continue
        was = _stated(job, key)
        if was != (value if value is None else str(value)):
            yield Repointed(job.asset, f"plans/{job.plan}.yaml", key, was, None if value is None else str(value))


def _on_a_server(job: Job, target: Target) -> Mapping[str, object]:
    onto = job.engine.onto(str(target.server), target.password_file, target.ca_file)
    connection = getattr(onto.client, "connection", None)
    if not isinstance(connection, Peer):
        return {}
    now: dict[str, object] = {"connection.host": connection.host}
    if connection.socket is None or job.engine.engine_name == "postgres":  # whose sockets are called by their ports
        now["connection.port"] = getattr(connection, "port", None)
    return {**now, "connection.database": onto.name}


def _stated(job: Job, key: str) -> str | None:
    value: object = job.engine
    for name in key.split("."):
        value = getattr(value, name, None)
    return None if value is None else str(value)


def _of_files(job: Job, directory: Path) -> Repointed:
    pairs = moved_to(job, directory)
    lines = [f"mkdir -p {shlex.quote(str(was.parent))} && {_moved(job, now, was)}" for was, now in pairs]
    key, back = "paths" if _several(job) else "path", " && ".join(lines)
    was, now = (_listed([pair[n] for pair in pairs]) for n in (0, 1))
    return Repointed(job.asset, f"plans/{job.plan}.yaml", key, was, now, back)


def moved_to(job: Job, directory: Path) -> list[tuple[Path, Path]]:
    """Of what is no server's: each path as it was, and as it is below the directory that it was brought to."""
    paths = job.engine.source_paths
    return [(path, _below(directory, path) if _several(job) else directory / path.name) for path in paths]


def _several(job: Job) -> bool:
    return job.engine.engine_name == "files"


def _below(directory: Path, path: Path) -> Path:
    return directory / path.relative_to("/")


def _moved(job: Job, one: Path, to: Path) -> str:
    """Never into a tree that is there: that it must replace, and does so only where it is empty. A database goes where
    none is, nor the log of one that was lost, which would be replayed into it: what is in its way is named."""
    moved = shlex.join(["mv", "-T", str(one), str(to)])
    if _several(job):
        return moved
    there = shlex.join(["find", *(f"{to}{end}" for end in ("", *BESIDE_SQLITE)), "-maxdepth", "0"])
    return f'[ -z "$({there} 2>/dev/null | tee /dev/stderr)" ] && {moved}'


def _listed(paths: list[Path]) -> str:
    return ", ".join(map(str, paths))


def _of_checks(loaded: LoadedPlan, files: str, directory: Path, back: str | None) -> Iterator[Repointed]:
    """A `root:` of rows' paths goes with the files; rows that hold whole paths are right only once these are back."""
    for asset, checks in loaded.checks.items():
        for check in checks:
            if isinstance(check, Reconcile) and check.beside == files and check.root is not None:
                stated = next(_files_with(loaded, check.root), None)
                if stated is not None:
                    now = str(_below(directory, check.root))
                    yield Repointed(asset, stated, f"root of “{check.label}”", str(check.root), now, back)


def _files_with(loaded: LoadedPlan, root: Path) -> Iterator[str]:
    for name, text in loaded.texts.items():
        if name.startswith("restore_tests/"):
            checks = (yaml.safe_load(text) or {}).get("checks") or []
            if any(isinstance(check, dict) and check.get("root") == str(root) for check in checks):
                yield name


def edited_plan(loaded: LoadedPlan, found: Sequence[Repointed]) -> str | None:
    """The plan's text with all that is edited in it; None where nothing is. ByHand where a person has to."""
    name = f"plans/{loaded.plan.plan}.yaml"
    values = {("assets", one.asset, *one.key.split(".")): one.now for one in found if one.back is None}
    return edited(loaded.texts[name], values) if values and name in loaded.texts else None


def by_hand(loaded: LoadedPlan, found: Sequence[Repointed]) -> str | None:
    """Why a person has to edit the plan, as half a sentence; None where that is no more than copying a file."""
    try:
        edited_plan(loaded, found)
    except ByHand as why:
        return str(why)
    return None


def keep_edited(loaded: LoadedPlan, found: Sequence[Repointed], directory: Path) -> Path | None:
    """Beside the recovery's journal, for a person to put in its place."""
    try:
        text = edited_plan(loaded, found)
    except ByHand:
        return None
    if text is None:
        return None
    write_durably(path := directory / loaded.path.name, text)
    return path


def kept_edited(loaded: LoadedPlan, directory: Path) -> Path | None:
    """The one that a recovery has kept; None where it kept none, or where somebody has put it in its place since."""
    with contextlib.suppress(OSError):
        path = directory / loaded.path.name
        return None if path.read_bytes() == loaded.path.read_bytes() else path
    return None


def lines_of(found: Sequence[Repointed], loaded: LoadedPlan, kept: Path | None = None) -> Iterator[str]:
    """For people, a line each: what is edited in which file (`kept`: the plan as it is then), and then what is put back
    and so needs no edit."""
    edits = [one for one in found if one.back is None]
    if edits and kept is not None:
        yield "the plan with these changes, all of them at once:"
        yield f"    {shlex.join(['cp', str(kept), str(loaded.path.absolute())])}"
    elif (why := by_hand(loaded, edits)) is not None:
        yield f"edit plans/{loaded.plan.plan}.yaml by hand, ccdr writes no copy of it: {why}"
    for one in edits:
        yield f"in {one.file}, {one.asset}: {_edit(one)}"
    for back in dict.fromkeys(one.back for one in found if one.back is not None):
        those = [one for one in found if one.back == back]
        instead = "; ".join(f"{one.key}: {one.now}" for one in those)
        yield f"{those[0].asset}: put it back where it was, and leave the plan as it is (else {instead}):"
        yield f"    {back}"


def _edit(one: Repointed) -> str:
    if one.now is None:
        return f"leave {one.key} out: this host lacks {one.was}"
    return f"{one.key}: {one.was} → {one.now}" if one.was is not None else f"{one.key}: {one.now}"
