"""The words: a subject that says the worst first, and a body that says what to do next. Plain text."""

from __future__ import annotations

import socket
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.model.trouble import Trouble, next_step
from ccdr.model.values import human_seconds
from ccdr.plans import LoadedPlan
from ccdr.telling.notify.concerns import Concern, concerns_of
from ccdr.telling.notify.state import Entry, Failure, Kind, News
from ccdr.telling.status import kept

MOST_LINES = 40  # concerns that one message spells out
LONGEST_TEXT = 500  # characters of one concern
LONGEST_WHY = 90  # characters of its reason, in a subject
RECENT = timedelta(minutes=10)  # what began since then began now

AWAY = {
    "closed": "repository does NOT OPEN",
    "damaged": "repository does NOT OPEN",
    "unavailable": "repository does NOT ANSWER",
}
SECTIONS = {Kind.NEW: "New", Kind.AGAIN: "Back again", Kind.STILL: "Still so", Kind.FIXED: "Over"}


@dataclass(frozen=True)
class Message:
    """`wrong`: something is; otherwise it brings good news only."""

    subject: str
    body: str
    wrong: bool


def compose(
    loaded: LoadedPlan,
    news: Sequence[News],
    now: datetime,
    *,
    others: int = 0,
    unreached: Failure | None = None,
    known: Iterable[Entry] = (),
) -> Message:
    """One message for one address. `others`: what is open and was told it before; `unreached`: it could not be
    reached until now; `known`: all that is open, told before or not."""
    plan = loaded.plan
    wrong = any(n.kind is not Kind.FIXED for n in news)
    lines = [f"{plan.service} (plan {plan.plan}, owner {plan.owner})", f"Sent by {socket.gethostname()}, {_time(now)}."]
    spelled = list(news)[:MOST_LINES]
    open_ = [e for e in {id(e): e for e in (*known, *(n.entry for n in news))}.values() if e.gone is None]
    for kind, heading in SECTIONS.items():
        of_kind = [n for n in spelled if n.kind is kind]
        if of_kind:
            lines += ["", f"{heading}:"]
            steps: set[str] = set()
            for one in of_kind:
                lines += _fixed(loaded, one, now) if kind is Kind.FIXED else _wrong(loaded, one, open_, spelled, steps)
    lines.append("")
    if len(news) > MOST_LINES:
        lines.append(f"And {len(news) - MOST_LINES} more.")
    if others:
        lines.append(f"Still open, sent before: {others}.")
    if unreached is not None:
        lines.append(f"This address could not be reached from {_time(unreached.since)} until now.")
    lines.append(f"ccdr status {plan.plan}   shows the state of everything in the plan.")
    return Message(_subject(plan.plan, news, unreached, now, open_), "\n".join(lines) + "\n", wrong)


def trial(loaded: LoadedPlan, now: datetime) -> Message:
    """A message that only shows whether it arrives."""
    plan = loaded.plan
    body = (
        f"{plan.service} (plan {plan.plan}, owner {plan.owner})\n"
        f"Sent by {socket.gethostname()}, {_time(now)}.\n\n"
        "This is a test: nothing is wrong. Problems with this plan will be sent to this address.\n"
    )
    return Message(f"ccdr: {plan.plan}: a test message", body, wrong=False)


def _subject(
    plan: str, news: Sequence[News], unreached: Failure | None, now: datetime, known: Sequence[Entry] = ()
) -> str:
    """The worst that is news, by its cause: what only follows from something that is news as well is not named."""
    wrong = [n for n in news if n.kind is not Kind.FIXED]
    entries = [n.entry for n in wrong]
    roots = [n for n in wrong if (cause := _cause(n.entry, known)) is None or cause not in entries]
    ordered = [
        n for some in (roots, wrong) for kind in (Kind.NEW, Kind.AGAIN, Kind.STILL) for n in some if n.kind is kind
    ]
    first = next(iter([*ordered, *news]), None)
    if first is None:
        assert unreached is not None
        return f"ccdr: {plan}: this address can be reached again"
    prefix = {Kind.STILL: "still: ", Kind.FIXED: "fixed: ", Kind.AGAIN: "again: "}.get(first.kind, "")
    what = f"{first.entry.asset} {_headline(first)}" if first.entry.asset else _headline(first)
    if first.kind is not Kind.FIXED and (cause := _cause(first.entry, known)):
        what = f"{cause.asset} {_titled(cause)}{_since(cause, now)}{_shortly(cause)}; now {_titled(first.entry)}"
    elif first.kind is not Kind.FIXED:
        what += _since(first.entry, now) + _shortly(first.entry)
    others = len(wrong or news) - 1  # what is over again is no more trouble: the body has it
    more = f" (+{others} more)" if others else ""
    return f"ccdr: {plan}: {prefix}{what}{more}"


def _cause(entry: Entry, known: Iterable[Entry]) -> Entry | None:
    """What it only follows from, if that is open."""
    if entry.because is None:
        return None
    return next((e for e in known if e.asset == entry.asset and e.trouble is entry.because), None)


def _titled(entry: Entry) -> str:
    if entry.trouble in (Trouble.MISSED, Trouble.NOT_BEGUN):
        return f"{entry.about.split(' ')[0]} {entry.trouble.row.heading}"
    if entry.trouble is Trouble.REPOSITORY_AWAY:
        return AWAY.get(entry.about, entry.trouble.row.heading)
    return entry.trouble.row.heading


def _since(entry: Entry, now: datetime) -> str:
    """Unless it began just now, comes and goes, or is nothing that lasts."""
    return "" if entry.passing or entry.returns or now - entry.since <= RECENT else f" since {_time(entry.since)}"


def _shortly(entry: Entry) -> str:
    why = one_line(entry.why)
    if not why:
        return ""
    return f": {why if len(why) <= LONGEST_WHY else why[: LONGEST_WHY - 3] + '...'}"


def _headline(news: News) -> str:
    entry = news.entry
    if news.kind is Kind.FIXED and entry.trouble is Trouble.NEVER_SUCCEEDED:
        return "backed up for the first time"
    if news.kind is Kind.FIXED and entry.trouble is Trouble.NEVER_TESTED:
        return "tested for the first time"
    return _titled(entry)


def _wrong(
    loaded: LoadedPlan, news: News, known: Sequence[Entry], spelled: Sequence[News], steps: set[str]
) -> list[str]:
    """`steps` are the next steps that were told already: each is told once."""
    entry, cause = news.entry, _cause(news.entry, known)
    lines = [f"* {entry.asset}: {one_line(entry.text)}" if entry.asset else f"* {one_line(entry.text)}"]
    if news.kind is Kind.AGAIN or entry.returns:
        lines.append(f"  it comes and goes: back {_times(entry.returns)} since {_time(entry.since)}")
    elif not entry.passing:
        lines.append(f"  since {_time(entry.since)}")
    if cause is not None:
        often = "comes and goes since" if cause.returns else "since"
        lines.append(f"  because: {_titled(cause)} {often} {_time(cause.since)}{_shortly(cause)}")
    step = entry.step or next_step(entry.trouble, loaded.plan.plan, entry.asset)
    if step and step not in steps and not any(n.entry is cause for n in spelled):  # else it is said there
        lines.append(f"  next: {step}")
        steps.add(step)
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
    return [f"* {_named(news)}, over since {_time(entry.gone or now)}; it lasted {lasted}{often}"]


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


def summary(assets: Sequence[AssetStatus], now: datetime) -> str:
    """One line for cron's mail: how many assets are proven, and the worst first.

    Proven is what `AssetStatus.proven` says.
    """
    wrong: dict[Trouble, list[str]] = {}
    for concern in sorted(concerns_of(assets, {}), key=_by_rank):
        names = wrong.setdefault(concern.trouble, [])
        name = f"{concern.plan}/{concern.asset}"
        if name not in names:
            names.append(name)
    proven = sum(s.proven for s in assets)
    counts = f"ccdr: {len(assets)} asset{'s' if len(assets) != 1 else ''}, {proven} proven"
    return "; ".join([counts, *(f"{len(n)} {t.row.heading}: {_some(n)}" for t, n in wrong.items())])


def _by_rank(concern: Concern) -> tuple[bool, int, str, str]:
    return concern.because is not None, list(Trouble).index(concern.trouble), concern.plan, concern.asset or ""


def _some(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
