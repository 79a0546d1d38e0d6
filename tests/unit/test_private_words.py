"""What programs said is kept for a person's eyes: in one private file a run, bounded, for a week."""

from __future__ import annotations

import json
import os
import stat
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.harness import Site
from tests.support.stored import hashing_by, settled_file
from tests.support.wording import lines_with

from ccdr.host.state import PRIVATE_KEPT, WORDS_MOST, State
from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.values import utc

RUN = "20261127T071156-35010f"


def test_they_are_for_their_owner_alone_and_nothing_is_kept_of_nothing(tmp_path: Path) -> None:
    os.umask(os.umask(0o022))
    state = State(tmp_path / "state")
    assert state.keep_words(RUN, NO_WORDS) is None and not (state.root / "private").exists()
    kept = state.keep_words(RUN, FreeText("Failing row contains (1, Ionescu)"))
    assert kept == state.words_path(RUN) and "Ionescu" in kept.read_text()
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600 and stat.S_IMODE(kept.parent.stat().st_mode) == 0o700
    state.keep_words(RUN, FreeText("and once more"))
    assert "Ionescu" in kept.read_text() and "once more" in kept.read_text()


def test_they_take_a_bounded_room(tmp_path: Path) -> None:
    """A shipper's run goes on for years."""
    state = State(tmp_path / "state")
    for _ in range(200):
        kept = state.keep_words(RUN, FreeText("x" * 16_000))
    assert kept is not None and kept.stat().st_size <= WORDS_MOST + 17_000


def test_they_are_gone_after_a_week(tmp_path: Path) -> None:
    state, now = State(tmp_path / "state"), datetime.now(UTC)
    kept = state.keep_words(RUN, FreeText("Ionescu"))
    assert kept is not None
    state.forget_private(now + PRIVATE_KEPT - timedelta(minutes=1))
    assert kept.exists()
    state.forget_private(now + PRIVATE_KEPT + timedelta(minutes=1))
    assert not kept.exists()


@pytest.mark.parametrize("harm", ["is not there", "is a link"])
def test_a_directory_that_the_plan_names_is_recorded_by_its_place_there(site: Site, tmp_path: Path, harm: str) -> None:
    """Its name may be a customer's; who stands before the terminal may see it."""
    settled_file(tmp_path / "ours" / "1.wav", b"a voice")
    theirs = tmp_path / "Ionescu SRL"
    if harm == "is a link":
        theirs.symlink_to(tmp_path / "ours")
    site.plan(f"recordings: {{engine: files, paths: [{tmp_path / 'ours'}, {theirs}], settle: 0s}}")
    done = site.run("backup", "p")
    (failed,) = done.json if isinstance(done.json, list) else [done.json]
    assert done.code == 1 and failed["reason"] == f"entry 2 of `paths:` {harm}"
    [ended] = site.records("backup.end")
    assert ended["reason"] == failed["reason"] and "Ionescu" not in json.dumps([*site.records()])
    (kept,) = (site.state / "private").glob("*.txt")
    assert str(theirs) in kept.read_text()
    theirs.unlink(missing_ok=True)
    settled_file(theirs / "1.wav", b"a voice")
    assert site.run("backup", "p").code == 0, "its twin is there"


def test_a_disk_that_refuses_them_is_no_reason_to_fail(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    state.root.mkdir()
    (state.root / "private").write_text("in the way")
    assert state.keep_words(RUN, FreeText("Ionescu")) is None


def test_a_program_is_told_where_they_are_and_so_are_people(tmp_path: Path) -> None:
    """`test --json`, and a message. Where nothing was said there is nothing to name."""
    site = Site(tmp_path)
    settled_file(tmp_path / "tree" / "0722000001.wav", b"a voice")
    site.recordings(tmp_path / "tree")
    site.backed_up()
    done = site.run("test", "p")
    assert (done.json["verdict"], done.json["private"], done.json["hint"]) == ("PASS", None, None), done
    refused = hashing_by(site, "echo '0722000001.wav: Permission denied' >&2; exit 1")
    done = site.run("test", "p", env=refused)
    assert done.json["verdict"] == "FAIL" and done.json["hint"], done
    file = f"private/{done.json['run']}.txt"
    assert done.json["private"] == {"file": file, "until": done.json["private"]["until"], "words": file}
    assert utc(done.json["private"]["until"]) > datetime.now(UTC) + timedelta(days=6)
    assert "0722000001.wav" in (site.state / file).read_text()
    site.write("urls", "json://127.0.0.1:1/\n", mode=0o600)
    with (tmp_path / "plans" / "p.yaml").open("a") as plan:
        plan.write(f"notify: {{urls_file: {tmp_path / 'urls'}}}\n")
    (letter,) = site.run("notify", "test", "p", "--dry-run").json["next_run_would_send"]
    assert f"for your eyes only, kept for a week: {site.state / file}\n" in letter["body"], letter
    assert "0722000001" not in letter["body"]


def test_status_names_the_file_and_nothing_of_what_is_in_it(tmp_path: Path, wording: SnapshotAssertion) -> None:
    site = Site(tmp_path)
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree" / "0722000001.wav").write_bytes(b"a voice")
    site.plan(f"recordings:\n  engine: files\n  paths: [{tmp_path / 'tree'}]\n  settle: 1s")
    os.utime(tmp_path / "tree" / "0722000001.wav", (1, 1))
    refused = hashing_by(site, "echo '0722000001.wav: Permission denied' >&2; exit 1")
    failed = site.run("backup", "p", env=refused)
    assert failed.code == 1 and "permission denied" in failed.json["reason"], failed
    kept = site.state / "private" / f"{failed.json['run']}.txt"
    assert "0722000001.wav" in kept.read_text()
    done = site.run("status", "p")
    assert done.json["plans"][0]["assets"][0]["private"] == [str(kept)], done
    said, _ = site.start("status", "p").communicate()
    assert lines_with(said.replace(str(kept), "FILE"), "p/recordings", "FILE") == wording
    for text in (failed.stdout, failed.stderr, done.stdout, said, *map(str, site.records())):
        assert "0722000001" not in text


def test_of_what_went_well_they_are_named_to_who_asks_for_more(tmp_path: Path) -> None:
    site = Site(tmp_path)
    settled_file(tmp_path / "tree" / "1.wav", b"a voice")
    site.recordings(tmp_path / "tree")
    kept = State(site.state).keep_words(site.backed_up().json["run"], FreeText("a warning"))
    assert site.run("test", "p").json["verdict"] == "PASS"
    assert str(kept) not in site.plainly("status", "p").stdout
    assert str(kept) in site.plainly("status", "p", "-v").stdout
