"""The words: a subject that says the worst first, and a body that says what to do next. Plain text."""

from __future__ import annotations

import socket
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from ccdr.judgement import AssetStatus
from ccdr.model import human_seconds
from ccdr.notify.concerns import Concern, concerns_of
from ccdr.notify.told import Failure, Kind, News
from ccdr.plans import LoadedPlan
from ccdr.status import kept
from ccdr.trouble import Trouble, next_step

MOST_LINES = 40  # concerns that one message spells out
LONGEST_TEXT = 500  # characters of one concern

HEADLINES = {
    Trouble.LEDGER_BROKEN: "ledger does NOT VERIFY",
    Trouble.LEDGER_LOST: "ledger LOST",
    Trouble.LEDGER_CONTRADICTED: "ledger is NOT what snapshots attest",
    Trouble.SUMMARY_WRONG: "status was NOT what the ledger says",
    Trouble.RECORDS_NEWER: "records of a LATER ccdr",
    Trouble.RECORDS_WRONG: "records that NO ccdr wrote",
    Trouble.CATALOGUE_WRONG: "a snapshot's date was CHANGED here",
    Trouble.PLAN_FILES_GONE: "what the plan said is NOT KEPT",
    Trouble.PLAN_WRONG: "another plan's file is WRONG",
    Trouble.TEST_FAILED: "restore test FAILED",
    Trouble.LOG_FAILED: "recovery by the log FAILED",
    Trouble.NEWER_FAILED: "newest backup FAILED, the one before is good",
    Trouble.BACKUP_FAILED: "backup FAILED",
    Trouble.REPOSITORY_AWAY: "repository NOT THERE",
    Trouble.SNAPSHOT_VANISHED: "a snapshot VANISHED",
    Trouble.REPOSITORY_DAMAGED: "repository DAMAGED",
    Trouble.BREACH_RPO: "RPO BREACHED",
    Trouble.BREACH_RTO: "RTO BREACHED",
    Trouble.RTO_UNMEASURED: "RTO not measured",
    Trouble.NEVER_SUCCEEDED: "never backed up",
    Trouble.NOT_BEGUN: "could not begin",
    Trouble.BACKUP_LATE: "backup OVERDUE",
    Trouble.TEST_LATE: "restore test OVERDUE",
    Trouble.LOG_LATE: "log NOT SHIPPED",
    Trouble.LOG_GAP: "log has a GAP",
    Trouble.FINDING: "finding",
    Trouble.GROUP_INCOMPLETE: "group INCOMPLETE",
    Trouble.TEST_INCONCLUSIVE: "restore test INCONCLUSIVE",
    Trouble.NO_LONGER_CHECKED: "what FAILED is no longer checked",
    Trouble.NEVER_TESTED: "never tested",
    Trouble.RESTORE_CRASHED: "restore CRASHED",
    Trouble.PRUNE_FAILED: "prune FAILED",
    Trouble.PRUNE_LATE: "prune OVERDUE",
    Trouble.CHECK_INCONCLUSIVE: "check INCONCLUSIVE",
    Trouble.CHECK_LATE: "check OVERDUE",
    Trouble.DUTIES: "other work than before",
    Trouble.MISSED: "MISSED",
    Trouble.UNTOLD: "an address could not be told",
}
SECTIONS = {Kind.NEW: "New", Kind.AGAIN: "Back again", Kind.STILL: "Still so", Kind.FIXED: "Fixed again"}


@dataclass(frozen=True)
class Message:
    """`wrong`: something is; otherwise it brings good news only."""

    subject: str
    body: str
    wrong: bool


def compose(
    loaded: LoadedPlan, news: Sequence[News], now: datetime, *, others: int = 0, unreached: Failure | None = None
) -> Message:
    """One message for one address. `others`: what is open and was told it before; `unreached`: it could not be
    reached until now."""
    plan = loaded.plan
    wrong = any(n.kind is not Kind.FIXED for n in news)
    lines = [f"{plan.service} (plan {plan.plan}, owner {plan.owner})", f"Told by {socket.gethostname()}, {_time(now)}."]
    spelled = list(news)[:MOST_LINES]
    for kind, heading in SECTIONS.items():
        of_kind = [n for n in spelled if n.kind is kind]
        if of_kind:
            lines += ["", f"{heading}:"]
            for one in of_kind:
                lines += _fixed(loaded, one, now) if kind is Kind.FIXED else _wrong(loaded, one)
    lines.append("")
    if len(news) > MOST_LINES:
        lines.append(f"And {len(news) - MOST_LINES} more.")
    if others:
        lines.append(f"Open and told before: {others}.")
    if unreached is not None:
        lines.append(f"This address could not be reached from {_time(unreached.since)} until now.")
    lines.append(f"ccdr status {plan.plan}   shows where all of it stands.")
    return Message(_subject(plan.plan, news, unreached), "\n".join(lines) + "\n", wrong)


def trial(loaded: LoadedPlan, now: datetime) -> Message:
    """A message that only shows whether it arrives."""
    plan = loaded.plan
    body = (
        f"{plan.service} (plan {plan.plan}, owner {plan.owner})\n"
        f"Told by {socket.gethostname()}, {_time(now)}.\n\n"
        "This is a test: nothing is wrong. What goes wrong with this plan will be told to this address.\n"
    )
    return Message(f"ccdr: {plan.plan}: a test message", body, wrong=False)


def _subject(plan: str, news: Sequence[News], unreached: Failure | None) -> str:
    wrong = [n for n in news if n.kind is not Kind.FIXED]
    first = next((n for kind in (Kind.NEW, Kind.AGAIN, Kind.STILL) for n in wrong if n.kind is kind), None)
    first = first or next(iter(news), None)
    if first is None:
        assert unreached is not None
        return f"ccdr: {plan}: this address can be reached again"
    prefix = {Kind.STILL: "still: ", Kind.FIXED: "fixed: "}.get(first.kind, "")
    what = f"{first.entry.asset} {_headline(first)}" if first.entry.asset else _headline(first)
    others = len(wrong or news) - 1  # what is over again is no more trouble: the body has it
    more = f" (+{others} more)" if others else ""
    return f"ccdr: {plan}: {prefix}{what}{more}"


def _headline(news: News) -> str:
    entry = news.entry
    if entry.trouble in (Trouble.MISSED, Trouble.NOT_BEGUN):
        return f"{entry.about.split(' ')[0]} {HEADLINES[entry.trouble]}"
    if news.kind is Kind.FIXED and entry.trouble is Trouble.NEVER_SUCCEEDED:
        return "backed up for the first time"
    if news.kind is Kind.FIXED and entry.trouble is Trouble.NEVER_TESTED:
        return "tested for the first time"
    return HEADLINES[entry.trouble]


def _wrong(loaded: LoadedPlan, news: News) -> list[str]:
    entry = news.entry
    lines = [f"* {entry.asset}: {one_line(entry.text)}" if entry.asset else f"* {one_line(entry.text)}"]
    if news.kind is Kind.AGAIN or entry.returns:
        lines.append(f"  it comes and goes: back {_times(entry.returns)} since {_time(entry.since)}")
    elif not entry.passing:
        lines.append(f"  since {_time(entry.since)}")
    if step := entry.step or next_step(entry.trouble, loaded.plan.plan, entry.asset):
        lines.append(f"  next: {step}")
    lines += [f"  on that host: {kept(path)}" for path in entry.private]
    return lines


def _fixed(loaded: LoadedPlan, news: News, now: datetime) -> list[str]:
    entry = news.entry
    if entry.asset is not None and entry.asset not in loaded.plan.assets:
        return [f"* {_named(news)}: it is no longer in the plan"]
    lasted = human_seconds(max(0.0, ((entry.gone or now) - entry.since).total_seconds()))
    if entry.trouble in (Trouble.NEVER_SUCCEEDED, Trouble.NEVER_TESTED):
        return [f"* {_named(news)}"]
    often = f", and came back {_times(entry.returns)}" if entry.returns else ""
    return [f"* {_named(news)}: over since {_time(entry.gone or now)}; it lasted {lasted}{often}"]


def _named(news: News) -> str:
    return f"{news.entry.asset}: {_headline(news)}" if news.entry.asset else _headline(news)


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def one_line(text: str) -> str:
    """Whatever a program has said, as one line of bounded length, without control characters."""
    flat = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return flat if len(flat) <= LONGEST_TEXT else flat[: LONGEST_TEXT - 1] + "…"


def _time(when: datetime) -> str:
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def summary(found: Sequence[AssetStatus], now: datetime) -> str:
    """One line for cron's mail: how many assets are proven, and the worst first.

    Proven is what `AssetStatus.proven` says.
    """
    wrong: dict[Trouble, list[str]] = {}
    for concern in sorted(concerns_of(found, {}), key=_by_rank):
        names = wrong.setdefault(concern.trouble, [])
        name = f"{concern.plan}/{concern.asset}"
        if name not in names:
            names.append(name)
    proven = sum(s.proven for s in found)
    counts = f"ccdr: {len(found)} asset{'s' if len(found) != 1 else ''}, {proven} proven"
    return "; ".join([counts, *(f"{len(n)} {HEADLINES[t]}: {_some(n)}" for t, n in wrong.items())])


def _by_rank(concern: Concern) -> tuple[int, str, str]:
    return list(Trouble).index(concern.trouble), concern.plan, concern.asset or ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
