"""The report as one HTML file that needs nothing but itself: no script, no font, no picture from elsewhere."""

from __future__ import annotations

import itertools
import math
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Template
from markupsafe import Markup, escape
from msgspec import to_builtins

from ccdr.evidence.pauses import PAUSED
from ccdr.evidence.records import RestoreEnd, RunbookEnd, TestEnd
from ccdr.evidence.records.restores import RestoreTarget
from ccdr.model.trouble import Level
from ccdr.model.values import Achieved, Verb, human_bytes, human_seconds, rfc3339, so_many
from ccdr.plans.words import differing, sentence
from ccdr.telling.answer import QUESTION
from ccdr.telling.pages import environment, plain
from ccdr.telling.report import charts
from ccdr.telling.report.asset_evidence import BY_ID, BY_LOG, RULES
from ccdr.telling.report.build import Report
from ccdr.telling.report.choice import (
    MOST_LISTED,
    asset_panels,
    chosen_deviations,
    chosen_interruptions,
    chosen_tests,
    gaps,
    worst_first,
)
from ccdr.telling.report.judged import AssetReport
from ccdr.telling.report.noted import Noted
from ccdr.telling.report.period import MOST_PARTS
from ccdr.telling.report.promises import DUE, NOT_KNOWN_HERE, STARTED, WAITING
from ccdr.telling.report.runs import (
    CRASHED,
    MISSED,
    RECOVER,
    RESTORE,
    RUNBOOK,
    RUNNING,
    SKIPPED,
    TEST,
    VERBS,
    RecordedRun,
    who_began,
)

WORDS = {
    "test": "restore test",
    "negative_control": "damage test",
    "backup": "backup",
    "prune": "prune",
    "check": "repository check",
    "copy": "copying",
    "restore": "restore",
    "runbook": "runbook",
    "recover": "recovery",
}
GLYPHS = {
    "PASS": "✓", "STORED": "✓", "DONE": "✓", "CLEAN": "✓", "RESTORED": "✓", "MET": "✓", "CAUGHT": "✓",
    "FAIL": "✕", "FAILED": "✕", "DAMAGED": "✕", "BREACHED": "✕", "REFUSED": "✕", "PASSED": "✕",
    "INCONCLUSIVE": "?", CRASHED: "!", MISSED: "○", SKIPPED: "–", RUNNING: "…",
}  # fmt: skip
_CLASSES = {"✓": "good", "✕": "bad"}
LEVELS = {
    Level.LOST: ("bad", "✕", "cannot be restored"),
    Level.UNPROVEN: ("warn", "?", "not proven"),
    Level.LATE: ("warn", "!", "not in time"),
    Level.NEAR: ("warn", "!", "beside its source"),
    Level.NOTE: ("note", "•", "to look at"),
    Level.FINE: ("good", "✓", "proven"),
}
# How far a test has proven a snapshot; each level holds those before it.
PROOFS = {
    "stored": "stored: the repository lists it",
    "readable": "readable: all of it came back",
    "restored": "restored and answered",
    "checked": "checked: every check passed",
    "equal": "equal to the source",
}


def html(report: Report) -> Iterator[bytes]:
    """The file, piece by piece."""
    style = files(__package__).joinpath("page.css").read_text("utf-8")
    for piece in template().stream(style=style, **_context(report)):
        yield piece.encode("utf-8", "backslashreplace")


@cache
def template() -> Template:
    """The page as it is before it is filled: to compile it takes half a second."""
    pages = environment()
    pages.filters |= {
        "day": lambda moment: "–" if moment is None else f"{moment:%Y-%m-%d %H:%M}",
        "stamp": lambda moment: rfc3339(moment),
        "seconds": _seconds,
        "bytes": lambda count: "–" if count is None else human_bytes(count),
        "number": lambda count: f"{count:,}",
        "glyph": lambda word: GLYPHS.get(word, "•"),
        "tone": tone,
        "verb": lambda verb: WORDS.get(verb, verb),
    }
    pages.filters |= {"step": _step, "loosening": sentence, "who": _who}
    pages.filters["cards"] = _cards
    pages.filters["proof"] = lambda word: PROOFS.get(word, word)
    return pages.from_string(files(__package__).joinpath("page.html").read_text("utf-8"))


def tone(word: str) -> str:
    """The class of a verdict: good, bad, warn."""
    return _CLASSES.get(GLYPHS.get(word, "•"), "warn")


def _step(text: str) -> Markup:
    """A next step as a terminal has it: what is to be typed is told apart from words."""
    escaped = str(escape(plain(text))).replace("   ", " – ")
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", escaped))  # noqa: S704 - escaped above


def _cards(table: str) -> Markup:
    """A table whose cells know their column's heading: on a telephone each row is a card, and shows it."""
    head, _, body = str(table).partition("</thead>")  # a Markup would escape what is joined to it
    labels = [
        " ".join(re.sub("<[^>]+>", " ", heading).split()) for heading in re.findall(r"<th\b.*?</th>", head, re.DOTALL)
    ]

    def row(match: re.Match[str]) -> str:
        column = iter(labels)
        return re.sub(r"<t[dh](?=[ >])", lambda cell: f'{cell[0]} data-label="{next(column, "")}"', match[0])

    return Markup(head + "</thead>" + re.sub(r"<tr>.*?</tr>", row, body, flags=re.DOTALL))  # noqa: S704 - was escaped


def _who(run: RecordedRun | Noted) -> str:
    """Who began it, and what each fact rests on; empty where the record does not say."""
    uid, login, terminal, by, sudo = who_began(run.who)
    if uid is None:
        return ""
    facts = [f"user id {uid}", "nobody logged in" if login is None else f"login user id {login}"]
    facts += [f"terminal {terminal}"] if terminal else []
    facts += [f"started by {by}"] if by else []
    facts += [f"SUDO_USER says {sudo}, a claim"] if sudo else []
    return ", ".join(facts)


def _seconds(value: float | None) -> str:
    return "–" if value is None else human_seconds(value)


def _context(report: Report) -> dict[str, Any]:
    """All that the template needs, cut to what a page can hold, with how much was cut."""
    judged = [a for a in report.assets if a.in_plan]
    tests = [run for run in report.runs if run.verb == TEST and run.outcome != MISSED and not run.let_be]
    shown_tests = chosen_tests(tests)
    panels = asset_panels(judged, report)
    interruptions = chosen_interruptions(report.interruptions)
    return {
        "report": report,
        "question": QUESTION,
        "changes": [change for one in report.promises for change in one.changes],
        "deviations": chosen_deviations(report.deviations),
        "words_there": any(one.words for one in report.deviations),
        "gaps": gaps(report),
        "differing": [line for one in report.judged_by for line in differing(one)],
        "figures": _figures(report, judged, tests),
        "levels": LEVELS,
        "findings": [
            (level, [f for f in report.findings if f.level is level]) for level in sorted(LEVELS, reverse=True)
        ],
        "most_listed": MOST_LISTED,
        "noted": {(one.plan, one.asset, one.code): one for one in report.noted},
        "at_state": f" --state {shlex.quote(str(report.ledger.elsewhere))}" if report.ledger.elsewhere else "",
        "assets": report.assets,
        "judged": judged,
        "rules": [r for r in RULES if r not in (BY_LOG, BY_ID) or any(r in a.by_rule for a in report.assets)],
        "parts": _parts(report),
        "worst": worst_first,
        "fleet": charts.fleet_chart(judged, report.period, "fleet"),
        "panels": panels,
        "growth": [
            (plan, charts.growth_chart(plan.plan, plan.growth, report.period, f"g{n}"))
            for n, plan in enumerate(report.plans)
        ],
        "tests": [(run, _test(run)) for run in shown_tests],
        "tests_in_all": len(tests),
        "interruptions": interruptions,
        "interruptions_in_all": len(report.interruptions),
        "restores": [(run, _target(run)) for run in report.runs if run.verb in (RESTORE, RECOVER)],
        "runbooks": [
            (run, run.body if isinstance(run.body, RunbookEnd) else None) for run in report.runs if run.verb == RUNBOOK
        ],
        "population": _population(report),
        "copies": [(plan, one) for plan in report.plans for one in plan.copies],
        "upkeep": [(plan, plan.last_conclusive_check) for plan in report.plans],
    }


def _figures(report: Report, judged: Sequence[AssetReport], tests: Sequence[RecordedRun]) -> list[tuple[str, str, str]]:
    """The few numbers that a person wants first: what it is, the number, and what it means."""
    proven = sum(a.level <= Level.LATE for a in judged)
    passed = sum(run.outcome == "PASS" for run in tests)
    failed = sum(run.outcome == "FAIL" for run in tests)
    broken = len(tests) - passed - failed - sum(run.outcome in (SKIPPED, RUNNING) for run in tests)
    backups = [t for (_, verb), t in report.tallies.items() if verb == "backup"]
    missed = sum(t.get(MISSED) or 0 for t in report.tallies.values())
    failures = sum((t.get("FAILED") or 0) + (t.get(CRASHED) or 0) for t in backups)
    slowest = _most(
        judged, lambda a: a.rto, "by each asset's last conclusive test, where that passed; the largest share of its RTO"
    )
    exposed = _most(judged, lambda a: a.rpo, "at the worst moment of the period; the largest share of its RPO")
    return [
        ("Assets proven", f"{proven} of {len(judged)}", "restored from backup and checked"),
        ("Restore tests", f"{passed:,} of {len(tests):,} passed", f"{failed:,} failed, {broken:,} proved nothing"),
        ("Slowest restore, compared with its RTO", *(slowest or ("–", "no test that passed was measured"))),
        ("Most data at risk, compared with its RPO", *(exposed or ("–", "nothing was measured"))),
        ("Backups", f"{sum(t.get('STORED') or 0 for t in backups):,} stored", f"{failures:,} failed or crashed"),
        ("Missed", *_missed(report, missed)),
    ]


def _missed(report: Report, count: int) -> tuple[str, str]:
    """How many of how many, what nobody here knows, and from when on anything is known."""
    tallies = report.tallies.values()
    unknown = sorted({plan for (plan, _), t in report.tallies.items() if t.get(DUE, 0) is None})
    due = sum(t.get(DUE) or 0 for t in tallies)
    elsewhere = sum(t.get(NOT_KNOWN_HERE) or 0 for t in tallies)
    if unknown and len(unknown) == len({plan for plan, _ in report.tallies if plan}):
        text = "recorded as missed; what was due in the period is not known, as no version of a plan is recorded of it"
        return f"{count:,}", text
    text = "that were due and did not take place"
    if elsewhere:
        text += f"; {elsewhere:,} due elsewhere, not known here"
    if since := [one.since for one in report.promises if one.since is not None]:
        text += f"; what was due before {max(since):%Y-%m-%d %H:%M} is not known, beyond what records tell"
    if unknown:
        text += f"; of {so_many(len(unknown), 'plan')} without a recorded version it is not known"
    return f"{count:,} of {due:,}", text


def _most(judged: Sequence[AssetReport], of: Any, when: str) -> tuple[str, str] | None:
    """The asset that is worst against its own objective; `when` says of what it is the worst."""
    some: list[tuple[float, AssetReport, Achieved]] = []
    for asset in judged:
        achieved: Achieved | None = of(asset)
        if achieved is not None and achieved.achieved_s is not None:
            some.append((achieved.achieved_s / achieved.objective_s, asset, achieved))
    if not some:
        return None
    _, asset, achieved = max(some, key=lambda entry: entry[0])
    worst = _seconds(achieved.achieved_s) if math.isfinite(achieved.achieved_s or 0.0) else "all of it"
    return worst, f"{asset.name}, of {_seconds(achieved.objective_s)} allowed; {when}"


def _parts(report: Report) -> list[tuple[datetime, datetime]]:
    edges = report.period.edges(MOST_PARTS)
    return list(itertools.pairwise(edges))


def _test(run: RecordedRun) -> dict[str, Any]:
    """A test's record for the page: what a bar is wide, and the facts of its sandbox; `of` is None without an end."""
    test = run.body if isinstance(run.body, TestEnd) else None
    if test is None:
        return {"of": None, "rto": None, "phases": [], "facts": []}
    longest = max(test.phases.values(), default=0.0) or 1.0
    sandbox = to_builtins(test.sandbox)
    return {
        "of": test,
        "rto": test.rto,
        "phases": [(name, s, round(100 * s / longest, 1)) for name, s in test.phases.items()],
        "facts": [(key, value) for key, value in sandbox.items() if isinstance(value, (str, int, float, bool))],
    }


def _target(run: RecordedRun) -> RestoreTarget | None:
    return run.body.target if isinstance(run.body, RestoreEnd) else None


def _population(report: Report) -> list[dict[str, Any]]:
    """A row for each plan and verb, and before them the sums for each verb. What was due, and what of that was
    missed, is a matter of the schedules."""
    sums: dict[str, dict[str, int | None]] = {}
    unsure = {one.plan for one in report.promises if one.since is not None}
    rows: list[dict[str, Any]] = []
    more = set()
    for (plan, verb), tally in sorted(report.tallies.items(), key=lambda entry: (_rank(entry[0][1]), entry[0])):
        total = sums.setdefault(verb, {DUE: None})
        for key, count in tally.items():
            total[key] = (total.get(key) or 0) + count if count is not None else total.get(key)
        at_least = plan in unsure or tally.get(DUE, 0) is None
        more |= {verb} if at_least else set()
        if plan:  # what is of no plan is in the sums
            rows.append(_counted(plan, verb, tally, at_least=at_least))
    return [*(_counted("", verb, total, at_least=verb in more) for verb, total in sums.items()), *rows]


def _rank(verb: str) -> int:
    return VERBS.index(verb) if verb in VERBS else len(VERBS)


def _counted(plan: str, verb: str, tally: Mapping[str, int | None], *, at_least: bool) -> dict[str, Any]:
    """`at_least`: more may have been due than is known; None where nothing is known of that."""

    def counted(*keys: str) -> int:
        return sum(tally.get(key) or 0 for key in keys)

    good = counted("STORED", "PASS", "DONE", "CLEAN", "RESTORED", "CAUGHT")
    bad = counted("FAILED", "FAIL", "DAMAGED", "REFUSED", "PASSED")
    named = {key: counted(key) for key in ("INCONCLUSIVE", CRASHED, SKIPPED, RUNNING)}
    other = counted(STARTED) - good - bad - sum(named.values())
    named[SKIPPED] += counted(PAUSED)  # which were never started
    counts = {"missed": counted(MISSED), "started": counted(STARTED)}
    counts |= {"waiting": counted(WAITING), "elsewhere": counted(NOT_KNOWN_HERE)}
    due = {"due": tally.get(DUE, 0), "at_least": at_least, "scheduled": verb in list(Verb)}
    return {"plan": plan, "verb": verb, **due, **counts, "good": good, "bad": bad, **named, "other": other}
