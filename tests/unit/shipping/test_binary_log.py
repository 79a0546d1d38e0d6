"""MariaDB's binary log, as it is received anew: what is the same, what is another, where it leaves a gap."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest
from tests.support.batches import NOW, batch, undigested
from tests.support.harness import ShiftedClock

from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb.binlog import Binlog
from ccdr.engines.mariadb.connection import Connection as MariaConnection
from ccdr.engines.mariadb.logfile import head_of
from ccdr.jobs.shipping.batch import Batch, Held, WentBack
from ccdr.jobs.shipping.log_archive import Gap, StoredBatch
from ccdr.model.errors import CcdrError
from ccdr.ports.log import LogMark
from ccdr.ports.place import Source

BINLOG = Binlog(MariaConnection(host="/run", user="x", database="y"), LogShipping(), "p/crm")


def logfile(spool: Path, number: int, begun: int, more: bytes = b"") -> None:
    """As a server begins it."""
    spool.mkdir(exist_ok=True)
    (spool / f"binlog.{number:06}").write_bytes(struct.pack("<4sIBI", b"\xfebin", begun, 15, 7) + more)


def receiving(tmp_path: Path, chain: Sequence[StoredBatch] = ()) -> Batch:
    made = Batch(BINLOG, tmp_path / "spool", tmp_path / "batch", undigested, ShiftedClock())
    if chain:
        made.goes_on(chain[-1], chain)
    return made


def test_a_binary_log_tells_when_it_was_begun(tmp_path: Path) -> None:
    logfile(tmp_path, 1, 1_764_113_417)
    assert head_of(tmp_path / "binlog.000001") == "20251125T233017Z-7"
    (tmp_path / "binlog.000002").write_bytes(b"\xfebin\x00")  # it is just being received
    assert head_of(tmp_path / "binlog.000002") is None and head_of(tmp_path / "binlog.000003") is None


def test_what_was_received_before_counts_until_there_is_as_much_again(tmp_path: Path) -> None:
    """A receiver that is started again begins the last file anew."""
    name, spool = "binlog.000002", tmp_path / "spool"
    batch = receiving(tmp_path)
    logfile(spool, 1, 1000)
    logfile(spool, 2, 1001, b"what was received")
    size = (spool / name).stat().st_size
    kept = (spool / name).rename(spool / f"{name}.kept")

    def stored() -> bytes:
        assert batch.gather() == Held(["binlog.000001"], name, torn=False)
        return (batch.directory / f"{name}.open").read_bytes()

    assert BINLOG.reaches(spool, f"{name}:{size}") and stored().endswith(b"what was received")
    mark = LogMark(f"{name}:{size}", NOW, 0.0)
    assert not BINLOG.holds(cast("Source", None), spool, mark), "nobody has sent it"
    for more in (b"", b"what was"):
        logfile(spool, 2, 1001, more)
        assert stored().endswith(b"what was received") and kept.exists()
    logfile(spool, 2, 1001, b"what was received")
    assert stored().endswith(b"what was received") and not kept.exists()
    assert BINLOG.holds(cast("Source", None), spool, mark)


@pytest.mark.parametrize("anew", [False, True])
def test_what_was_received_before_is_not_taken_for_what_the_source_has_now(tmp_path: Path, anew: bool) -> None:
    """A later file has begun, so this one is as the source has it; or the log was begun anew."""
    spool, batch = tmp_path / "spool", receiving(tmp_path)
    logfile(spool, 1, 1001, b"what the source has lost")
    batch.gather()
    (spool / "binlog.000001").rename(spool / "binlog.000001.kept")
    logfile(spool, 1, 2000 if anew else 1001)
    if anew:
        with pytest.raises(CcdrError, match="begun anew"):
            batch.gather()
        return
    logfile(spool, 2, 1002)
    assert batch.gather().whole == ["binlog.000001"]
    stored = (batch.directory / "binlog.000001").read_bytes()
    assert stored == (spool / "binlog.000001").read_bytes() and not list(spool.glob("*.kept"))


def test_a_segment_of_the_same_name_that_begins_otherwise_is_refused(tmp_path: Path) -> None:
    spool, batch = tmp_path / "spool", receiving(tmp_path)
    logfile(spool, 1, 1000)
    assert batch.gather().open == "binlog.000001"
    logfile(spool, 1, 1000, b"what has come since")
    logfile(spool, 2, 1001)
    assert batch.gather().whole == ["binlog.000001"]
    batch.close(batch.gather())
    assert batch.gather().open == "binlog.000002"
    logfile(spool, 1, 2000)  # closed, and let go all but in the spool
    with pytest.raises(WentBack, match=r"binlog\.000001 begins otherwise"):
        batch.gather()
    logfile(spool, 1, 1000)
    logfile(spool, 2, 2001)
    with pytest.raises(WentBack, match=r"binlog\.000002 begins otherwise"):
        batch.gather()


@pytest.mark.parametrize("number", [1, 2])
def test_a_source_that_begins_anew_right_after_a_batch_was_closed_is_refused(tmp_path: Path, number: int) -> None:
    """Nobody has looked at the spool since: how its segments began is known from what was stored."""
    spool, batch = tmp_path / "spool", receiving(tmp_path)
    logfile(spool, 1, 1000)
    logfile(spool, 2, 1001)
    batch.close(batch.gather())
    logfile(spool, number, 2000)
    with pytest.raises(CcdrError, match=rf"begun anew.*: binlog\.00000{number} begins otherwise"):
        batch.gather()


def test_a_gap_in_the_log_is_told_once(tmp_path: Path) -> None:
    spool = tmp_path / "spool"
    stored = replace(batch(1, 1), name="binlog.000001", first="binlog.000001", last="binlog.000001")
    logfile(spool, 3, 1002)
    going = receiving(tmp_path, [stored])
    assert going.gather().gaps == (Gap("binlog.000001", "binlog.000003"),)
    logfile(spool, 3, 1002, b"more has come")
    assert going.gather().gaps == ()
    logfile(spool, 4, 1003)
    assert going.gather().gaps == (), "nor when it is whole"


def test_how_segments_begin_is_known_from_what_is_stored(tmp_path: Path) -> None:
    heads = {"binlog.000001": "19700101T001640Z-7", "binlog.000002": "19700101T001641Z-7"}
    stored = replace(
        batch(1, 1),
        name="binlog.000001",
        first="binlog.000001",
        last="binlog.000001",
        open="binlog.000002",
        heads=heads,
    )
    logfile(tmp_path / "spool", 2, 1001)
    assert receiving(tmp_path, [stored]).gather().open == "binlog.000002"
    logfile(tmp_path / "spool", 2, 2000)
    with pytest.raises(CcdrError, match="begun anew"):
        receiving(tmp_path, [stored]).gather()


def test_a_log_goes_on_from_the_newest_base_or_not_at_all(tmp_path: Path) -> None:
    logfile(tmp_path / "spool", 3, 1000)
    made = receiving(tmp_path)
    made.base = ("binlog.000003", "19700101T002640Z-7")
    with pytest.raises(CcdrError, match="begun anew") as refused:
        made.gather()
    assert "ccdr backup" in str(refused.value.hint)
    for base in (("binlog.000003", "19700101T001640Z-7"), ("binlog.000003", None), ("binlog.000002", "else"), None):
        made = receiving(tmp_path)
        made.base = base
        assert made.gather().open == "binlog.000003"
