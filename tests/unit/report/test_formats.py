"""A report as page, CSV and JSON: the same facts in each, and no text of a record breaks one."""

from __future__ import annotations

import csv
import io
import subprocess
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import DISPOSED, PASSED, Chronicle
from tests.support.clocks import Clock
from tests.support.drawn import examples
from tests.support.harness import Site
from tests.support.pages import shape_of
from tests.support.past import HOUR, NOW, Past, rows_of, written
from tests.support.schema import report_document
from tests.support.wording import lines_with

from ccdr.evidence.records import KINDS
from ccdr.model.values import rfc3339
from ccdr.telling.report import csv_text, html, make_report, period_of
from ccdr.telling.report.population_csv import COLUMNS


def test_who_and_whose_and_how_far_it_was_proven_is_told_in_each_format(
    tmp_path: Path, wording: SnapshotAssertion
) -> None:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    past = Chronicle(NOW, str(site.loaded().plan.assets["recordings"].source_name), asset="recordings")
    who = {"uid": 0, "login_uid": 1000, "terminal": "pts/3", "started_by": "terminal", "claims": {"sudo_user": "=ann"}}
    whose = {"tenant": "acme", "copy": "primary", "site": "Cluj <2>", "attempt": 2}
    snapshot = {"id": "a" * 64, "consistent_point": rfc3339(NOW - 2 * HOUR), "bytes": 5, "manifest_sha256": "b" * 64}
    chosen = snapshot | {"selected": "latest", "verdict": "PASS"}
    tested = {"verdict": "PASS", "checks": [PASSED], "snapshot": chosen, **DISPOSED}
    for kind, more in (("backup", {"added_bytes": 7}), ("restore_test", {"proof": "equal", "bytes_restored": 2048})):
        past.began(-2, kind, kind, who=who, tenant="acme", attempt=2)
        body = {"result": "STORED", "snapshot": snapshot} if kind == "backup" else tested
        past.wrote(-1, f"{kind}.end", kind, phases={}, **body, **whose, **more)
    past.began(-0.5, "backup", "crash", who=who, tenant="acme")
    past.wrote(-0.4, "backup.end", "older", result="STORED", phases={}, snapshot=snapshot | {"id": "c" * 64})
    services = site.services(Clock())
    past.keep(services.state.ledger, services.catalogue)
    report = make_report([site.loaded()], services, period_of(None, None, NOW), command="ccdr report")
    backup, test, crash, older, _ = rows_of(report)
    for row in (backup, test):
        assert (row["tenant"], row["copy"], row["site"], row["attempt"]) == ("acme", "primary", "Cluj <2>", "2")
        assert (row["uid"], row["login_uid"], row["terminal"], row["started_by"]) == ("0", "1000", "pts/3", "terminal")
        assert row["sudo_user_claimed"] == "'=ann", "no formula"
    assert (test["proof"], test["bytes_restored"], backup["proof"], backup["added_bytes"]) == ("equal", "2048", "", "7")
    assert (crash["outcome"], crash["uid"], crash["tenant"], crash["copy"]) == ("CRASHED", "0", "acme", "")
    assert older["uid"] == older["login_uid"] == older["attempt"] == "", "what no record tells is not made up"
    document = report_document(report)
    assert [run.get("who") for run in document["runs"]] == [who, who, who, None]
    assert document["runs"][1].items() >= {**whose, "proof": "equal", "bytes_restored": 2048}.items()
    assert document["tests"][0]["who"] == who
    page = written(html(report))
    assert lines_with(page.replace("<dt>", "\n<dt>"), "<dt>Proven", "KiB") == wording
    who_said = "user id 0, login user id 1000, terminal pts/3, started by terminal, SUDO_USER says =ann, a claim"
    assert f"<dt>Who</dt><dd>a: {who_said}</dd>" in page and ", try 2</dd>" in page
    assert lines_with(page.replace("<dt>", "\n<dt>"), "<dt>Whose data") == wording


@pytest.mark.parametrize("elsewhere", [True, False])
def test_what_checks_a_report_says_which_state_it_was_made_from(
    past: Past, monkeypatch: pytest.MonkeyPatch, elsewhere: bool
) -> None:
    past.fine()
    if not elsewhere:
        monkeypatch.setattr("ccdr.telling.report.build.default_state", lambda: past.site.state)
    state = f" --state {past.site.state}" if elsewhere else ""
    page = written(html(past.report()))
    assert f"<pre><code>ccdr ledger verify{state}\nccdr report{state} --from " in page


def test_an_empty_ledger_and_torn_lines_are_no_traceback(past: Past) -> None:
    assert past.report().population.rows == 0
    past.backup(NOW - HOUR)
    (file,) = (past.site.state / "ledger").glob("*.jsonl")
    with file.open("ab") as out:
        out.write(b'{"seq":3,')
    report = past.report()
    assert report.ledger.verification.torn_bytes == 9 and report.population.rows == 1
    assert "9 bytes of a last line" in written(html(report))


NASTY = [
    "<script>alert(1)</script>", "\"><img src=x onerror=alert(1)>", "'\"", "a\r\nb\nc", "=HYPERLINK(\"http://x\")", "@SUM(A1)",
    "+1", "-1", "\t=1", "\x00\x1b[31m", "\udcff", "\u202egnp.exe", "{{ 7*7 }}{% raw %}", "</title></style></svg>", "]]>", "\u2028",
    "a,b;c", "  x  ", "", "\uff1d1+1",
]  # fmt: skip
nasty = st.one_of(st.sampled_from(NASTY), st.text(max_size=30))
junk = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(10**20), 10**20),
        st.floats(allow_nan=False, allow_infinity=False),
        nasty,
    ),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(nasty, inner, max_size=3)),
    max_leaves=6,
)
KEYS = ["verdict", "result", "reason", "snapshot", "phases", "checks", "rpo", "rto", "findings", "sandbox", "disposal", "tools",
        "trigger", "added_bytes", "removed", "part", "parts", "covered", "full_since", "repository_bytes", "verb", "count", "due",
        "target", "seconds"]  # fmt: skip


@settings(
    max_examples=examples(40),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(st.lists(st.tuples(st.sampled_from(["restore_test", "backup", "prune", "check", "restore", "missed", "x"]),
                          nasty, st.dictionaries(st.sampled_from(KEYS), junk, max_size=10), st.booleans()), min_size=1, max_size=4))  # fmt: skip
def test_no_text_of_a_record_breaks_page_csv_or_json(
    tmp_path_factory: pytest.TempPathFactory, made: list[tuple[str, str, dict[str, Any], bool]]
) -> None:
    past = Past(tmp_path_factory.mktemp("nasty"))
    for number, (kind, text, body, crashes) in enumerate(made):
        asset = "recordings" if number % 2 else text
        kind_of = kind if kind in ("missed", "x") else f"{kind}.{'start' if crashes else 'end'}"
        about = {"kind": kind_of, "plan": "p", "asset": asset, "run": text, "version": 4}
        past.ledger._append({**about, **body})  # hardly ever as its kind is defined
        if kind_of in KINDS:
            past.wrote(NOW - HOUR, kind_of, run=text, asset=asset, **({} if crashes else {"reason": text}))
    report = past.report()
    shape = shape_of(written(html(report)))
    assert shape.seen["h1"] == 1
    document = report_document(report)
    assert len(document["runs"]) == report.population.rows
    whole = written(csv_text(report))
    rows = list(csv.reader(io.StringIO(whole, newline="")))
    assert {len(row) for row in rows} == {len(COLUMNS)} and len(rows) == report.population.rows + 2
    assert whole.count("\n") == whole.count("\r\n") == len(rows), "a row is a line"
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r")) and (not cell.startswith("-") or cell[1:2].isdigit()), (
            cell
        )


def test_texts_are_told_in_words_on_the_page_and_cannot_turn_around(past: Past) -> None:
    for text in NASTY:
        past.backup(NOW - HOUR, failed=text or "nothing")
        past.backup(NOW - HOUR)
    page = written(html(past.report()))
    shape_of(page)
    assert "&lt;script&gt;alert(1)" in page and "{{ 7*7 }}{% raw %}" in page
    assert "\u202e" not in page and "\x00" not in page and "\x1b" not in page


def test_the_digest_is_of_the_file_without_its_last_row(past: Past, tmp_path: Path) -> None:
    past.fine()
    past.backup(NOW - HOUR, failed='two\nlines, "quoted" and =1+1')
    report = past.report()
    file = tmp_path / "population.csv"
    file.write_bytes(b"".join(csv_text(report)))
    said = subprocess.run(
        ["bash", "-c", f"head -n -1 {file} | sha256sum"], capture_output=True, text=True, check=True
    ).stdout
    assert said.split()[0] == report.population.sha256
    last = rows_of(report)[-1]
    assert (last["what"], last["outcome"], last["count"]) == ("report", "COMPLETE", str(report.population.rows))
    assert report.population.sha256 in last["reason"] and "ccdr report" in last["reason"] and "UTC" in last["reason"]
    assert report.population.sha256 in written(html(report)) and report.ledger.verification.head in written(
        html(report)
    )
