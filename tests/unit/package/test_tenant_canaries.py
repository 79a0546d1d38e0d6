"""What people say of another client's plans, and of the host, is in no client's package either."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.packages import Exporting, made
from tests.support.sparse import append_sparse
from tests.unit.package.test_tenant import by, everything, of_two

PRIVATE = (b"axolotl", b"quokka", b"wombat", b"numbat", b"dugong", b"tapir", b"okapi", b"kakapo", b"bolt")


@pytest.fixture
def two(tmp_path: Path) -> Exporting:
    exporting = made(tmp_path, lived=False)
    of_two(exporting)
    return exporting


def said(two: Exporting, *words: str) -> None:
    done = two.world.site.run(*words)
    assert done.code in (0, 1), done


def people_speak(two: Exporting) -> None:
    site = two.world.site
    contract = site.root / "contract.pdf"
    contract.write_bytes(b"signed")
    for scope, words in (("quokka", "axolotl"), ("bolt", "axolotl"), ("acme", "ours")):
        said(two, "attest", "processor-agreements", "--of", scope, "--statement", f"{words} is signed",
             "--evidence", str(contract), "--until", "300d")  # fmt: skip
    said(two, "attest", "disk-encryption", "--of", "okapi", "--statement", "axolotl", "--evidence", str(contract),
         "--until", "30d")  # fmt: skip
    listed = site.run("deviation", "list").json["deviations"]
    (one,) = (o for o in listed if (o["plan"], o["code"]) == ("quetzal-plan", "TEST_FAILED"))
    said(two, "deviation", "assign", one["deviation"], "--owner", "numbat@x", "--due", "9d")
    said(two, "deviation", "note", one["deviation"], "--cause", "the dugong")
    said(two, "ack", "TEST_FAILED", "quetzal-plan", "--until", "3d", "--why", "tapir")
    said(two, "pause", "quetzal-plan", "--for", "3h", "--why", "wombat")
    said(two, "incident", "open", "quetzal-plan", "--kind", "availability", "--why", "kakapo")


def test_nothing_that_people_said_of_another_client_is_in_any_file(two: Exporting) -> None:
    people_speak(two)
    done = two.export("--tenant", "acme")
    assert done.code in (0, 1), done
    for name, contents in everything(two.package).items():
        for canary in PRIVATE:
            assert canary not in contents and canary.decode() not in name, (name, canary)
    assert b"processor-agreements of acme: stated by" in (two.package / "data/controls.json").read_bytes()


def test_the_text_of_a_plan_that_names_another_client_is_not_given_away(two: Exporting) -> None:
    plan = two.world.site.root / "plans/p.yaml"
    plan.write_text(f"{plan.read_text('utf-8')}# on the server of quetzal-plan\n", "utf-8")
    assert two.world.site.run("run").code in (0, 1, 3)
    done = two.export("--tenant", "acme")
    assert done.code == 3 and "another tenant's" in done.json["error"]
    assert not two.package.exists()
    assert two.export("--tenant", "acme", "--without-plans").code in (0, 1), "without the texts"


def test_a_name_that_another_client_is_a_part_of_is_not_given_away(two: Exporting) -> None:
    append_sparse(
        by(two, "ann"), "backup.end", plan="p", asset="recordings", run="w",
        body={"tenant": "acme", "result": "FAILED", "reason": "bolt-db1 does not answer"},
    )  # fmt: skip
    done = two.export("--tenant", "acme")
    assert done.code == 3 and "another tenant's" in done.json["error"]


def test_an_asset_of_ones_own_may_be_called_so(two: Exporting) -> None:
    """Else nobody could ever give that client its package: records stay."""
    for end, more in (("start", {}), ("end", {"result": "FAILED", "reason": "bolt-lines is locked"})):
        append_sparse(
            by(two, "ann"), f"backup.{end}", plan="p", asset="bolt-lines", run="w", body={"tenant": "acme", **more}
        )
    assert two.export("--tenant", "acme").code in (0, 1)
