"""A record is read as its struct; modules that read it as a mapping yet stand on a list that only shrinks."""

from __future__ import annotations

import ast
from pathlib import Path

import ccdr

ROOT = Path(ccdr.__file__).parent
WHERE = "ccdr.evidence.verdicts"  # whose `Record` is a mapping

# Take from it what reads structs now; add nothing.
AS_MAPPINGS = frozenset((
    "evidence/acknowledged.py",
    "evidence/controls/parts/continuity.py",
    "evidence/controls/parts/governance.py",
    "evidence/controls/parts/protection.py",
    "evidence/controls/parts/shared.py",
    "evidence/controls/values.py",
    "evidence/deviations/derive.py",
    "evidence/deviations/values.py",
    "evidence/deviations/wanted.py",
    "evidence/due_gaps.py",
    "evidence/folding.py",
    "evidence/history/accesses.py",
    "evidence/history/asset_history.py",
    "evidence/history/fold.py",
    "evidence/history/folded.py",
    "evidence/incidents.py",
    "evidence/judgement/asset.py",
    "evidence/judgement/asset_status.py",
    "evidence/judgement/statements.py",
    "evidence/judgement/troubles.py",
    "evidence/judgement/upkeep.py",
    "evidence/package/lines.py",
    "evidence/package/statements.py",
    "evidence/package/verifying.py",
    "evidence/pauses.py",
    "evidence/population.py",
    "evidence/statements.py",
    "evidence/summary.py",
    "evidence/verdicts.py",
    "evidence/whose.py",
    "jobs/approvals.py",
    "jobs/incidents/facts.py",
    "jobs/pausing.py",
    "jobs/recover/choice.py",
    "jobs/recover/prediction.py",
    "jobs/restore/examination.py",
    "jobs/services.py",
    "jobs/statements.py",
    "setup/doctor/readiness.py",
    "telling/incidents/view.py",
    "telling/metrics.py",
    "telling/report/asset_evidence.py",
    "telling/report/evidence.py",
    "telling/report/index.py",
    "telling/report/population_csv.py",
    "telling/report/runs.py",
    "telling/report/sign_offs.py",
    "telling/status.py",
))  # fmt: skip


def test_modules_that_read_records_as_mappings_become_fewer() -> None:
    found = {str(path.relative_to(ROOT)) for path in ROOT.rglob("*.py") if _reads_mappings(ast.parse(path.read_text()))}
    assert not found - AS_MAPPINGS, "these read a record by string keys: read it as its struct"
    assert not AS_MAPPINGS - found, "these do not any more: take them from the list"


def _reads_mappings(module: ast.Module) -> bool:
    """It has the mapping's type, or makes one like it."""
    return any(
        (isinstance(node, ast.ImportFrom) and node.module == WHERE and any(one.name == "Record" for one in node.names))
        or (isinstance(node, ast.Assign) and ast.unparse(node).startswith("Record = Mapping["))
        for node in ast.walk(module)
    )
