"""How what an engine has compared becomes the result of a check: PASS where nothing is wrong, FAIL that names some."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from ccdr.model.values import CheckResult, Verdict

NAMED = 6  # how many differences a result names


def judged(
    name: str,
    wrong: Sequence[str],
    expected: str,
    actual: str,
    *,
    kind: Literal["identical", "integrity"] = "identical",
    lead: str = "",
    joint: str = "; ",
    detail: str | None = None,
) -> CheckResult:
    """FAIL where anything is wrong, and then `actual` names it, after `lead`."""
    return CheckResult(
        kind=kind,
        name=name,
        status=Verdict.FAIL if wrong else Verdict.PASS,
        expected=expected,
        actual=lead + named(wrong, joint) if wrong else actual,
        detail=detail or None,
    )


def equal(name: str, before: Mapping[str, object], after: Mapping[str, object], count: int) -> CheckResult:
    """Each key of either has the same value in both; `count` is what there is of them, for people."""
    wrong = [key for key in sorted(before.keys() | after.keys()) if before.get(key) != after.get(key)]
    return judged(name, wrong, f"{count} as captured", f"{count}, equal", lead="differs: ")


def named(items: Sequence[str], joint: str = "; ") -> str:
    more = f" and {len(items) - NAMED} more" if len(items) > NAMED else ""
    return joint.join(items[:NAMED]) + more
