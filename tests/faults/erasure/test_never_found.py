"""An entry of the register whose key finds nobody is no proof that somebody is erased, whatever a canary shows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.erased import added
from tests.support.harness import Ran, Site
from tests.support.stored import copy_of, settled_file

CALLER, MISTYPED = "asset: recordings\nfiles: [017.wav]\n", "asset: recordings\nfiles: ['0 17.wav']\n"
PLANTED = "asset: recordings\nfiles: [000.wav]\ncanary: true\nerased_at: 2026-01-01T00:00:00Z\n"
LONG_GONE = "erased_at: 2026-01-01T00:00:00Z\n"  # before the oldest snapshot


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Site:
    site = Site(tmp_path_factory.mktemp("never"))
    for name in ("000", "017", "018"):
        settled_file(site.root / f"tree/{name}.wav", name.encode() * 100)
    site.recordings(site.root / "tree")
    site.backed_up()
    return site


@pytest.fixture
def site(stored: Site, tmp_path: Path) -> Site:
    (root := tmp_path / "s").mkdir()
    return copy_of(stored, root)


@pytest.fixture(scope="module")
def looked(stored: Site, tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A canary, an entry whose key is mistyped, and one that is right; a restore test has looked for all of them."""
    site = copy_of(stored, tmp_path_factory.mktemp("looked"))
    added(site, PLANTED, MISTYPED, CALLER)
    tested(site)
    return site


@pytest.fixture
def missed(looked: Site, tmp_path: Path) -> Site:
    (root := tmp_path / "s").mkdir()
    return copy_of(looked, root)


def tested(site: Site) -> dict[str, Any]:
    """The record of a restore test's replay."""
    done = site.run("test", "p", "--asset", "recordings")
    assert done.json["verdict"] == "PASS", done
    return dict(site.records("erasure.replay")[-1])


def control(site: Site) -> tuple[str, str]:
    parts = [part for one in site.run("controls").json["measures"] for part in one["parts"]]
    (seen,) = next(part for part in parts if part["id"] == "erasures")["observed"]
    return seen["state"], seen["text"]


def listed(site: Site) -> dict[str, tuple[str, int]]:
    entries = site.run("erasure", "list", "p").json["entries"]
    return {one["entry"]: (one["state"], one["found_before"]) for one in entries}


def proven(site: Site, *more: str) -> tuple[int, dict[str, tuple[int, int, str]]]:
    done = site.run("erasure", "prove", "p", *more)
    entries = [one for proof in done.json["proofs"] for one in proof["entries"]]
    return done.code, {one["id"]: (one["found_before"], one["found_after"], one["state"]) for one in entries}


def stated(site: Site, entry: str) -> Ran:
    return site.run("erasure", "review", "p", "--nobody", entry, "--why", "never called us, OPS-99")


def later(site: Site) -> None:
    """A backup in which the caller is no more."""
    (site.root / "tree/017.wav").unlink(missing_ok=True)  # of all copies of the site
    site.backed_up()


def test_who_is_found_is_proven_erased(site: Site, wording: SnapshotAssertion) -> None:
    added(site, PLANTED, CALLER)
    assert listed(site)["e-000002"] == ("not_looked_for", 0)
    replay = tested(site)
    assert (replay["result"], replay["missing"], replay["not_shown"]) == ("PROVEN", [], [])
    assert listed(site) == {"e-000001": ("canary", 1), "e-000002": ("found", 1)}
    state, text = control(site)
    assert state == "shown" and text.partition("Z: ")[2] == wording, text
    assert proven(site, "--entry", "e-000002") == (0, {"e-000002": (1, 0, "found")})


def test_a_key_that_is_mistyped_proves_nothing(missed: Site) -> None:
    (replay,) = missed.records("erasure.replay")
    assert (replay["result"], replay["missing"], replay["not_shown"]) == ("ERASED", ["e-000002"], ["e-000002"])
    assert listed(missed)["e-000002"] == ("never_found", 0)
    state, text = control(missed)
    assert state == "nothing" and "e-000002" in text and "e-000003" not in text, text
    code, entries = proven(missed)
    assert (code, entries["e-000002"], entries["e-000003"]) == (1, (0, 0, "never_found"), (1, 0, "found"))
    shown, _ = missed.start("erasure", "list", "p").communicate(timeout=60)
    assert "never found" in shown and "ccdr erasure withdraw p e-000002" in shown
    missed.ledger_holds()


def test_withdrawn_it_is_over(missed: Site) -> None:
    assert missed.run("erasure", "withdraw", "p", "e-000002", "--why", "mistyped").code == 0
    assert tested(missed)["result"] == "PROVEN" and control(missed)[0] == "shown"


def test_a_person_may_answer_for_it_that_nobody_is_to_be_found(missed: Site) -> None:
    """And who was found once need not be in a later snapshot."""
    assert stated(missed, "e-000002").code == 0
    state, text = control(missed)
    assert state == "stated" and "e-000002" in text and "as a person states" in text
    later(missed)
    assert tested(missed)["result"] == "PROVEN"
    assert listed(missed) == {"e-000001": ("canary", 1), "e-000002": ("stated", 0), "e-000003": ("found", 1)}
    assert "OPS-99" not in str(missed.records())
    for entry in ("e-000001", "e-000002", "e-000003", "e-000009"):
        assert stated(missed, entry).code == 2, "a canary, answered for, found, unknown"
    missed.ledger_holds()


def test_whoever_is_found_after_somebody_answered_counts_as_found(site: Site) -> None:
    added(site, PLANTED, CALLER)
    assert stated(site, "e-000002").code == 0
    assert tested(site)["result"] == "PROVEN" and listed(site)["e-000002"] == ("found", 1)


def test_who_was_erased_before_the_oldest_snapshot_is_not_to_be_found(site: Site, wording: SnapshotAssertion) -> None:
    added(site, PLANTED, MISTYPED + LONG_GONE)
    assert listed(site)["e-000002"] == ("not_due", 0)
    replay = tested(site)
    assert (replay["result"], replay["missing"], replay["not_shown"]) == ("PROVEN", [], [])
    state, text = control(site)
    assert state == "nothing" and text == wording, text
    assert proven(site) == (0, {"e-000001": (1, 0, "canary"), "e-000002": (0, 0, "not_due")})
    assert stated(site, "e-000002").code == 0, "until a person answers for it"
    assert control(site)[0] == "stated" and listed(site)["e-000002"] == ("stated", 0)


def test_who_is_still_there_after_the_erasure_is_not_called_erased(site: Site) -> None:
    """The date is long ago, and the source holds them all the same; then it does no more."""
    added(site, PLANTED, CALLER + LONG_GONE)
    replay = tested(site)
    (one,) = [one for one in replay["found"] if not one["canary"]]
    assert (replay["result"], one["late"]) == ("ERASED", True)
    state, text = control(site)
    assert state == "contradicted" and "e-000002" in text and "the source may hold them still" in text, text
    code, entries = proven(site, "--entry", "e-000002")
    assert (code, entries) == (1, {"e-000002": (1, 0, "late")})
    (held,) = [one for one in site.run("erasure", "list", "p").json["entries"] if one["entry"] == "e-000002"]
    assert held["copies"][0]["snapshots"] == 1, "the snapshot in which they were seen holds them"
    later(site)
    assert tested(site)["result"] == "PROVEN" and control(site)[0] == "shown"
    (held,) = [one for one in site.run("erasure", "list", "p").json["entries"] if one["entry"] == "e-000002"]
    assert held["copies"][0]["snapshots"] == 1 and held["state"] == "found"


def test_who_was_looked_for_only_in_later_snapshots_is_looked_for_in_an_earlier_one(site: Site) -> None:
    """One of them is there, the other's key is mistyped."""
    added(site, PLANTED, CALLER, MISTYPED)
    later(site)
    replay = tested(site)
    assert (replay["result"], replay["missing"]) == ("ERASED", [])
    assert replay["not_shown"] == ["e-000002", "e-000003"]
    assert control(site)[0] == "nothing" and listed(site)["e-000002"] == ("not_looked_for", 0)
    assert proven(site, "--entry", "e-000002") == (0, {"e-000002": (1, 0, "found")})
    assert listed(site)["e-000003"] == ("never_found", 0), "the same replay has looked for both"
    assert proven(site, "--entry", "e-000003")[0] == 1
    assert control(site)[0] == "nothing"


def test_entries_of_one_person_are_told_and_proven_together(site: Site) -> None:
    added(site, PLANTED, CALLER + "person: customer 4711\n", CALLER.replace("017", "018") + "person: customer 4711\n")
    entries = site.run("erasure", "list", "p").json["entries"]
    canary, first, second = (one["person"] for one in entries)
    assert canary is None and first == second is not None
    assert proven(site, "--entry", "e-000003")[1].keys() == {"e-000002", "e-000003"}
    assert proven(site, "--entry", "e-000001")[1].keys() == {"e-000001"}
    assert "customer 4711" not in str(site.records())
    assert site.run("erasure", "prove", "p", "--entry", "e-000009").code == 2
