"""The first plan and its restore tests, written for the people who will change them.

What cannot be found out is assumed, and the text says so.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.discovery.contract import Item
from ccdr.engines.discovery.text import name_from, remark, scalar
from ccdr.model.values import human_bytes
from ccdr.plans.model import NOBODY

GIB = 2**30
# Up to so many bytes: objectives, and how often to back up (minutes), a third of the RPO. Past the last, the last.
_SCALES = ((10 * GIB, "1h", "1h", "4h", 20), (100 * GIB, "6h", "4h", "12h", 120), (2**63, "24h", "24h", "48h", 480))
WEEKLY_OVER = 20 * GIB  # restoring more than that every night would be all that the machine does


@dataclass(frozen=True)
class PlanTerms:
    """What a plan says besides its assets. Paths are as the plan is to name them; `assumed` is true where nobody
    named a repository."""

    name: str
    timezone: str
    repository: str
    assumed: bool
    key: str
    env_file: str | None
    password_files: Sequence[str | None] | None = None  # of each item, as the plan names it


@dataclass(frozen=True)
class Draft:
    """Texts: the plan, and its restore tests by name. `assets` are names, in the order of the items."""

    plan: str
    restore_tests: dict[str, str]
    assets: tuple[str, ...]


def draft(terms: PlanTerms, items: Sequence[Item], now: float) -> Draft:
    """A plan of these databases and trees; `now` is in seconds since the epoch."""
    names = _asset_names(items)
    tests: dict[str, str] = {}
    for name in names:
        tests[name] = name_from(name if name == terms.name else f"{terms.name}-{name}", tests.values())
    lines = [*_head(terms, items), "assets:"]
    for n, (name, item) in enumerate(zip(names, items, strict=True)):
        lines += [f"  {scalar(name)}:", *(f"    {line}" for line in _asset(terms, item, n, tests[name], items)), ""]
    texts = {
        tests[name]: restore_test(tests[name], item.title, item.check_lines(now))
        for name, item in zip(names, items, strict=True)
    }
    return Draft("\n".join(lines).rstrip("\n") + "\n", texts, tuple(names))


def restore_test(name: str, what: str, checks: Iterable[str]) -> str:
    """A restore-test file's text; `what` is how people call what is tested."""
    lines = [
        f"# What must be true of {what}, restored into a sandbox, before a backup counts as proven.",
        "# Written by `ccdr init` from what it found; add what your application relies on (kind: sql, kind: command).",
        "",
        f"restore_test: {scalar(name)}",
        "checks:",
        "  # What was restored equals what was captured. Never leave it out.",
        "  - {kind: identical}",
    ]
    return "\n".join([*lines, *checks]) + "\n"


def _asset_names(items: Sequence[Item]) -> list[str]:
    taken: list[str] = []
    for item in items:
        taken.append(item.name(taken))
    return taken


def _scale(items: Sequence[Item]) -> tuple[int, str, str, str, int]:
    total = sum(item.bytes for item in items)
    return next(scale for scale in _SCALES if total <= scale[0])


def _head(terms: PlanTerms, items: Sequence[Item]) -> Iterator[str]:
    _, rpo, rto, mtd, _ = _scale(items)
    total = human_bytes(sum(item.bytes for item in items))
    yield from (
        "# Written by `ccdr init` from what it found; it is yours now. `ccdr plan check` lists all mistakes at once.",
        "# Durations: 90s, 15m, 4h, 35d. Relative paths are relative to this file. A secret is never written here.",
        "",
        f"plan: {scalar(terms.name)}",
        remark(f"service: {scalar(terms.name)}", "the name that people use: change it"),
        remark(f"owner: {NOBODY}", "write who answers for it: a name, or an address of work"),
        remark(f"timezone: {scalar(terms.timezone)}", "this machine's zone; the schedules below use it"),
        "",
        f"# An assumption, from the size alone ({total}): write what the service really needs. `ccdr test` measures",
        "# what is achieved, and `ccdr status` says whether that is enough.",
        "objectives:",
        remark(f"  rpo: {rpo}", "at most this much of the newest data may be lost"),
        remark(f"  rto: {rto}", "restored, checked and in use again within this"),
        remark(f"  mtd: {mtd}", "the service does not survive a longer outage"),
        "",
        "repository:",
    )
    if terms.assumed:
        yield "  # This directory is on this very machine: good for a start, but NO DISASTER RECOVERY. What destroys"
        yield "  # the machine destroys its backups. Name another place before you rely on it: s3:https://host/bucket,"
        yield "  # sftp:user@host:/path, rest:https://host/ or a mounted /path of another machine."
    yield f"  url: {scalar(terms.repository)}"
    yield "  # Without this file no backup can ever be read again: keep a copy of it away from this machine."
    yield f"  password_file: {scalar(terms.key)}"
    if terms.env_file:
        yield "  # The store's credentials, as NAME=value lines: AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…"
        yield f"  env_file: {scalar(terms.env_file)}"
    yield from (
        "",
        remark("retention:", "`ccdr run` removes what is older; it never removes the last good one"),
        remark("  keep_within: 8d", "longer than the longest gap between two restore tests"),
        "  keep_daily: 35",
        "",
        remark("# notify:", "who gets a message when something is wrong: once, not at every run"),
        remark(f"#   urls_file: secrets/{terms.name}.urls", "Apprise URLs, one a line: mailto://…, slack://…"),
        "",
    )


def _asset(terms: PlanTerms, item: Item, n: int, test: str, items: Sequence[Item]) -> Iterator[str]:
    yield from item.asset_lines(terms.password_files[n] if terms.password_files else None, terms.timezone)
    yield "backup:"
    yield remark(f"  schedule: {scalar(_every(_scale(items)[4], n))}", "a third of the RPO: one may fail", column=33)
    weekly = item.bytes > WEEKLY_OVER
    picked = "random" if weekly and item.tree is not None else "latest"
    start = 60 + n * 20 % 240
    yield "restore_test:"
    day = str(n % 7) if weekly else "*"
    yield f"  schedule: {scalar(f'{start % 60} {start // 60} * * {day}')}"
    yield f"  snapshot: {picked}"
    yield f"  checks: [{scalar(test)}]"


def _every(minutes: int, n: int) -> str:
    """A cron schedule; assets start a few minutes apart."""
    if minutes < 60:
        return f"{','.join(str(m) for m in range(n * 7 % minutes, 60, minutes))} * * * *"
    return f"{n * 7 % 60} */{minutes // 60} * * *"


def beside(path: Path, plans: Path) -> str:
    """How a plan of the directory `plans` names a path: relative where it lies below."""
    return str(path.relative_to(plans)) if path.is_relative_to(plans) else str(path)
