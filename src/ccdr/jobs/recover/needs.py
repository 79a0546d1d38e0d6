"""What a recovery of one asset needs, and whether this host has it: room where it goes and on the way, memory."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.jobs.recover.choosing import Candidate
from ccdr.jobs.recover.places import path_of
from ccdr.jobs.recover.states import Room
from ccdr.model.values import Manifest, Snapshot, human_bytes
from ccdr.plans.job import Job
from ccdr.plans.targets import Target

MARGIN = 2**26  # bytes that a file system needs beside the data
SLACK = 2**30  # of a sandbox's room: for what a server needs beside its data, whatever that is


@dataclass(frozen=True)
class Needs:
    """Bytes: what a restore of it writes, with what it depends on, and of its log; room where it is brought and in the
    state directory; memory of its sandbox."""

    restored: int
    log: int
    room: int
    scratch: int
    memory: int


def needs_of(
    job: Job, where: Target, state: Candidate, manifest: Manifest, bases: Sequence[tuple[Snapshot, Manifest]]
) -> Needs:
    engine, snapshot = job.engine, state.snapshot
    fetched = snapshot.bytes + sum(base.bytes for base, _ in bases)
    needs = engine.sandbox(manifest)
    sandboxed = engine.in_sandbox or any(check.needs_sandbox for check in job.checks)
    if where.directory is not None:
        room = (2 if bases else 1) * fetched + state.log_bytes
        return Needs(fetched, state.log_bytes, room, 0, needs.memory if sandboxed and not engine.has_server else 0)
    again = snapshot.bytes  # the second dump, or copy, to compare
    scratch = int((fetched + again + state.log_bytes) * 1.05)
    loaded = max(needs.bytes - SLACK, snapshot.bytes) if where.new_server is not None else 0
    return Needs(fetched, state.log_bytes, loaded + state.log_bytes, scratch, needs.memory)


def rooms_of(places: Mapping[str, Target], needs: Mapping[str, Needs], state: Path) -> tuple[list[Room], list[str]]:
    """By file system, all assets that go there together; and a sentence for each that has too little room. What is
    needed on the way is needed by the largest at least: who has room for no more does them one after the other."""
    wanted: dict[int, tuple[Path, int, list[str]]] = {}

    def add(at: Path, size: int, what: str) -> None:
        there = _existing(at)
        device = there.stat().st_dev
        before = wanted.get(device)
        wanted[device] = (
            before[0] if before else there,
            (before[1] if before else 0) + size,
            [*(before[2] if before else []), what],
        )

    for asset, need in needs.items():
        if (path := path_of(places[asset])) is not None and need.room:
            add(path, need.room, asset)
    if largest := max((need.scratch for need in needs.values()), default=0):
        add(state, largest, "what is fetched on the way")
    rooms, lacking = [], []
    for at, size, what in wanted.values():
        needed, free = size + MARGIN, shutil.disk_usage(at).free
        rooms.append(Room(at, needed, free))
        if free < needed:
            which = ", ".join(what)
            lacking.append(f"{at} has {human_bytes(free)} free, and {human_bytes(needed)} are needed there: {which}")
    return rooms, lacking


def _existing(path: Path) -> Path:
    return next((p for p in (path, *path.parents) if p.exists()), Path("/"))
