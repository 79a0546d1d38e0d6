"""One client's package holds nothing of another's: canaries."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from tests.support.packages import Exporting, made
from tests.support.records import record_in
from tests.support.sparse import append_sparse

from ccdr.cli.ledger.package import OF_WHAT_IS_SHOWN
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.records.statements import STATEMENT, PeriodPopulation, Statement
from ccdr.jobs.checkpoints.creation import make

CANARIES = (b"bolt", b"Bolt", b"ledgerdemain", b"quetzal", b"jackdaw", b"ocelot", b"narwhal")


def by(exporting: Exporting, actor: str) -> Ledger:
    """Records that this user wrote."""
    return Ledger(exporting.world.site.state / "ledger", exporting.world.clock, actor=actor)


def of_two(exporting: Exporting) -> None:
    """Acme's plan `p`, and Bolt's `quetzal-plan`, which tells of an asset, a table, a user and a group."""
    site, clock = exporting.world.site, exporting.world.clock
    plan = site.root / "plans/p.yaml"
    text = plan.read_text("utf-8")
    plan.write_text(text.replace("plan: p\n", "plan: p\ntenant: acme\n", 1))
    other = text.replace("plan: p\n", "plan: quetzal-plan\ntenant: bolt\n", 1).replace("recordings", "jackdaw")
    (site.root / "plans/quetzal-plan.yaml").write_text(other)
    tests = site.root / "restore_tests"
    (tests / "jackdaw.yaml").write_text((tests / "recordings.yaml").read_text().replace("recordings", "jackdaw"))
    for n in range(4):
        clock.on(days=1)
        for actor, name, asset, tenant in (
            ("ann", "p", "recordings", "acme"),
            ("ocelot", "quetzal-plan", "jackdaw", "bolt"),
        ):
            ledger, run = by(exporting, actor), f"{asset}{n}"
            of = {"plan": name, "asset": asset, "run": run}
            append_sparse(ledger, "backup.start", **of, body={"tenant": tenant})
            snapshot = {"id": f"{n}" * 64, "manifest_sha256": "a" * 64}
            append_sparse(ledger, "backup.end", **of, body={"tenant": tenant, "result": "STORED", "snapshot": snapshot})
            append_sparse(ledger, "restore_test.start", **of, body={"tenant": tenant, "selection": "latest"})
            check = {
                "kind": "rows",
                "name": "narwhal" if tenant == "bolt" else "calls",
                "status": "FAIL",
                "expected": "1",
                "actual": "0",
            }
            append_sparse(
                ledger,
                "restore_test.end",
                **of,
                body={
                    "tenant": tenant,
                    "verdict": "FAIL",
                    "snapshot": snapshot,
                    "checks": [check],
                    "reason": f"{check['name']} is empty",
                },
            )
        append_sparse(
            by(exporting, "ocelot"),
            "ledger.compared",
            plan="quetzal-plan",
            asset=None,
            run=None,
            body={
                "result": "DIFFERS",
                "reason": "quetzal",
                "snapshots": 1,
                "elsewhere": 0,
                "newest": 1,
                "whole": True,
                "problems": ["the snapshot of quetzal-plan/jackdaw"],
            },
        )
        append_sparse(
            by(exporting, "ocelot"),
            "sandbox.reap",
            plan=None,
            asset=None,
            run=None,
            body={"removed": ["ccdr-quetzal-jackdaw"], "left_behind": []},
        )
        append_sparse(
            by(exporting, "ocelot"),
            "prune.end",
            plan="quetzal-plan",
            asset=None,
            run=f"pr{n}",
            body={"result": "DONE", "removed": []},
        )
    record_in(exporting.services.ledger, STATEMENT, plan=None, asset=None, run=None, body=signed_off(exporting, []))
    record_in(exporting.services.ledger, STATEMENT, plan=None, asset=None, run=None, body=signed_off(exporting, ["p"]))
    make(exporting.services)
    exporting.anchor.write_bytes(make(exporting.services).checkpoint.contents)


def signed_off(exporting: Exporting, plans: list[str]) -> dict[str, object]:
    """Of the last days; one of all plans counts the tests by the accounts of all."""
    now = exporting.world.clock.now()
    of = PeriodPopulation(
        ledger=str(exporting.services.lineage().ledger), on="h", begins=now - timedelta(days=30), ends=now, plans=tuple(plans),
        rows=1, population_sha256="0" * 64, outcomes={}, due=0, due_in_part=False, missed=0, findings=0, acknowledged=0, tests_by_command=1,
        accounts={"ann" if plans else "ocelot": 1}, read_with=(), records=1, head="0" * 64, problems=0, ccdr="1",
    )  # fmt: skip
    given = Statement(says="period", about=of, made=now, nonce=("1" if plans else "2") * 32)
    signature = "-----BEGIN SSH SIGNATURE-----\nU1NIU0lH\n-----END SSH SIGNATURE-----\n"
    by = {"name": "eva@x", "key": "SHA256:" + "A" * 43, "user_verified": None, "signature": signature}
    return {**given.body(), "by": by, "signers_sha256": "0" * 64, "who": None}


@pytest.fixture
def two(tmp_path: Path) -> Exporting:
    exporting = made(tmp_path, lived=False)
    of_two(exporting)
    return exporting


def everything(package: Path) -> dict[str, bytes]:
    return {str(path.relative_to(package)): path.read_bytes() for path in package.rglob("*") if path.is_file()}


def test_nothing_of_another_tenant_is_in_any_file(two: Exporting) -> None:
    done = two.export("--tenant", "acme")
    assert done.code == 0, done
    for name, contents in everything(two.package).items():
        for canary in CANARIES:
            assert canary not in contents and canary.decode() not in name, (name, canary)
    assert two.by_pin() == (3, "internally consistent", []), "its sign-off is nobody's, without a file of who may sign"
    assert done.json["statements"] == 4
    assert b'"says":"period"' in next(two.package.glob("data/ledgers/*/000000000001.jsonl")).read_bytes(), "its own"
    limits = (two.package / "data/LIMITS.txt").read_text()
    assert "ompleteness among them is unproven" in limits


def test_the_other_one_has_its_own(two: Exporting) -> None:
    """The canaries are where they may be: else nothing is shown by their absence."""
    done = two.export("--tenant", "bolt")
    assert done.code == 0, done
    found = {canary for contents in everything(two.package).values() for canary in CANARIES if canary in contents}
    assert {b"bolt", b"quetzal", b"jackdaw", b"narwhal", b"ocelot"} <= found
    assert two.by_pin() == (0, OF_WHAT_IS_SHOWN, [])


def test_a_plan_of_two_tenants_is_in_no_ones_package(two: Exporting) -> None:
    append_sparse(by(two, "ann"), "backup.start", plan="p", asset="recordings", run="z", body={"tenant": "bolt"})
    done = two.export("--tenant", "acme")
    assert done.code == 2 and "p hold the data of others, too" in done.json["error"]


def test_a_sentence_that_names_another_tenants_plan_is_not_given_away(two: Exporting) -> None:
    append_sparse(
        by(two, "ann"), "backup.end", plan="p", asset="recordings", run="w",
        body={"tenant": "acme", "result": "FAILED", "reason": "it waited for quetzal-plan"},
    )  # fmt: skip
    done = two.export("--tenant", "acme")
    assert done.code == 3 and "another tenant's" in done.json["error"]
    assert not two.package.exists()


def test_a_plan_that_got_its_tenant_later_is_that_tenants(two: Exporting) -> None:
    append_sparse(
        by(two, "ann"), "check.end", plan="p", asset=None, run="c", body={"result": "CLEAN", "part": 1, "parts": 4}
    )
    assert two.export("--tenant", "acme").code == 0


def test_a_plan_whose_file_is_wrong_is_left_out(two: Exporting) -> None:
    """Whose it is by now, nobody can tell; others' evidence is not kept back by it."""
    path = two.world.site.root / "plans/p.yaml"
    path.write_text("plan: p\n")
    assert two.export("--tenant", "acme").code == 2
    assert two.export("--tenant", "bolt").code == 0
