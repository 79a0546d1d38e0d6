"""Each file that ccdr writes down for itself is of one type, written one way and read one way."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from tests.support.sparse import sparse_record

from ccdr.evidence.checkpoints.checkpoint import SigningKey, Tree, checkpoint_of, origin_of
from ccdr.evidence.checkpoints.published import Published, PublishedCheckpoint
from ccdr.evidence.checkpoints.verification import Finding
from ccdr.evidence.ledger.ledger import Mark
from ccdr.evidence.lineage.comparison import KeptLineage
from ccdr.evidence.lineage.own_records import (
    AnchorChange,
    Anchoring,
    Compared,
    ConfiguredAnchor,
    LastAnchored,
    LedgerBeside,
    Lineage,
    Lost,
    RecordedVerification,
    Spoilt,
)
from ccdr.evidence.log_standing import LogStanding
from ccdr.evidence.payloads import Payload
from ccdr.host import files
from ccdr.host.state_files import StateDamaged, encoded, read_state, state_or_none, write_state
from ccdr.jobs import by_itself, object_locks
from ccdr.jobs import leftovers as retired
from ccdr.jobs.attest import comparison as when_due
from ccdr.jobs.attest import storing
from ccdr.jobs.checkpoints.publishing import Put
from ccdr.jobs.checkpoints.store import Grown
from ccdr.jobs.daily_verification import KeptMark
from ccdr.jobs.erasure.register import Apart
from ccdr.jobs.in_force import NewestVersion
from ccdr.jobs.plan_in_repository.stored_versions import StoredPlan
from ccdr.jobs.restore import new_server as left_server
from ccdr.jobs.shipping.log_archive import LogIndex
from ccdr.model.erasure import Rows, Selector
from ccdr.model.errors import CcdrError, OfBefore, WrittenByNewer
from ccdr.model.finding import Finding as LogFinding
from ccdr.model.forks import Fork
from ccdr.model.measure import Point
from ccdr.model.schedule import Slot
from ccdr.model.trouble import Trouble
from ccdr.model.values import Attestation, CheckResult, FileDigest, GroupRun, Needed, Snapshot, Verb, Verdict
from ccdr.plans import trust
from ccdr.ports.log import Reached
from ccdr.ports.new_server import Owner, StartLines
from ccdr.run import responsible
from ccdr.run.next_due import Log, Wake
from ccdr.storage.catalogue import Entry
from ccdr.telling.notify import state as told

AT = datetime(2026, 11, 24, 2, 30, 0, 250_000, tzinfo=UTC)
MARK = Mark("000000000001.jsonl", 0, 200, 1, "cd")
KEY = SigningKey.new("ccdr.host/db1")
NOTE = checkpoint_of(origin_of("a1"), Tree(), KEY).contents.decode()
PUBLISHED = Published(
    "s3://bucket",
    (PublishedCheckpoint("k", "v", AT, True, NOTE),),
    frozenset(("v1", "v2")),
    (Finding("FORK", "two of them", 3), Finding("REMOVED", "gone")),
)
LOST = Lost("b2", 7, "cd", "then")
LINEAGE = Lineage(
    ledger="a1",
    begun="then",
    since=1,
    installation="i1",
    lost=(LOST,),
    past=((LOST, "later", "answer.ledger"),),
    linked=("c3",),
    beside={"d4": LedgerBeside("d4", 9, "ef", "then", ("p",), linked=True)},
    compared={"p": Compared("then", "AGREES", 2, 4, ("odd",), {"crm": ("s1",)}, whole=True, wholly="then")},
    verified=RecordedVerification("then", 7, "HOLDS", "EQUAL", (), 8, {"summary": "ab"}),
    answers={"b2": 9},
    spoilt=(Spoilt(3, "then", "aside", 4, "later"),),
    anchoring=Anchoring(
        sparse_record({"kind": "ledger.key"}),  # type: ignore[arg-type]
        (ConfiguredAnchor("tsa", "rfc3161", "ab", 3600.0),),
        "then",
        5,
        {"tsa": LastAnchored("tsa", "rfc3161", 7, "then", 8, "ab")},
        (AnchorChange(5, "then", ("old",), (), ("moved",)),),
    ),
)
FINDING = LogFinding("a gap", "its log", (2.0,), "s1")
STANDING = LogStanding(
    since="000000010000000000000001",
    point=AT,
    usable=AT,
    position="0/1",
    trouble="the source does not answer",
    troubled=AT,
    away=True,
    pending=(Point(AT, AT),),
    findings=(FINDING,),
    gap="x",
    server="s",
    anew=AT,
    branch=2,
    forks=(Fork(2, 1, "0/1", AT), Fork(3, 2, "0/2")),
    running=True,
)
LOG = Log("p", "crm", "ship", 66.0, (STANDING.since, None, (FINDING,), 2, AT))
ENTRY = told.Entry(
    "crm",
    Trouble.TEST_FAILED,
    "check 1",
    "ț failed",
    AT,
    step="look",
    gone=AT,
    returns=2,
    by_address={"mail": (told.As.OPEN, AT)},
    because=Trouble.BACKUP_FAILED,
)
FAILURE = told.Failure("mail", "does not answer", AT, AT, 3)
CHECK = CheckResult("log", "shipped log", Verdict.PASS, "3 segments", "3 segments")
LOADED = left_server.Loaded("s1", "image", Reached("0/1", AT, None, {"crm.calls": 2}), (CHECK,))
LEFT = left_server.LeftServer(
    plan="p",
    asset="crm",
    run="r",
    snapshot="s",
    mark="m",
    home=Path("/srv/crm"),
    address="127.0.0.1",
    port=5432,
    sockets=Path("/srv/crm/run"),
    owner=Owner(999, 999, "postgres"),
    image="i",
    lines=StartLines(("debian",), ("docker",), ("then",), ("look",), "docker exec"),
    sums={"a": "b"},
    extent=(3, 4096),
)
ORIGIN = trust.Origin("p", "v1", {"plans/p.yaml": "ab"}, 2, "0.3.0", made=True, confirmed=frozenset(("c1", "c2")))
TRUSTED = trust.Mark("then", trust.Given("s3:b", Path("/key"), Path("/env")), {"p": ORIGIN})
INDEX = LogIndex(
    plan="p",
    asset="crm",
    engine="postgres",
    source="s",
    point=AT,
    position="0/1",
    server="s",
    batch="1",
    clock_skew_s=0.5,
    anew=AT,
    forks=(Fork(2, 1, "0/1", AT),),
    segments=("1", "2"),
    open="3",
    heads={"1": "h"},
    files={"1": FileDigest(3, "ab"), "2": FileDigest(3, "cd")},
)
SNAPSHOT = Snapshot(
    "s1",
    "p",
    "crm",
    "r",
    "files",
    "scan",
    AT,
    AT,
    7,
    "/srv/\udcff",
    "ab",
    source="/srv",
    group=GroupRun("calls", "g1", ("crm",)),
    upon=(Needed("s0", "cd"),),
    attested=Attestation("a1", 7, "ab", 6, "i1", "cd"),
    arrived=AT,
    in_use=2,
    missing_s=1.5,
)


@dataclass(frozen=True)
class Kept:
    """A file of the state directory, and one example of what it holds, with a value in each field."""

    name: str
    of: Any
    example: Any


KEPT = [
    Kept("by-itself.json", by_itself.Known, {"p": AT}),
    Kept("by-itself-maybe.json", by_itself.Seen, {"p": [AT, AT]}),
    Kept("retired.json", retired.Retired, retired.Retired(day="2026-11-24", absent=(("p", "", 3), ("p", "crm", 1)))),
    Kept("compared.json", when_due.Tried, {"p": AT}),
    Kept("told-ledger.json", list[str], ["LEDGER_LOST "]),
    Kept("tries.json", dict[str, int], {"letterbox": 2}),
    Kept("stored-ledger.json", storing.Places, {"p": storing.LedgerCopy("then", "then", 3, "why", "a1")}),
    Kept("verified.json", KeptMark, KeptMark(mark=MARK, prev="ab")),
    Kept("checkpoints/a1/put/b1.json", Put, Put(until=7, plans=("c1",))),
    Kept("checkpoints/a1/tree.json", Grown, Grown(Tree(3, [(1, b"a" * 32), (0, b"b" * 32)]), MARK, AT)),
    Kept("checkpoints/a1/buckets/b1.json", Published, PUBLISHED),
    Kept("plans/p/newest.json", NewestVersion, NewestVersion(seq=7, plans="/etc/ccdr/plans")),
    Kept("plans/p/stored.json", StoredPlan, StoredPlan("d1", "s3:bucket", AT, AT)),
    Kept("chain.json", KeptLineage, KeptLineage(MARK, LINEAGE, "ab")),
    Kept("shipping/p/crm/standing.json", LogStanding, STANDING),
    Kept("schedule/wake-1.json", Wake, Wake(1.5, 2.5, ["/p", ["a", 1]], ["a1", "1.jsonl"], (LOG,))),
    Kept("told.json", told.AllTold, told.AllTold({"p": told.PlanTold((ENTRY,), {"mail": FAILURE})})),
    Kept("crm.new/ccdr-loaded.json", left_server.Loaded, LOADED),
    Kept("crm/ccdr-server.json", left_server.LeftServer, LEFT),
    Kept(trust.MARK, trust.Mark, TRUSTED),
    Kept("batch/ccdr-log.json", LogIndex, INDEX),
    Kept("catalogue/p/crm/s1.json", Entry, Entry(SNAPSHOT, "{}")),
    Kept("selectors.json", Apart, Apart("5e", {"e-000001": ("5a", Selector("crm", (Rows("t", (("c", "v"),)),)))})),
    Kept("asked.json", responsible.Stamps, {"p": {Verb.BACKUP: AT}}),
    Kept("schedule/p.a.backup.json", Slot, Slot("0 3 * * *", "UTC", AT, AT, 1, 2, AT)),
    Kept("object_locks/p.primary.json", object_locks.Ends, {"r/data/00/ab v1": AT.timestamp()}),
    Kept("payloads/a1.json", Payload, Payload(salt="5a", text="wrong \udcff byte")),
]
each = pytest.mark.parametrize("kept", KEPT, ids=lambda kept: kept.name)


@each
def test_what_was_written_is_read_back(kept: Kept, tmp_path: Path) -> None:
    path = tmp_path / kept.name
    assert read_state(path, kept.of) is None
    write_state(path, kept.example)
    assert read_state(path, kept.of) == kept.example
    assert path.stat().st_mode & 0o777 == 0o600


def damages(whole: bytes, of: Any) -> dict[str, bytes]:
    end = len(whole) - 1
    damaged = {f"cut at {at}": whole[:at] for at in {0, 1, end // 3, end // 2, end - 1}}
    damaged |= {
        "text": b"not JSON",
        "nothing": b"null",
        "a number": b"7",
        "endless": b"[" * 100_000,
        "endless {": b'{"a":' * 100_000,
    }
    damaged["another kind"] = b"{}" if of == list[str] else b"[[]]"
    if isinstance(body := json.loads(whole), dict) and hasattr(of, "__match_args__"):
        damaged |= {f"without {key}": json.dumps({k: v for k, v in body.items() if k != key}).encode() for key in body}
        damaged["with a key more"] = json.dumps(body | {"more": 1}).encode()
    damaged["not UTF-8"] = whole.replace(b'"', b'"\xff', 1)
    return damaged


@each
def test_a_damaged_file_gives_its_answer(kept: Kept, tmp_path: Path) -> None:
    path = tmp_path / "file"
    for what, contents in damages(encoded(kept.example), kept.of).items():
        path.write_bytes(contents)
        with pytest.raises(StateDamaged) as told:
            read_state(path, kept.of)
        assert str(path) in str(told.value), what
        assert state_or_none(path, kept.of) is None, what
    path.unlink()
    path.mkdir()
    with pytest.raises(StateDamaged):
        read_state(path, kept.of)


@pytest.mark.parametrize("kept", [k for k in KEPT if getattr(getattr(k.of, "__struct_config__", None), "tag", None)])
def test_a_file_of_another_format_is_refused(kept: Kept, tmp_path: Path) -> None:
    path, whole = tmp_path / "file", encoded(kept.example)
    ours = kept.of.__struct_config__.tag
    for other, error in ((ours + 1, WrittenByNewer), (ours - 1, OfBefore), ("x", StateDamaged)):
        path.write_bytes(whole.replace(f'"format": {ours}'.encode(), f'"format": {other!r}'.replace("'", '"').encode()))
        with pytest.raises(error):
            read_state(path, kept.of)
    path.write_bytes(whole.replace(f'"format": {ours},'.encode(), b""))
    with pytest.raises(StateDamaged):
        read_state(path, kept.of)


class Killed(BaseException):
    """At once: nothing of ours runs after it."""


@pytest.mark.parametrize("step", ["open", "writelines", "fsync", "chmod", "replace", "sync_directory", None])
def test_a_crash_leaves_the_old_file_or_the_new_one(
    step: str | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "file"
    write_state(path, {"a": "before"})

    def killed(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        if step == "writelines":
            real = Path.open

            def open_(self: Path, *args: Any) -> Any:
                file = real(self, *args)
                raw = file.detach()

                class Torn:
                    def __enter__(self) -> Torn:
                        return self

                    def __exit__(self, *_: object) -> None:
                        raw.close()

                    def writelines(self, lines: list[bytes]) -> None:
                        raw.write(lines[0][: len(lines[0]) // 2])
                        raise Killed

                return Torn()

            patch.setattr(Path, "open", open_)
        elif step in ("open", "chmod", "replace"):
            patch.setattr(Path, step, killed)
        elif step == "fsync":
            patch.setattr(files.os, "fsync", killed)
        elif step is not None:
            patch.setattr(files, step, killed)
        if step is None:
            write_state(path, {"a": "after"})
        else:
            with pytest.raises(Killed):
                write_state(path, {"a": "after"})
    expected = "after" if step in ("sync_directory", None) else "before"
    assert read_state(path, dict[str, str]) == {"a": expected}
    write_state(path, {"a": "again"})  # what it left is in nobody's way
    assert read_state(path, dict[str, str]) == {"a": "again"}


def test_a_file_is_on_disk_before_it_has_its_name_and_its_directory_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def synced(handle: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "file")
        fsync(handle)

    def named(self: Path, to: Path) -> Path:
        done.append("name")
        return replace(self, to)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(Path, "replace", named)
    write_state(tmp_path / "deep" / "file", {"a": 1})
    assert done == ["directory", "file", "name", "directory"], "a new directory is on disk, too"
    assert (tmp_path / "deep").stat().st_mode & 0o777 == 0o700


def test_a_disk_that_refuses_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(CcdrError, match="No space left"):
        write_state(tmp_path / "file", {"a": 1})
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").touch()
    with pytest.raises(CcdrError, match="cannot be written"):
        write_state(tmp_path / "file" / "below", {"a": 1})
