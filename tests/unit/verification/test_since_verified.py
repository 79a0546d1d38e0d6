"""`ccdr ledger verify --since-verified` reads what is new, says so, and reads all where it has nothing to go on from."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Ran
from tests.support.recorded import backup
from tests.support.records import body_of, record_in
from tests.support.verified import World

from ccdr.cli.ledger.verified import CONSISTENT, GOES_ON

READS_ALL = "there is no verification to go on from: all of it is read"


def since(world: World) -> Ran:
    return world.site.run("ledger", "verify", "--since-verified")


def spoil(world: World, old: bytes, new: bytes) -> None:
    (segment,) = (world.site.state / "ledger").glob("*.jsonl")
    held = segment.read_bytes()
    assert held.count(old) == 1 and len(old) == len(new)
    segment.write_bytes(held.replace(old, new))


@pytest.fixture
def verified(world: World) -> World:
    """… and since then one more backup."""
    world.day_passes()
    backup(world.ledger, "after", "recordings")
    return world


def test_it_says_from_which_record_on_it_looked(verified: World) -> None:
    done = since(verified)
    (record,) = verified.site.records("ledger.verified")
    assert (done.code, done.json["problems"], done.json["says"]) == (0, [], GOES_ON), done
    assert done.json["since"]["record"] == record["records"] + 1 and done.json["since"]["verified_by"] == record["seq"]
    assert done.json["records"] == len(verified.site.records())
    text = verified.site.start("ledger", "verify", "--since-verified").communicate()[0]
    assert f"read from record {record['records'] + 1} on" in text and CONSISTENT not in text
    whole = verified.site.run("ledger", "verify")
    assert whole.json["since"] is None and whole.json["says"] == CONSISTENT
    assert [done.json[key] for key in ("records", "head")] == [whole.json[key] for key in ("records", "head")]


def test_without_a_verification_all_is_read(world: World) -> None:
    done = since(world)
    assert done.code == 0 and READS_ALL in done.stderr and done.json["since"] is None


def test_what_is_new_is_verified(verified: World) -> None:
    backup(verified.ledger, "later", "recordings")
    spoil(verified, b'"id":"recordings-after0', b'"id":"recordings-aftre0')
    done = since(verified)
    assert done.code == 1 and "prev does not match" in done.json["problems"][0]


def test_where_the_record_that_it_goes_on_from_was_changed_all_is_read(verified: World) -> None:
    (record,) = verified.site.records("ledger.verified")
    (segment,) = (verified.site.state / "ledger").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    lines[record["records"] - 1] = lines[record["records"] - 1].replace(b'"actor":"', b'"actor":"not ', 1)
    segment.write_bytes(b"".join(lines))
    done = since(verified)
    assert done.code == 1 and READS_ALL in done.stderr and "prev does not match" in done.json["problems"][0]


def test_what_is_older_is_left_to_who_reads_all(verified: World) -> None:
    spoil(verified, b'"id":"recordings-b10', b'"id":"recordings-bX0')
    assert since(verified).code == 0 and verified.site.run("ledger", "verify").code == 1


def test_where_the_summary_was_changed_all_is_read(verified: World) -> None:
    verified.change_the_summary()
    done = since(verified)
    assert done.code == 1 and READS_ALL in done.stderr and done.json["summary"] == "DIFFERS"


def test_where_the_last_verification_found_something_all_is_read(verified: World) -> None:
    spoil(verified, b'"id":"recordings-b10', b'"id":"recordings-bX0')
    assert verified.day_passes().code == 1
    done = since(verified)
    assert done.code == 1 and READS_ALL in done.stderr and done.json["problems"]


def test_a_cut_off_verification_is_none(verified: World, tmp_path: Path) -> None:
    """Its own record gone, with all after it: the older ones that are kept of it tell nothing."""
    (segment,) = (verified.site.state / "ledger").glob("*.jsonl")
    lines = segment.read_bytes().splitlines(keepends=True)
    at = next(n for n, line in enumerate(lines) if b'"kind":"ledger.verified"' in line)
    segment.write_bytes(b"".join(lines[:at]))
    done = since(verified)
    assert done.code == 1 and READS_ALL in done.stderr


def test_a_run_that_had_begun_before_is_followed(world: World) -> None:
    record_in(world.ledger, "backup.start", plan="p", asset="recordings", run="open", body=body_of("backup.start"))
    record_in(world.ledger, "backup.start", plan="p", asset="recordings", run="other", body=body_of("backup.start"))
    world.day_passes()
    assert [crash for crash in since(world).json["crashes"] if "run open" in crash]
    record_in(world.ledger, "backup.end", plan="p", asset="recordings", run="open", body=body_of("backup.end"))
    done = since(world)
    assert done.code == 0 and not [crash for crash in done.json["crashes"] if "run open" in crash]
    record_in(world.ledger, "backup.end", plan="p", asset="another", run="other", body=body_of("backup.end"))
    done, whole = since(world), world.site.run("ledger", "verify")
    assert done.code == whole.code == 1
    assert (
        [one for one in done.json["problems"] if "began as another" in one]
        == [one for one in whole.json["problems"] if "began as another" in one]
        != []
    )


def test_records_of_a_later_ccdr_are_counted_from_the_beginning(world: World) -> None:
    world.ledger._append({"kind": "moon.landed", "plan": "p", "asset": None, "run": None, "version": 9})
    world.day_passes()
    done = since(world)
    assert (done.code, done.json["unknown"], done.json["says"]) == (3, 1, None) and done.json["since"], done


@pytest.mark.parametrize("more", [["p"], ["--repository"], ["--pin", "x"]])
def test_it_is_for_what_is_new_of_the_live_ledger(world: World, more: list[str]) -> None:
    assert world.site.run("ledger", "verify", "--since-verified", *more).code == 2
