"""What is proven: what was never done, is only throwaway, or was never measured is not."""

from __future__ import annotations

import re
from dataclasses import replace

from tests.support.sparse import append_sparse
from tests.support.standing import IDS, World, ago, told

from ccdr.model.measure import judge
from ccdr.telling.status import exit_code


def test_never_done_is_infinite_and_says_so(world: World) -> None:
    found = world.now
    assert found.as_json()["rpo"] == {"objective_s": 3600, "achieved_s": None, "verdict": "BREACHED"}
    assert found.rto.verdict == "NOT_MEASURED" and found.coverage == "untested"
    assert found.problems == ("no backup has succeeded yet", "never tested")
    assert exit_code([found]) == 1 and exit_code([]) == 0


def test_backed_up_and_tested_is_fine(world: World) -> None:
    world.snapshot(1, ago(minutes=20))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.tested("PASS")
    found = world.now
    assert found.rpo.achieved_s == 1200 and found.rpo.verdict == "MET" and found.rto.achieved_s == 5.0
    assert found.coverage == "tested" and found.problems == () and exit_code([found]) == 0


def test_an_inconclusive_test_is_told_and_keeps_what_was_proven(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.tested("PASS")
    world.tested("INCONCLUSIVE", achieved=None)
    found = world.now
    assert found.coverage == "tested" and found.rto.achieved_s == 5.0
    assert any("INCONCLUSIVE" in p for p in found.problems)


def test_throwaway_and_durable_are_never_mixed(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.tested("PASS", basis="durable")
    assert world.now.rto.verdict == "NOT_MEASURED"


def test_what_was_never_measured_as_the_plan_wants_it_is_a_finding_though_nothing_is_wrong(world: World) -> None:
    """It was measured with the other settings: nobody knows how long a recovery takes."""
    world.snapshot(1, ago(minutes=5))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.tested("PASS", basis="durable")
    found = world.now
    assert found.problems == () and found.finding and exit_code([found]) == 1 and not found.proven
    world.tested("PASS")
    assert not world.now.finding and world.now.proven


def test_what_passed_is_proven_only_while_nothing_is_wrong_and_no_objective_is_breached(world: World) -> None:
    world.snapshot(1, ago(minutes=5))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.tested("PASS")
    assert world.now.proven
    world.wrote("backup.end", result="FAILED", reason="disk full")
    found = world.now
    assert found.coverage == "tested" and found.rpo.verdict == "MET" and not found.proven, "a backup has failed"
    world.snapshot(2, ago(minutes=4))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[2]})
    assert world.now.proven
    assert not replace(world.now, rpo=judge(3600, 7200.0)).proven


def test_a_prune_tells_what_the_repository_takes_and_what_is_free(world: World) -> None:
    append_sparse(
        world.services.ledger, "prune.end", plan="p", asset=None, run="u", body={"result": "DONE", "removed": [],
        "repository_bytes": 3 << 30, "free_bytes": 5 << 30},
    )  # fmt: skip
    assert any(line.startswith("p: repository 3.0 GiB, 5.0 GiB free on ") for line in told(world, more=False))
    (plan,) = world.site.run("status").json["plans"]
    assert (plan["room"]["repository_bytes"], plan["room"]["free_bytes"]) == (3 << 30, 5 << 30)


def test_where_a_plan_cannot_be_read_nothing_is_good(world: World) -> None:
    (world.site.root / "plans/q.yaml").write_text("plan: [")
    done = world.site.start("status")
    verdict = done.communicate()[0].splitlines()[0]
    assert done.returncode == 2 and verdict.split(",")[0] in ("No", "Not proven")


def test_what_is_acknowledged_is_as_bad_as_it_was_to_status_and_report_alike(world: World) -> None:
    world.snapshot(1, world.to_real_time())
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.tested("FAIL")

    def told() -> tuple[str, str, set[str]]:
        """The word of status, and of the report; what of the asset has nobody acknowledged?"""
        verdict = world.site.start("status").communicate()[0].splitlines()[0]
        (plan,) = world.site.run("status", "--json").json["plans"]
        left = {trouble["code"] for trouble in plan["assets"][0]["troubles"] if not trouble["acknowledged"]}
        return verdict.split(",")[0], world.site.run("report", "--json").json["answer"]["word"], left

    status_word, report_word, troubles = told()
    assert (status_word, report_word) == ("No", "No") and "TEST_FAILED" in troubles, troubles
    for code in sorted(troubles):
        done = world.site.run("ack", code, "p", "--asset", "recordings", "--until", "7d", "--why", "a new tape is due")
        assert done.code == 0, done.err
    assert told() == ("No", "No", set())


def test_a_ledger_that_is_broken_is_a_finding_though_its_verification_names_no_problem(world: World) -> None:
    world.snapshot(1, world.to_real_time())
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": IDS[1]})
    world.tested("PASS")
    first = told(world, more=False)[0]
    assert first.startswith("Yes, no finding: ") and first.endswith(" (records not verified yet)")
    body = {"records": 1, "head": "0" * 64, "summary": "EQUAL", "result": "HOLDS"}
    append_sparse(world.services.ledger, "ledger.verified", plan=None, asset=None, run=None, body=body)
    assert re.search(r" \(records verified \d+\.\d s ago\)$", told(world, more=False)[0])
    append_sparse(
        world.services.ledger, "ledger.verified", plan=None, asset=None, run=None, body=body | {"result": "BROKEN"}
    )
    assert told(world, more=False)[0].startswith("Not proven, 1 finding: ")
