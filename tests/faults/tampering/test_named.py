"""Each way to tamper with a record that has a name, by the code that it is found with, beside its honest twin.

Gaps against the schedules are in test_due_gaps.py, missing receipts of anchors in tests/faults/anchors, packages in
tests/faults/package; snapshots that the record lacks, and records of snapshots that the repository never had, in
tests/faults/attested and tests/faults/test_manipulations.py."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.merkle import over
from tests.support.tampering import Kept, a_year

from ccdr.evidence.checkpoints.checkpoint import SigningKey, checkpoint_of, origin_of
from ccdr.evidence.checkpoints.keys import statement
from ccdr.evidence.checkpoints.names import checkpoint_name
from ccdr.evidence.lineage.own_records import KEY


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Kept:
    return a_year(tmp_path_factory.mktemp("good") / "state")


@pytest.fixture
def kept(good: Kept, tmp_path: Path) -> Kept:
    return good.copied(tmp_path / "state")


def codes(kept: Kept) -> set[str]:
    chain, checked = kept.judged()
    found = [getattr(problem, "code", "?") for problem in chain.problems]
    return {*found, *(one.code for one in checked.findings)}


def verified(kept: Kept) -> bool:
    chain, checked = kept.judged()
    return chain.ok and checked.proven


def changed(kept: Kept, change: Callable[[list[bytes]], list[bytes]]) -> None:
    kept.write(change(kept.raw()))


def test_the_untouched_one_is_verified(kept: Kept) -> None:
    assert codes(kept) == set() and verified(kept)


def test_an_edited_byte(kept: Kept) -> None:
    changed(kept, lambda raw: [*raw[:8], raw[8].replace(b'"host":"db1"', b'"host":"db2"'), *raw[9:]])
    assert codes(kept) == {"CHAIN_BROKEN", "CHECKPOINT_CONTRADICTED", "FORK"}


def test_an_edited_byte_that_leaves_no_record(kept: Kept) -> None:
    changed(kept, lambda raw: [*raw[:8], raw[8].replace(b'"', b"'", 1), *raw[9:]])
    assert "NO_RECORD" in codes(kept)


def test_a_dropped_record(kept: Kept) -> None:
    changed(kept, lambda raw: [*raw[:8], *raw[9:]])
    assert {"SEQUENCE_BROKEN", "FORK"} <= codes(kept)


def test_an_inserted_record(kept: Kept) -> None:
    changed(kept, lambda raw: [*raw[:8], raw[3], *raw[8:]])
    assert {"SEQUENCE_BROKEN", "FORK"} <= codes(kept)


def test_reordered_records(kept: Kept) -> None:
    changed(kept, lambda raw: [*raw[:8], raw[9], raw[8], *raw[10:]])
    assert {"SEQUENCE_BROKEN", "FORK"} <= codes(kept)


def test_renumbered_records(kept: Kept) -> None:
    """A dropped one, and the numbers of those after it made to fit."""

    def renumbered(raw: list[bytes]) -> list[bytes]:
        left = [*raw[:8], *raw[9:]]
        return [line.replace(b'"seq":%d,' % (n + 2), b'"seq":%d,' % (n + 1), 1) if n >= 8 else line
                for n, line in enumerate(left)]  # fmt: skip

    changed(kept, renumbered)
    assert {"CHAIN_BROKEN", "FORK"} <= codes(kept) and "SEQUENCE_BROKEN" not in codes(kept)


def test_a_truncated_record(kept: Kept) -> None:
    """Down to before what was mailed; behind it is outside of the boundary, and that is said."""
    changed(kept, lambda raw: raw[:20])
    assert codes(kept) == {"RECORDS_CUT_OFF"}


def test_a_tail_that_was_rewritten_without_the_key(kept: Kept) -> None:
    lines = kept.lines()
    lines[20]["actor"] = "mallory"
    kept.chained(lines, 20)
    assert codes(kept) == {"CHECKPOINT_CONTRADICTED", "FORK"}
    kept.mailed.clear()
    assert codes(kept) == {"CHECKPOINT_CONTRADICTED"}


def test_a_tail_that_was_rewritten_with_the_key(kept: Kept) -> None:
    lines = kept.lines()
    lines[20]["actor"] = "mallory"
    kept.chained(lines, 20)
    kept.signed_anew()
    assert codes(kept) == {"FORK"}
    kept.mailed.clear()
    assert codes(kept) == set() and not verified(kept), (
        "without an anchor nobody can tell, and it is not called verified"
    )


def test_a_tail_that_was_rewritten_behind_all_that_was_mailed(kept: Kept) -> None:
    """The honest boundary: it verifies up to there, and says that it shows nothing of what came after."""
    size = max(int(one.split(b"\n")[1]) for one in kept.mailed)
    lines = kept.lines()
    lines[size]["actor"] = "mallory"
    kept.chained(lines, size)
    kept.signed_anew()
    assert codes(kept) == set() and verified(kept)
    _, checked = kept.judged()
    assert checked.boundary is not None and checked.boundary.record == size
    assert f"of the {len(kept.raw()) - size} records after it this shows nothing" in checked.shows()[0]


def test_a_forged_chain(kept: Kept) -> None:
    """All of it anew, by a key of their own, checkpoints and all."""
    key = SigningKey.new("ccdr.host/db1")
    signature = base64.b64encode(key.sign(statement(kept.id, key.verifier, None))).decode()
    own = {"key": str(key.verifier), "signature": signature}
    kept.chained([{**one, **own} if one["kind"] == KEY else one for one in kept.lines()])
    raw = kept.raw()
    for path in kept.checkpoints.glob("*.txt"):
        made = checkpoint_of(origin_of(kept.id), over(raw[: int(path.stem)]), key)
        path.write_bytes(made.contents)
    assert codes(kept) == {"KEY_NOT_PINNED", "FORK"}


def test_a_fork_between_anchors(kept: Kept) -> None:
    """Two ledgers under one name, signed by one key: each is shown to somebody else."""
    raw, size = kept.raw(), int(kept.mailed[0].split(b"\n")[1])
    other = [*raw[: size - 1], raw[size - 1].replace(b'"host":"db1"', b'"host":"db2"')]
    kept.mailed.append(checkpoint_of(origin_of(kept.id), over(other), kept.private).contents)
    assert codes(kept) == {"FORK"}
    kept.mailed[-1] = kept.mailed[0]
    assert codes(kept) == set() and verified(kept), "the same one twice is no fork"


def test_a_gap_in_the_sequence(kept: Kept) -> None:
    """Chained anew around it, so that only the numbers tell."""
    lines = kept.lines()
    raw = kept.raw()[:20]
    prev = sha256(raw[-1]).hexdigest()
    for number, record in enumerate(lines[21:], start=22):
        line = json.dumps({**record, "seq": number, "prev": prev}, separators=(",", ":"), ensure_ascii=False)
        raw.append(line.encode() + b"\n")
        prev = sha256(raw[-1]).hexdigest()
    kept.write(raw)
    assert "SEQUENCE_BROKEN" in codes(kept)


def test_a_start_without_an_end_is_told_and_is_no_finding(kept: Kept) -> None:
    before = len(kept.judged()[0].crashes)
    kept.work(1)
    assert len(kept.judged()[0].crashes) == before
    kept.work(1, crash=True)
    assert len(kept.judged()[0].crashes) == before + 1 and codes(kept) == set() and verified(kept)


def test_an_unknown_key(kept: Kept) -> None:
    newest = max(kept.checkpoints.glob("*.txt"))
    made = checkpoint_of(origin_of(kept.id), over(kept.raw()[: int(newest.stem)]), SigningKey.new("ccdr.host/db1"))
    newest.write_bytes(made.contents)
    assert codes(kept) == {"KEY_UNKNOWN"}


def test_a_checkpoint_by_a_key_that_was_replaced(kept: Kept) -> None:
    """Somebody kept the old key. Its honest twin: what it signed before the rotation goes on to hold."""
    from ccdr.jobs.checkpoints import creation as signing_keys

    old = kept.private
    signing_keys.rotate(kept.services)
    kept.sign(mail=True)
    assert codes(kept) == set() and verified(kept)
    kept.work(1)
    raw = kept.raw()
    (kept.checkpoints / checkpoint_name(len(raw))).write_bytes(
        checkpoint_of(origin_of(kept.id), over(raw), old).contents
    )
    assert codes(kept) == {"KEY_UNKNOWN"}


def test_a_backdated_record(kept: Kept) -> None:
    """A test of last week, recorded today: behind what was mailed. A clock that is set back by minutes is told alone."""
    kept.clock.at -= timedelta(days=7)
    kept.work(1)
    assert codes(kept) == {"BACKDATED"}
    kept.mailed.clear()
    chain, _ = kept.judged()
    assert codes(kept) == set() and any("time goes back" in note for note in chain.notes)


def test_a_clock_that_ran_ahead_of_an_anchors(kept: Kept) -> None:
    from ccdr.evidence.checkpoints.checkpoint import RFC3161, Anchor, read_checkpoint
    from ccdr.evidence.checkpoints.keys import Pin
    from ccdr.jobs.checkpoints.held_to import Brought, of_directory

    checkpoint = read_checkpoint(kept.mailed[-1])
    last = datetime.fromisoformat(kept.lines()[checkpoint.size - 1]["time"])
    for at, found in ((last - timedelta(hours=1), {"CLOCK_AHEAD"}), (last + timedelta(hours=1), set())):
        anchor = Anchor(RFC3161, "tsa", checkpoint, at, independent=True)
        brought = Brought((Pin.of(kept.pins[0]),), (anchor,))
        assert {one.code for one in of_directory(kept.ledger, kept.checkpoints, brought, None).findings} == found


def test_a_clock_that_goes_back_a_little_is_told_and_is_no_finding(kept: Kept) -> None:
    kept.clock.on(minutes=-9)
    kept.work(1)
    chain, _ = kept.judged()
    assert codes(kept) == set() and verified(kept) and any("time goes back" in note for note in chain.notes)


def test_another_ledgers_checkpoint(kept: Kept, tmp_path: Path) -> None:
    other = a_year(tmp_path / "other")
    newest = max(kept.checkpoints.glob("*.txt"))
    newest.write_bytes(max(other.checkpoints.glob("*.txt")).read_bytes())
    assert codes(kept) & {"CHECKPOINT_OF_ANOTHER", "CHECKPOINT_UNREADABLE"}


def test_a_backdated_record_whose_time_stands_elsewhere_in_its_line(kept: Kept) -> None:
    """No ccdr writes it so, and it is read all the same."""
    kept.clock.at -= timedelta(days=7)
    kept.work(1)
    raw = kept.raw()
    for number in range(len(raw) - 2, len(raw)):
        record = json.loads(raw[number])
        record["prev"] = sha256(raw[number - 1]).hexdigest()
        last = {key: value for key, value in record.items() if key != "time"} | {"time": record["time"]}
        raw[number] = json.dumps(last, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"
    kept.write(raw)
    assert codes(kept) == {"BACKDATED"}


def test_what_other_hosts_mailed_says_nothing_of_this_ledger_and_hinders_nothing(kept: Kept, tmp_path: Path) -> None:
    other = a_year(tmp_path / "other")
    kept.mailed += other.mailed
    assert verified(kept) and codes(kept) == set()
    kept.mailed = other.mailed
    assert not verified(kept) and codes(kept) == set(), "alone it proves nothing"


def test_a_copy_that_lacks_what_a_mail_knows_is_judged_by_when_the_mail_came(kept: Kept) -> None:
    from ccdr.evidence.checkpoints.checkpoint import GIVEN, Anchor, read_checkpoint
    from ccdr.evidence.checkpoints.keys import Pin
    from ccdr.jobs.checkpoints.held_to import Brought, of_directory

    older, newer = map(read_checkpoint, (kept.mailed[0], kept.mailed[-1]))
    made = kept.clock.at
    kept.write(kept.raw()[: older.size])
    for path in sorted(kept.checkpoints.glob("*.txt"))[1:]:
        path.unlink()
    for at, found, says in (
        (None, set(), False),
        (made - timedelta(hours=1), {"RECORDS_CUT_OFF"}, False),
        (made + timedelta(hours=1), set(), True),
    ):
        anchors = Anchor(GIVEN, "old", older, None, independent=True), Anchor(GIVEN, "new", newer, at, independent=True)
        checked = of_directory(kept.ledger, kept.checkpoints, Brought((Pin.of(kept.pins[0]),), anchors), made)
        assert ({one.code for one in checked.findings}, checked.proven) == (found, says)
