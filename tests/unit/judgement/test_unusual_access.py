"""Access that is not usual: who and what was not there before, and what answers for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tests.support.chronicle import NOUGHT, Chronicle, acknowledged
from tests.support.judged import END
from tests.support.records import pause

from ccdr.evidence.acknowledged import known_by
from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.upkeep import unusual_of
from ccdr.evidence.records.statements import STATEMENT
from ccdr.model.trouble import Problem
from ccdr.model.values import rfc3339

WEEK = 7 * 24.0
KEYS = ["1" * 64, "2" * 64]


def past() -> Chronicle:
    """Backed up for a month by `a` on `h`, and looked at."""
    made = Chronicle(END, "/tree")
    made.stored(-4 * WEEK, "old", begun=True)
    looked(made, -4 * WEEK + 1, KEYS[:1])
    compared(made, -4 * WEEK + 1, ["01" * 16])
    made.stored(-1, "new", begun=True)
    return made


def compared(made: Chronicle, hours: float, strangers: list[str] | None) -> None:
    counts = {"snapshots": 2, "elsewhere": 1, "newest": 1, "whole": True, "vanished": {}}
    made.wrote(hours, "ledger.compared", asset=None, result="AGREES", strangers=strangers, **counts)


def looked(made: Chronicle, hours: float, keys: list[str], name: str = "primary") -> None:
    seen = {name: {"way": "tls", "key_ids": keys}}
    made.wrote(hours, "plan.examined", asset=None, repositories=seen, sources={}, secrets=[])


def found(made: Chronicle) -> list[Problem]:
    return list(unusual_of(made.histories.get(("p", None), AssetHistory())))


def began(made: Chronicle, hours: float, **head: str) -> None:
    made.began(hours, "backup", f"r{hours}")
    made.records[-1] |= head


def restored(made: Chronicle, hours: float, run: str = "x", **more: Any) -> None:
    made.began(hours, "restore", run, **more)


def recovered(made: Chronicle, hours: float, run: str = "y", **more: Any) -> None:
    made.wrote(hours, "recover.start", run, asset=None, plan_sha256=NOUGHT, decided_sha256=NOUGHT, assets=[], **more)


def key_added(made: Chronicle, hours: float, why: str = "command") -> None:
    made.wrote(hours, "repository.key.added", asset=None, repository="primary", key=KEYS[1], why=why, keys=2)


@pytest.mark.parametrize(
    ("tell", "said"),
    [
        (lambda p: began(p, -0.5, host="h2"), "the host h2"),
        (lambda p: began(p, -0.5, actor="mallory as root"), "mallory as root"),
        (lambda p: looked(p, -0.5, KEYS), f"a key that was not there before opens a repository of it: {KEYS[1][:16]}"),
        (lambda p: key_added(p, -0.5), "a key that was not there before"),
        (lambda p: compared(p, -0.5, ["ab" * 16]), "another host, of the ledger abab"),
        (lambda p: restored(p, -0.5), "its data was brought back (run x)"),
        (lambda p: recovered(p, -0.5), "its data was brought back (run y)"),
    ],
)
def test_what_was_not_there_before_is_told_once_and_until_somebody_has_answered_for_it(
    tell: Callable[[Chronicle], None], said: str
) -> None:
    made = past()
    assert found(made) == [], "the healthy twin"
    tell(made)
    tell(made)
    problem = found(made)[0]
    assert problem.trouble.name == "ACCESS_UNUSUAL" and said in problem.text
    of = [known_by(one) for one in found(made)]
    acknowledged(made, 0, "ACCESS_UNUSUAL", of, rfc3339(made.at(24)), asset=None)
    assert found(made) == [], "answered for, and not only until then"
    began(made, 1, host="h3")
    assert [p.why for p in found(made)] == ["new host h3"], "that answer was of another"


@pytest.mark.parametrize(
    "tell",
    [
        lambda p: began(p, -0.5),
        lambda p: looked(p, -0.5, KEYS[:1]),
        lambda p: compared(p, -0.5, ["01" * 16]),
        lambda p: compared(p, -0.5, None),
        lambda p: looked(p, -0.5, KEYS, "a-new-copy"),
        lambda p: key_added(p, -0.5, "rotation"),
        lambda p: recovered(p, -0.5, resumes="z"),
        lambda p: (began(p, -4 * WEEK + 2, host="h2"), restored(p, -4 * WEEK + 2)),
        lambda p: (
            p.wrote(-0.6, STATEMENT, asset=None, **pause(rfc3339(p.at(3)))),
            restored(p, -0.5),
        ),
        lambda p: (p.wrote(-0.6, "runbook.start", "rb", asset=None, **RUNBOOK), restored(p, -0.5)),
    ],
)
def test_what_is_usual_or_was_announced_is_not_told(tell: Callable[[Chronicle], None]) -> None:
    made = past()
    tell(made)
    assert found(made) == []


RUNBOOK: dict[str, Any] = {
    "plan_sha256": NOUGHT, "trigger": {"by": "command"}, "runbook_sha256": NOUGHT, "made": True, "steps": [],
}  # fmt: skip


def test_the_assets_of_a_recovery_are_not_told_one_by_one() -> None:
    made = past()
    recovered(made, -0.5)
    restored(made, -0.4)
    assert [p.why for p in found(made)] == ["recovery y"]
