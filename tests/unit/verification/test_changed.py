"""The evidence looks after itself: what was changed in the ledger, or in the summary of it, is noticed within a day."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.schema import line_misfits
from tests.support.verified import World

from ccdr.evidence.summary import HOLDS
from ccdr.jobs.daily_verification import BROKEN, DIFFERS, EQUAL, compare, newest
from ccdr.model.trouble import Trouble
from ccdr.model.values import utc


def test_a_summary_that_was_changed_is_not_believed_and_is_told_within_a_day(
    world: World, wording: SnapshotAssertion
) -> None:
    world.day_passes()
    world.change_the_summary()
    assert Trouble.TEST_FAILED in world.troubles(), "all is read where it is not as it was made"
    done = world.day_passes()
    assert done.code == 1 and done.ledger is not None and (done.ledger.result, done.ledger.summary) == (HOLDS, DIFFERS)
    assert done.troubles[0] == wording
    shown = world.status()
    assert shown.code == 1 and not shown.json["ledger"]["ok"], shown
    assert "it was changed, and is not read" in shown.json["ledger"]["problems"][0]
    record = world.site.records("ledger.verified")[-1]
    assert record["summary"] == DIFFERS and "it was changed" in record["reason"]
    done = world.day_passes(hours=1, minutes=1)
    assert done.ledger is not None and done.ledger.ok and done.ledger.summary == EQUAL
    assert world.status().json["ledger"]["ok"]
    as_published(world)


def test_anybody_who_asks_sees_it_at_once(world: World) -> None:
    world.day_passes()
    done = world.site.run("ledger", "verify")
    assert (done.code, done.json["summary"], done.json["problems"]) == (0, EQUAL, []), done
    world.change_the_summary()
    done = world.site.run("ledger", "verify")
    assert (done.code, done.json["summary"], done.json["ok"]) == (1, DIFFERS, False), done
    exported = world.site.run("ledger", "verify", str(world.site.state / "ledger"))
    assert exported.code == 0 and exported.json["summary"] is None


def as_published(world: World) -> None:
    lines = b"".join(path.read_bytes() for path in (world.site.state / "ledger").glob("*.jsonl")).splitlines(True)
    verified = [line for line in lines if b'"kind":"ledger.verified"' in line]
    assert verified and not any(map(line_misfits, verified))


def spoil(world: World, old: bytes, new: bytes) -> Path:
    """Somebody changes an old record, and the line stays a record."""
    (segment,) = (world.site.state / "ledger").glob("*.jsonl")
    text = segment.read_bytes()
    assert len(old) == len(new) and text.count(old) == 1
    segment.write_bytes(text.replace(old, new))
    return segment


def test_damage_in_an_old_part_is_found_told_and_shown_until_it_verifies_again(world: World) -> None:
    world.day_passes()
    spoil(world, b'"id":"recordings-b10', b'"id":"recordings-bX0')
    assert world.status().json["ledger"]["ok"], "its summary was made before"
    done = world.day_passes()
    assert done.code == 1 and done.ledger is not None and done.ledger.result == BROKEN
    assert "prev does not match" in done.troubles[0] and "ccdr ledger verify" in done.troubles[0]
    shown = world.status()
    assert shown.code == 1 and shown.json["ledger"]["problems"], shown
    text = world.site.start("status").communicate()[0]
    assert "ledger: FAIL on 2026-11-26 12:02 UTC" in text and "ccdr ledger verify" in text
    done = world.day_passes(hours=2)
    assert done.code == 0 and done.troubles == [], "it is no news any more"
    assert len(world.site.records("ledger.verified")) == 3, "it is looked for again all the same"
    assert world.status().code == 1
    spoil(world, b'"id":"recordings-bX0', b'"id":"recordings-b10')
    assert not world.status().json["ledger"]["ok"], "nobody has looked yet"
    done = world.day_passes(hours=2)
    assert done.code == 0 and world.status().json["ledger"]["ok"]
    as_published(world)


def test_people_are_told_once_and_once_when_it_holds_again(world: World, wording: SnapshotAssertion) -> None:
    from tests.support.listeners import mail_server

    with mail_server() as mailbox:
        world.site.write("plans/urls", f"{mailbox.url()}\n", mode=0o600)
        path = world.site.root / "plans" / "p.yaml"
        path.write_text(path.read_text().replace("assets:", "notify: {urls_file: urls, remind: 90d}\nassets:", 1))
        for hours in (1, 24, 24, 24):
            world.day_passes(hours=hours)
        before = len(mailbox.raw)
        segment = spoil(world, b'"id":"recordings-b10', b'"id":"recordings-bX0')
        world.day_passes()
        assert mailbox.subjects[before:] == ["ccdr: p: ledger does NOT VERIFY"]
        assert "prev does not match" in mailbox.text() and "next: ccdr ledger verify" in mailbox.text()
        for _ in range(4):
            world.day_passes(hours=2)
        assert len(mailbox.raw) == before + 1
        segment.write_bytes(segment.read_bytes().replace(b"recordings-bX", b"recordings-b1"))
        world.day_passes(hours=2)
        assert mailbox.subjects[before + 1 :] == ["ccdr: p: fixed: ledger does NOT VERIFY"]
        world.change_the_summary()
        world.day_passes()
        assert mailbox.subjects[before + 2] == wording
        for _ in range(4):
            world.day_passes(hours=2)
        told = mailbox.subjects[before + 3 :]
        assert told == wording


def test_it_is_done_once_a_day_and_not_in_the_first(world: World) -> None:
    assert world.day_passes(hours=23).ledger is None
    first = utc(next(world.services.ledger.records())["time"]) + timedelta(days=1)
    told = f"not verified yet: `ccdr run` verifies it each day, first after {first:%Y-%m-%d %H:%M} UTC\n"
    assert told in world.site.start("status", "-v").communicate()[0]
    assert world.day_passes(hours=2).ledger is not None
    for _ in range(6):
        world.day_passes(hours=3)
    assert len(world.site.records("ledger.verified")) == 1
    world.day_passes(hours=7)
    assert len(world.site.records("ledger.verified")) == 2


def test_a_clock_that_was_ahead_does_not_put_it_off(world: World) -> None:
    world.day_passes(days=400)
    assert len(world.site.records("ledger.verified")) == 1
    world.day_passes(days=-390)
    assert len(world.site.records("ledger.verified")) == 2


@pytest.mark.parametrize("text", [None, "", "{}", "[]", '{"segment": "x"}', "another record"])
def test_the_newest_verification_counts_whatever_is_kept_of_where_it_stands(world: World, text: str | None) -> None:
    world.day_passes()
    path = world.site.state / "verified.json"
    good = json.loads(path.read_text())
    assert newest(world.services.lineage()) is not None
    if text is None:
        path.unlink()
    elif text == "another record":
        line = next(iter((world.site.state / "ledger").glob("*.jsonl"))).read_bytes().splitlines(keepends=True)[0]
        from hashlib import sha256

        path.write_text(
            json.dumps(
                {
                    **good,
                    "mark": {**good["mark"], "start": 0, "end": len(line), "seq": 1, "hash": sha256(line).hexdigest()},
                }
            )
        )
    else:
        path.write_text(text)
    found = newest(world.services.lineage())
    assert found is not None and (found.result, found.records) == (HOLDS, 13)
    assert world.day_passes(minutes=5).ledger == found and len(world.site.records("ledger.verified")) == 1


def test_a_finding_is_not_hidden_by_pointing_at_an_older_verification(world: World) -> None:
    world.day_passes()
    held = (world.site.state / "verified.json").read_text()
    spoil(world, b'"id":"recordings-b10', b'"id":"recordings-bX0')
    assert world.day_passes().code == 1
    (world.site.state / "verified.json").write_text(held)
    shown = world.status()
    assert shown.code == 1 and not shown.json["ledger"]["ok"], shown
    found = newest(world.services.lineage())
    assert found is not None and found.result == BROKEN


def test_a_record_whose_body_makes_no_sense_is_a_problem_and_no_traceback(world: World) -> None:
    about = {"plan": "p", "asset": "recordings", "run": None, "version": 4}
    world.ledger._append({"kind": "missed", **about, "verb": "backup"})
    found = compare(world.services)
    assert len(found.problems) == 2 and "not as its kind is defined" in found.problems[0]
    assert world.site.run("ledger", "verify").code == 1
