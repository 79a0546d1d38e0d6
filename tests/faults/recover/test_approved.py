"""A recovery of a plan that says so takes somebody else's approval; a dry run takes none."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.signed import key, signed, signers


@pytest.fixture
def asking(centre: Site) -> tuple[Site, Path, Path]:
    ana, dan = key(centre.root, "ana"), key(centre.root, "dan")
    known, path = signers(centre.root / "signers", {"ana@x": ana, "dan@x": dan}), centre.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("assets:", f"approval: {{signers: {known}, recover: true}}\nassets:", 1))
    return centre, ana, dan


def test_a_recovery_is_refused_without_an_approval_and_carried_out_once_with_one(
    asking: tuple[Site, Path, Path],
) -> None:
    site, ana, dan = asking
    back, file = site.root / "back", site.root / "go.txt"
    given = ("--under", str(back), "--yes-i-mean", "p")
    assert site.run("recover", "p", *given, "--dry-run").code == 0
    for command in (("recover", "p"), ("restore", "p", "--asset", "recordings", "--to", str(back / "recordings"))):
        refused = site.run(*command, *(given if command[0] == "recover" else ("--yes-i-mean", "recordings")))
        assert refused.code == 2 and "needs somebody else's approval" in refused.json["error"], refused
    assert list(back.iterdir()) == [] and site.records("recover.start") == []
    assert {r["result"] for r in site.records("restore.end")} <= {"REFUSED"}
    assert site.run("recover", "--resume").code == 2, "nothing was begun that could be gone on with"
    assert site.run("approval", "request", "p", "recover", "--key", str(ana), "--out", str(file)).code == 0
    file.with_name("go.txt.sig").write_text(signed(file.read_text(), dan))
    done = site.run("recover", "p", *given, "--approval", str(file))
    assert done.code == 0 and done.json["state"] == "done", done
    (used,) = site.records("approve.operation")
    assert used["about"]["operation"] == "recover" and used["about"]["snapshots"] == []


def test_by_breaking_the_glass_it_is_carried_out_where_there_are_no_signers(asking: tuple[Site, Path, Path]) -> None:
    """As on a new host after a fire; and it stands until it was reviewed."""
    site, _, _ = asking
    (site.root / "signers").unlink()
    given = ("--under", str(site.root / "back"), "--yes-i-mean", "p", "--break-glass", "the building is gone")
    assert site.run("recover", "p", *given).code == 0
    (plan,) = site.run("status", "p").json["plans"]
    assert "BREAK_GLASS" in {t["code"] for t in plan["troubles"]}


def test_a_step_of_a_runbook_recovers_with_the_approval_that_it_is_handed(asking: tuple[Site, Path, Path]) -> None:
    """Without it the step fails, and says what goes on."""
    site, ana, dan = asking
    path, back, file = site.root / "plans/p.yaml", site.root / "back", site.root / "go.txt"
    path.write_text(path.read_text() + f"runbook:\n  bring: {{kind: recover, under: {back}}}\n")
    lacking = site.run("runbook", "run", "p", "--approval", str(file))
    assert lacking.code == 2 and "go.txt" in lacking.json["error"], lacking
    assert site.records("runbook.start") == []
    refused = site.run("runbook", "run", "p")
    assert refused.code == 3 and "will want another person's approval" in refused.stderr, refused
    (step,) = refused.json["steps"]
    assert (
        "`ccdr runbook retry p bring " in step["hint"]
        and " --approval FILE`" in step["hint"]
        and list(back.iterdir()) == []
    )
    assert site.run("approval", "request", "p", "recover", "--key", str(ana), "--out", str(file)).code == 0
    file.with_name("go.txt.sig").write_text(signed(file.read_text(), dan))
    done = site.run("runbook", "retry", "p", "bring", "--approval", str(file))
    assert (done.code, done.json["state"]) == (0, "done") and len(site.records("approve.operation")) == 1, done
    assert {path.name for path in back.iterdir()} == {"recordings", "cdr"}
