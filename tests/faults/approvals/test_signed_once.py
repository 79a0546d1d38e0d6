"""What is answered, decided or ended may be signed: by one option, and verified as all that people sign."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.support.harness import Site
from tests.support.signed import key, signers

from ccdr.evidence.records.statements import TABLE

ONCE = {kind for kind, row in TABLE.items() if row.namespace == "ccdr-statement"}
ANSWERS = {"answer.ledger", "answer.entry"}  # where there is something to answer for


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path)
    (tmp_path / "tree").mkdir()
    site.recordings(tmp_path / "tree")
    keys = {name: key(tmp_path, name) for name in ("ana", "eve")}
    who = signers(tmp_path / "signers", {"ana@x": keys["ana"]})
    plan = tmp_path / "plans/p.yaml"
    plan.write_text(plan.read_text().replace("assets:", f"approval: {{signers: {who}}}\nassets:", 1))
    return site


def each(site: Site, by: Path) -> dict[str, tuple[str, ...]]:
    """The command of each kind, once there is something to be said; `by` this key."""
    opened = ("incident", "open", "p", "--kind", "availability", "--why", "x")
    names = [site.run(*opened).json["incident"] for _ in range(2)]
    assert site.run("pause", "p", "--for", "1h", "--why", "x").code == 0
    assert site.run("ack", "PLAN_UNAPPROVED", "p", "--until", "1d", "--why", "x").code == 0
    said = {
        "end.schedule": ("pause", "p", "--end"),
        "end.trouble": ("ack", "PLAN_UNAPPROVED", "p", "--end"),
        "decide.filing": ("incident", "note", names[0], "--filed", "gdpr-33", "--receipt", "/etc/hostname"),
        "decide.not_due": ("incident", "note", names[1], "--not-due", "gdpr-33", "--text", "x"),
        "decide.closing": ("incident", "close", names[0], "--cause", "hardware", "--effects", "x", "--remedy", "x"),
    }
    return {kind: (*words, "--key", str(by)) for kind, words in said.items()}


def test_each_is_signed_by_a_key_and_verified_by_the_file_of_who_may(site: Site) -> None:
    commands = each(site, site.root / "ana")
    assert {*commands} == ONCE - ANSWERS
    for kind, words in commands.items():
        done = site.run(*words)
        assert done.code in (0, 1) and "error" not in done.json, (kind, done)
    held = site.run("ledger", "verify", "--signers", str(site.root / "signers")).json["statements"]
    assert {one["kind"]: (one["by"], one["count"]) for one in held["held"]} == dict.fromkeys(commands, ("ana@x", 1))
    assert held["refused"] == [] and held["signed"] == len(commands)
    site.ledger_holds()


def test_by_a_key_of_nobody_who_may_sign_nothing_is_said(site: Site) -> None:
    commands, records = each(site, site.root / "eve"), len(site.records())
    for kind, words in commands.items():
        assert site.run(*words).code == 2, kind
    assert len(site.records()) == records


def test_an_answer_for_a_line_that_was_changed_is_signed(site: Site) -> None:
    assert site.run("pause", "p", "--for", "1h", "--why", "x").code == 0
    (segment,) = (site.state / "ledger").glob("*.jsonl")
    segment.write_bytes(segment.read_bytes()[:-2] + b"]\n")
    words = ("ack", "LEDGER_SPOILT", "--why", "x", "--key")
    assert site.run(*words, str(site.root / "eve")).code == 2
    assert site.run(*words, str(site.root / "ana")).code == 0
    held = site.run("ledger", "verify", "--signers", str(site.root / "signers")).json["statements"]["held"]
    assert held == [{"kind": "answer.ledger", "by": "ana@x", "count": 1}]


@pytest.mark.parametrize(
    "words",
    [
        ("pause", "p", "--for", "1h", "--why", "x"),
        ("ack", "PLAN_UNAPPROVED", "p", "--until", "1d", "--why", "x"),
        ("incident", "note", "inc", "--text", "x"),
    ],
)
def test_what_is_never_signed_takes_no_key(site: Site, words: tuple[str, ...]) -> None:
    assert site.run(*words, "--key", str(site.root / "ana")).code == 2
    assert "statement" not in {record["kind"] for record in site.records()}
