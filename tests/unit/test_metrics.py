"""What is written for Prometheus; documentation, alert rules and dashboard name only what is written."""

from __future__ import annotations

import json
import math
import re
import shutil
import subprocess
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families
from tests.support.harness import Site
from tests.support.records import acknowledgement
from tests.support.small_disk import no_file_past
from tests.support.sparse import append_sparse
from tests.support.standing import NOW, World, ago

from ccdr.evidence.acknowledged import known_by
from ccdr.jobs.pausing import pause
from ccdr.model.errors import CcdrError
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import rfc3339
from ccdr.telling.copies import CopiedAsset, CopyStatus, CopyTest
from ccdr.telling.metrics import METRICS, RunFacts, write

ROOT = Path(__file__).parents[2]
RULE_TESTS = sorted((ROOT / "deploy/prometheus").glob("*.test.yml"))
RUN = RunFacts(NOW, 12.5, 1, {"p": 2}, verified=NOW - timedelta(hours=2), ledger_holds=False)


@pytest.fixture
def world(tmp_path: Path) -> World:
    site = Site(tmp_path)
    site.recordings(tmp_path / "spool")
    return World(site)


def written(
    world: World,
    path: Path,
    care: dict[str, tuple[Problem, ...]] | None = None,
    copies: Sequence[CopyStatus] = (),
) -> dict[tuple[str, ...], float]:
    """By name and label values."""
    write(path, [world.now], care or {"p": ()}, world.services.histories(), RUN, copies)
    families = text_string_to_metric_families(path.read_text())
    order = ("plan", "copy", "asset", "verdict", "version")
    samples = [s for f in families for s in f.samples]
    return {(s.name, *(s.labels[o] for o in order if o in s.labels)): s.value for s in samples}


def test_what_was_never_done_is_left_out_and_never_zero(world: World, tmp_path: Path) -> None:
    found = written(world, tmp_path / "ccdr.prom")
    assert found["ccdr_asset_rpo_achieved_seconds", "p", "recordings"] == math.inf
    assert found["ccdr_asset_never_succeeded", "p", "recordings"] == 1
    assert found["ccdr_asset_proven", "p", "recordings"] == 0
    names = {key[0] for key in found}
    assert not names & {
        "ccdr_asset_rto_achieved_seconds",
        "ccdr_asset_last_good_backup_timestamp_seconds",
        "ccdr_asset_last_test_timestamp_seconds",
        "ccdr_asset_last_backup_ok",
        "ccdr_repository_bytes",
    }


def test_everything_that_is_documented_is_written(world: World, tmp_path: Path) -> None:
    world.snapshot(1, ago(minutes=20))
    stored = {"id": f"{1:064x}", "bytes": 4096}
    world.wrote("backup.end", result="STORED", reason=None, snapshot=stored, beside_source=None)
    world.tested("PASS")
    world.wrote(
        "missed", verb="backup", due="2026-11-24T10:15:00Z", first_due="2026-11-24T08:15:00Z", count=3, reason="-"
    )
    world.wrote(
        "missed", verb="test", due="2026-11-24T11:15:00Z", first_due="2026-11-24T11:15:00Z", count=1, reason="-"
    )
    upkeep: list[tuple[str, dict[str, Any]]] = [
        ("prune.end", {"result": "DONE", "reason": None, "repository_bytes": 10**6}),
        ("check.end", {"result": "CLEAN", "reason": None, "part": 1, "parts": 2, "repository_bytes": 2 * 10**6}),
    ]
    for kind, body in upkeep:
        append_sparse(world.services.ledger, kind, plan="p", asset=None, run="u", body=body)
    assert written(world, tmp_path / "ccdr.prom")["ccdr_plan_paused", "p"] == 0
    pause(world.site.loaded(), world.services, timedelta(hours=4), "why")
    test = CopyTest(ago(hours=1), "PASS", None)
    held = {"recordings": CopiedAsset(ago(hours=6), ago(hours=4), ago(hours=5), test), "crm": CopiedAsset()}
    copy = CopyStatus("p", "offsite", "Cluj", ago(hours=4), "DONE", held, 3, NOW)
    done = {"result": "DONE", "there": {"recordings": 3}, "copy": "offsite"}
    append_sparse(world.services.ledger, "copy.end", plan="p", asset=None, run="c", body=done)
    found = written(world, tmp_path / "ccdr.prom", copies=[copy])
    assert {key[0] for key in found} == set(METRICS)
    assert found["ccdr_copy_exposure_seconds", "p", "offsite", "recordings"] == 5 * 3600
    assert found["ccdr_copy_exposure_seconds", "p", "offsite", "crm"] == math.inf
    assert found["ccdr_copy_problems", "p", "offsite"] == found["ccdr_copy_overdue", "p", "offsite"] == 0
    assert found["ccdr_copy_last_ok", "p", "offsite"] == 1
    verdicts = [found["ccdr_copy_last_test_verdict", "p", "offsite", "recordings", v] for v in ("PASS", "FAIL")]
    assert verdicts == [1, 0]
    assert found["ccdr_copy_last_test_timestamp_seconds", "p", "offsite", "recordings"] == ago(hours=1).timestamp()
    assert ("ccdr_copy_last_test_timestamp_seconds", "p", "offsite", "crm") not in found
    until = (ago(hours=-4)).timestamp()
    assert (found["ccdr_plan_paused", "p"], found["ccdr_plan_paused_until_timestamp_seconds", "p"]) == (1, until)
    where = ("p", "recordings")
    assert found["ccdr_asset_rpo_achieved_seconds", *where] == 1200
    assert found["ccdr_asset_rpo_objective_seconds", *where] == 3600
    assert found["ccdr_asset_rto_achieved_seconds", *where] == 5
    assert found["ccdr_asset_last_good_backup_timestamp_seconds", *where] == NOW.timestamp()
    assert found["ccdr_asset_last_backup_ok", *where] == found["ccdr_asset_proven", *where] == 1
    assert [found["ccdr_asset_last_test_verdict", *where, v] for v in ("PASS", "FAIL", "INCONCLUSIVE")] == [1, 0, 0]
    assert found["ccdr_asset_missed_total", *where] == 4
    assert found["ccdr_asset_snapshot_bytes", *where] == 4096 and found["ccdr_repository_bytes", "p"] == 2 * 10**6
    assert found["ccdr_notification_failures", "p"] == 2 and found["ccdr_last_run_exit_code",] == 1
    assert found["ccdr_last_run_timestamp_seconds",] == NOW.timestamp()
    assert found["ccdr_last_check_clean", "p"] == 1
    assert (
        found["ccdr_ledger_verified_timestamp_seconds",] == NOW.timestamp() - 7200 and found["ccdr_ledger_holds",] == 0
    )


def test_only_our_own_numbers_and_no_creation_times(world: World, tmp_path: Path) -> None:
    written(world, tmp_path / "ccdr.prom")
    text = (tmp_path / "ccdr.prom").read_text()
    assert "python_" not in text and "process_" not in text and "_created" not in text
    assert [p.name for p in tmp_path.iterdir() if "ccdr.prom" in p.name] == ["ccdr.prom"]
    assert (tmp_path / "ccdr.prom").stat().st_mode & 0o777 == 0o644


def test_a_failed_backup_and_test_show(world: World, tmp_path: Path) -> None:
    world.snapshot(1, ago(hours=2))
    world.tested("FAIL")
    world.wrote("backup.end", result="FAILED", reason="disk full")
    wrong = Problem(Trouble.PRUNE_LATE, "overdue")
    found, where = written(world, tmp_path / "ccdr.prom", {"p": (wrong,) * 3}), ("p", "recordings")
    assert found["ccdr_asset_last_backup_ok", *where] == found["ccdr_asset_proven", *where] == 0
    assert found["ccdr_asset_last_test_verdict", *where, "FAIL"] == 1 and found["ccdr_plan_problems", "p"] == 3
    assert (found["ccdr_plan_prune_overdue", "p"], found["ccdr_plan_check_overdue", "p"]) == (1, 0)


def test_what_is_acknowledged_and_a_repository_beside_its_source_are_numbers_of_their_own(
    world: World, tmp_path: Path
) -> None:
    world.snapshot(1, ago(minutes=20))
    world.wrote("backup.end", result="STORED", reason=None, snapshot={"id": f"{1:064x}"}, beside_source="disk")
    world.tested("PASS")
    found = written(world, tmp_path / "ccdr.prom")
    here = ("p", "recordings")
    assert found["ccdr_asset_repository_near", *here] == found["ccdr_asset_proven", *here] == 1
    assert found["ccdr_asset_problems", *here] == found["ccdr_asset_acknowledged_problems", *here] == 0
    world.wrote("backup.end", result="FAILED", reason="disk full")
    (failed,) = world.now.troubles
    until = rfc3339(NOW + timedelta(days=1))
    world.wrote("statement", **acknowledgement("BACKUP_FAILED", [known_by(failed)], until))
    care = {"p": (Problem(Trouble.PRUNE_FAILED, "x", acknowledged=NOW), Problem(Trouble.CHECK_LATE, "y"))}
    found = written(world, tmp_path / "ccdr.prom", care)
    assert found["ccdr_asset_problems", *here] == found["ccdr_asset_acknowledged_problems", *here] == 1
    assert (found["ccdr_plan_problems", "p"], found["ccdr_plan_acknowledged_problems", "p"]) == (2, 1)


def test_upkeep_that_is_another_hosts_is_left_out(world: World, tmp_path: Path) -> None:
    append_sparse(world.services.ledger, "duties", plan="p", asset=None, run=None, body={"verbs": ["backup", "check"]})
    found = written(world, tmp_path / "ccdr.prom")
    assert found["ccdr_plan_check_overdue", "p"] == 0 and ("ccdr_plan_prune_overdue", "p") not in found


def test_a_directory_that_cannot_be_written_is_told(world: World, tmp_path: Path) -> None:
    for path in (tmp_path / "not there" / "ccdr.prom", tmp_path, Path("/proc/ccdr.prom"), Path("/dev/full/ccdr.prom")):
        with pytest.raises(CcdrError, match="could not be written") as raised:
            written(world, path)
        assert raised.value.hint


def test_a_full_disk_keeps_the_old_numbers(world: World, tmp_path: Path) -> None:
    path = tmp_path / "ccdr.prom"
    written(world, path)
    before = path.read_bytes()
    with no_file_past(100), pytest.raises(CcdrError, match="could not be written"):
        write(path, [], {"p": ()}, {}, RUN)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir() if "ccdr.prom" in p.name] == ["ccdr.prom"]


def test_names_follow_prometheus_conventions() -> None:
    for name, (labels, text) in METRICS.items():
        assert re.fullmatch(r"ccdr_[a-z]+(_[a-z]+)*", name) and text.endswith(".")
        copies = (("plan", "copy"), ("plan", "copy", "asset"), ("plan", "copy", "asset", "verdict"))
        assert labels in ((), ("plan",), ("plan", "asset"), ("plan", "asset", "verdict"), ("version",), *copies)
        assert not re.search(r"_(ms|minutes|hours|kib|mib|percent)\b", name)


def test_documentation_lists_what_is_written() -> None:
    page = (ROOT / "docs" / "reference" / "metrics.md").read_text("utf-8")
    rows = re.findall(r"^\| `(ccdr_\w+)` \| (.*?) \| (.*?) \|$", page, re.MULTILINE)
    listed = {name: (tuple(re.findall(r"`(\w+)`", labels)), text) for name, labels, text in rows}
    assert listed == METRICS and list(listed) == list(METRICS)


def _named(text: str) -> set[str]:
    return set(re.findall(r"\bccdr_[a-z_]+\b", text))


def test_alert_rules_name_only_what_is_written() -> None:
    document = yaml.safe_load((ROOT / "deploy/prometheus/ccdr-alerts.yml").read_text("utf-8"))
    rules = [rule for group in document["groups"] for rule in group["rules"]]
    assert len({r["alert"] for r in rules}) == len(rules) > 10
    for rule in rules:
        assert _named(rule["expr"]) and _named(rule["expr"]) <= set(METRICS), rule["alert"]
        assert rule["labels"]["severity"] in ("critical", "warning", "info")
        assert rule["annotations"]["summary"] and rule["annotations"]["next"]
    tests = [test for path in RULE_TESTS for test in yaml.safe_load(path.read_text("utf-8"))["tests"]]
    series = {s["series"].partition("{")[0] for t in tests for s in t["input_series"]}
    assert series <= {*METRICS, "up"}  # what every exporter has
    fired = {a["alertname"] for t in tests for a in t.get("alert_rule_test", ()) if a["exp_alerts"]}
    assert fired == {r["alert"] for r in rules}, "each is seen to fire"


def promtool(*argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["promtool", *argv], capture_output=True, text=True, check=False)


def test_alert_rules_fire_when_they_should(tmp_path: Path) -> None:
    directory = shutil.copytree(ROOT / "deploy/prometheus", tmp_path / "rules")
    tests = [str(directory / path.name) for path in RULE_TESTS]
    done = promtool("test", "rules", *tests)
    assert done.returncode == 0, done.stdout + done.stderr
    rules = directory / "ccdr-alerts.yml"
    rules.write_text(rules.read_text("utf-8").replace('verdict="FAIL"}) == 1', 'verdict="FAIL"}) == 2'), "utf-8")
    group = "^one host backs up"  # the others would pass again
    done = promtool("test", "rules", "--run", group, *tests)
    assert done.returncode != 0 and "CcdrTestFailed" in done.stdout + done.stderr, "it can fail"


def test_what_the_dashboard_asks_can_be_asked(tmp_path: Path) -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/ccdr.json").read_text("utf-8"))
    asked = [t["expr"] for p in dashboard["panels"] for t in p["targets"]]
    rules = [{"record": f"asked:{n}", "expr": expr.replace("$plan", "p")} for n, expr in enumerate(asked)]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}), "utf-8")
    done = promtool("check", "rules", str(path))
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_dashboard_names_only_what_is_written() -> None:
    dashboard = json.loads((ROOT / "deploy/grafana/ccdr.json").read_text("utf-8"))
    targets = [t for p in dashboard["panels"] for t in p["targets"]]
    assert len({p["id"] for p in dashboard["panels"]}) == len(dashboard["panels"]) > 10
    for target in targets:
        assert _named(target["expr"]) and _named(target["expr"]) <= set(METRICS), target["expr"]
        assert target["datasource"]["uid"] == "${datasource}"
    assert {v["name"] for v in dashboard["templating"]["list"]} == {"datasource", "plan"}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= 24 and panel["title"]


def test_two_hundred_assets_make_one_file(world: World, tmp_path: Path) -> None:
    """200 assets make one file; nothing is forgotten on the way."""
    from dataclasses import replace

    world.snapshot(1, ago(minutes=20))
    found = [replace(world.now, asset=f"a{n}") for n in range(200)]
    write(tmp_path / "ccdr.prom", found, {"p": ()}, {}, RunFacts(NOW + timedelta(seconds=1), 1.0, 0, {}))
    text = (tmp_path / "ccdr.prom").read_text()
    assert text.count("ccdr_asset_proven{") == 200
