"""What somebody planted in a copy who may write there: a snapshot that claims to be one which was captured."""

from __future__ import annotations

from pathlib import Path

from tests.support.copied import (
    PASSWORD,
    copied,
    copied_by_hand,
    ids_of,
    one,
    planted,
    restic_of,
    with_copies,
)
from tests.support.harness import Site, texts
from tests.support.stored import settled_file


def two_calls(tmp_path: Path) -> tuple[Site, str, str]:
    """Backed up twice, the second time with another recording in the first one's place."""
    site = with_copies(tmp_path)
    settled_file(tmp_path / "tree" / "a.wav", b"z" * 5000)
    site.backed_up()
    first, second = ids_of(site.run("snapshots", "p"))
    return site, first, second


def forged(site: Site, claimed: str, really: str, before: str | None = None) -> str:
    """In all that restic tells it is the snapshot `claimed`; what it holds is that of `really`."""
    at = site.root / "offsite"
    (tree,) = [s["tree"] for s in restic_of(at, "snapshots") if s["original"] == really]
    snapshot = restic_of(site.repo, "cat", "snapshot", claimed, password=PASSWORD)
    return planted(at, {**snapshot, "tree": tree, "original": claimed}, before)


def restored(site: Site, snapshot: str) -> bytes:
    back = site.root / "back"
    asked = ["--asset", "recordings", "--from", "offsite", "--snapshot", snapshot, "--yes-i-mean", "back"]
    assert site.run("restore", "p", *asked, "--to", str(back)).code == 0
    return Path(f"{back}{site.root}/tree/a.wav").read_bytes()


def test_a_snapshot_that_claims_the_id_of_one_that_was_not_copied_yet_keeps_that_from_nothing(tmp_path: Path) -> None:
    site, first, second = two_calls(tmp_path)
    copied_by_hand(site, second, tmp_path / "offsite")
    forged(site, first, second)
    assert copied(site)["there"] == {"recordings": 2}
    assert restored(site, first) == b"a" * 5000
    site.ledger_holds()


def test_a_snapshot_that_claims_the_id_of_one_that_is_gone_does_not_count_and_is_told(tmp_path: Path) -> None:
    site, first, second = two_calls(tmp_path)
    copied_by_hand(site, second, tmp_path / "offsite")
    forged(site, first, second)
    for snapshot in (site.repo / "snapshots").glob(f"{first}*"):
        snapshot.unlink()
    done = site.run("copy", "p")
    assert (done.code, one(done)["there"]) == (1, {"recordings": 1}), done
    assert "is not what was captured" in texts(one(done)["findings"])[0], done
    assert "COPY_FAILED" in {p["code"] for p in site.run("status").json["plans"][0]["troubles"]}
    assert site.run("test", "p", "--from", "offsite", "--snapshot", first).code == 2  # there is none such
    assert site.run("test", "p", "--from", "offsite", "--snapshot", second).json["verdict"] == "PASS"
    site.ledger_holds()


def test_of_two_that_claim_one_id_the_one_that_was_captured_is_restored(tmp_path: Path) -> None:
    site, first, second = two_calls(tmp_path)
    copied(site)
    (true,) = [s["id"] for s in restic_of(tmp_path / "offsite", "snapshots") if s["original"] == first]
    forged(site, first, second, before=true)
    assert copied(site)["there"] == {"recordings": 2}
    done = site.run("test", "p", "--from", "offsite", "--snapshot", first)
    assert (done.code, done.json["verdict"]) == (0, "PASS"), done
    assert restored(site, first) == b"a" * 5000


def test_a_copy_whose_snapshot_was_replaced_by_a_forged_one_fails_its_test(tmp_path: Path) -> None:
    site, first, second = two_calls(tmp_path)
    copied(site)
    (true,) = [s["id"] for s in restic_of(tmp_path / "offsite", "snapshots") if s["original"] == first]
    forged(site, first, second)
    (tmp_path / "offsite" / "snapshots" / true).unlink()
    done = site.run("test", "p", "--from", "offsite", "--snapshot", first)
    assert (done.code, done.json["verdict"]) == (1, "FAIL"), done
