"""A snapshot of log is what its tags and its index say, or it is refused."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.support.batches import NOW, WAL, batch, segment

from ccdr.host.clock import SystemClock
from ccdr.jobs.shipping.batch import Batch, Held
from ccdr.jobs.shipping.log_archive import Extent
from ccdr.jobs.shipping.recovery import index_of
from ccdr.model.errors import BackupBad
from ccdr.model.values import FileDigest
from ccdr.plans.job import Job


def hashes_of(_place: Path, _names: Sequence[str]) -> dict[str, FileDigest]:
    return {}


HEADS = {segment(n): f"begun-{n}" for n in (1, 2, 3)}
SAID = replace(batch(1, 2, id_="0123456789"), server="s1", heads=HEADS, skew=0.25)


@pytest.fixture
def place(job: Job, tmp_path: Path) -> Path:
    """The batch `SAID` as it is stored, with its own index."""
    made, spool = tmp_path / "batch", tmp_path / "spool"
    made.mkdir()
    spool.mkdir()
    filling = Batch(WAL, spool, made, hashes_of, SystemClock())
    filling.name = SAID.name
    held = Held([segment(1), segment(2)], segment(3), torn=False)
    for name in (*held.whole, f"{held.open}.open"):
        (made / name).write_bytes(b"log")
    filling._digests = {name: FileDigest(3, "x") for name in held.whole}
    filling.heads = dict(SAID.heads)
    filling.write_index(job, held, Extent(SAID.point, SAID.position, SAID.server, SAID.skew))
    return made


def test_a_snapshot_whose_tags_are_its_own_is_read(job: Job, place: Path) -> None:
    assert index_of(job, place, SAID).segments == (segment(1), segment(2))


@pytest.mark.parametrize(
    "changed",
    [
        {"point": NOW + timedelta(minutes=9)},
        {"position": "0/1"},
        {"position": ""},
        {"server": "s2"},
        {"server": None},
        {"skew": 7.0},
        {"skew": None},
        {"heads": HEADS | {segment(2): "begun-9"}},
        {"heads": {}},
        {"claimed": NOW + timedelta(minutes=9)},
        {"name": segment(7)},
        {"first": segment(2)},
        {"last": segment(1)},
        {"open": None},
    ],
)
def test_tags_that_say_something_else_than_the_index_are_refused(
    job: Job, place: Path, changed: dict[str, Any]
) -> None:
    """Anybody who may write to the repository can tag a snapshot anew; what it holds is still what was stored."""
    (what,) = changed
    named = {"name": "batch", "claimed": "point", "skew": "clock_skew_s"}.get(what, what)
    with pytest.raises(BackupBad, match=f"log snapshot 01234567 claims another {named} "):
        index_of(job, place, replace(SAID, **changed))


def test_a_point_that_is_not_believed_is_still_the_one_that_was_stored(job: Job, place: Path) -> None:
    """A host's clock was ahead: its snapshot is taken for what it holds, and nobody has changed its tags."""
    doubted = replace(SAID, point=SAID.point - timedelta(minutes=1), claimed=SAID.point, skew=None)
    assert index_of(job, place, doubted).open == segment(3)
