"""The first plan and its restore tests, written for the people who will change them.

What cannot be found out is assumed, and the text says so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.engines.filetree import TreeFound
from ccdr.engines.found import DatabaseFound
from ccdr.engines.sqlite.survey import FileFound
from ccdr.model.values import human_bytes
from ccdr.setup.discover import maria
from ccdr.setup.discover.address import Address
from ccdr.setup.discover.first_tests import database_checks, restore_test, tree_checks
from ccdr.setup.discover.maria import MariaAsset
from ccdr.setup.discover.names import name_from, remark, scalar, so_many
from ccdr.setup.discover.queues import QueueAsset, asset_lines, check_lines

GIB = 2**30
# Up to so many bytes: objectives, and how often to back up (minutes), a third of the RPO. Past the last, the last.
_SCALES = ((10 * GIB, "1h", "1h", "4h", 20), (100 * GIB, "6h", "4h", "12h", 120), (2**63, "24h", "24h", "48h", 480))
WEEKLY_OVER = 20 * GIB  # restoring more than that every night would be all that the machine does


@dataclass(frozen=True)
class DatabaseAsset:
    """A database that becomes an asset."""

    address: Address
    database: str
    version: str
    bytes: int
    superuser: bool
    found: DatabaseFound


@dataclass(frozen=True)
class Terms:
    """What a plan says besides its assets. Paths are as the plan is to name them; `assumed` is true where nobody
    named a repository."""

    name: str
    owner: str
    timezone: str
    repository: str
    assumed: bool
    key: str
    env_file: str | None
    password_file: str | None


Item = DatabaseAsset | FileFound | MariaAsset | QueueAsset | TreeFound


@dataclass(frozen=True)
class Draft:
    """Texts: the plan, and its restore tests by name. `assets` are names, in the order of the items."""

    plan: str
    restore_tests: dict[str, str]
    assets: tuple[str, ...]


def draft(terms: Terms, items: Sequence[Item], now: float) -> Draft:
    """A plan of these databases and trees; `now` is in seconds since the epoch."""
    names = _asset_names(items)
    tests: dict[str, str] = {}
    for name in names:
        tests[name] = name_from(name if name == terms.name else f"{terms.name}-{name}", tests.values())
    lines = [*_head(terms, items), "assets:"]
    for n, (name, item) in enumerate(zip(names, items, strict=True)):
        lines += [f"  {scalar(name)}:", *(f"    {line}" for line in _asset(terms, item, n, tests[name], items)), ""]
    texts = {tests[name]: _test_of(tests[name], item, now) for name, item in zip(names, items, strict=True)}
    return Draft("\n".join(lines).rstrip("\n") + "\n", texts, tuple(names))


def _test_of(name: str, item: Item, now: float) -> str:
    if isinstance(item, DatabaseAsset | MariaAsset):
        return restore_test(name, item.database, database_checks(item.found))
    if isinstance(item, QueueAsset):
        return restore_test(name, str(item.release), check_lines(item))
    if isinstance(item, FileFound):
        return restore_test(name, str(item.path), database_checks(item.database))
    return restore_test(name, str(item.path), tree_checks(item, now))


def _asset_names(items: Sequence[Item]) -> list[str]:
    taken: list[str] = []
    for item in items:
        if isinstance(item, DatabaseAsset | MariaAsset):
            taken.append(name_from(item.database, taken, otherwise="database"))
        elif isinstance(item, QueueAsset):
            taken.append(name_from(item.release.kind.name, taken))
        elif isinstance(item, FileFound):
            taken.append(name_from(item.path.stem, taken, otherwise="database"))
        else:
            short = name_from(item.path.name, otherwise="files")
            two = name_from(f"{item.path.parent.name}-{item.path.name}", taken, otherwise="files")
            taken.append(two if short in taken else short)
    return taken


def _scale(items: Sequence[Item]) -> tuple[int, str, str, str, int]:
    total = sum(item.bytes for item in items)
    return next(scale for scale in _SCALES if total <= scale[0])


def _head(terms: Terms, items: Sequence[Item]) -> Iterator[str]:
    _, rpo, rto, mtd, _ = _scale(items)
    total = human_bytes(sum(item.bytes for item in items))
    yield from (
        "# Written by `ccdr init` from what it found; it is yours now. `ccdr plan check` tells every mistake at once.",
        "# Durations: 90s, 15m, 4h, 35d. Relative paths are relative to this file. A secret is never written here.",
        "",
        f"plan: {scalar(terms.name)}",
        remark(f"service: {scalar(terms.name)}", "what people call it: change it"),
        remark(f"owner: {scalar(terms.owner)}", "who answers for it: change it"),
        remark(f"timezone: {scalar(terms.timezone)}", "this machine's; the schedules below are in it"),
        "",
        f"# An assumption, from the size alone ({total}): put in what the service really needs. `ccdr test` measures",
        "# what is achieved, and `ccdr status` says whether that is enough.",
        "objectives:",
        remark(f"  rpo: {rpo}", "at most this much of the newest data may be lost"),
        remark(f"  rto: {rto}", "restored, checked and in use again within this"),
        remark(f"  mtd: {mtd}", "away for longer, and the service is past saving"),
        "",
        "repository:",
    )
    if terms.assumed:
        yield "  # This is a directory of this very machine: good to begin with, and NO DISASTER RECOVERY. Whatever"
        yield "  # takes the machine takes its backups. Name another place before you rely on it: s3:https://host/bucket,"
        yield "  # sftp:user@host:/path, rest:https://host/ or a mounted /path of another machine."
    yield f"  url: {scalar(terms.repository)}"
    yield "  # Without this file no backup can ever be read again: keep a copy of it away from this machine."
    yield f"  password_file: {scalar(terms.key)}"
    if terms.env_file:
        yield "  # The store's credentials, as NAME=value lines: AWS_ACCESS_KEY_ID=… and AWS_SECRET_ACCESS_KEY=…"
        yield f"  env_file: {scalar(terms.env_file)}"
    yield from (
        "",
        remark("retention:", "`ccdr run` removes what is older; it never takes the last good one"),
        remark("  keep_within: 8d", "longer than the longest gap between two restore tests"),
        "  keep_daily: 35",
        "",
        remark("# notify:", "who is told when something is wrong, once and not at every run"),
        remark(f"#   urls_file: secrets/{terms.name}.urls", "Apprise URLs, one a line: mailto://…, slack://…"),
        "",
    )


def _asset(terms: Terms, item: Item, n: int, test: str, items: Sequence[Item]) -> Iterator[str]:
    if isinstance(item, DatabaseAsset):
        yield from _database(terms, item)
    elif isinstance(item, MariaAsset):
        yield from maria.asset_lines(item, terms.password_file)
    elif isinstance(item, QueueAsset):
        yield from asset_lines(item, terms.password_file)
    elif isinstance(item, FileFound):
        yield from _file(terms, item)
    else:
        yield from _tree(item)
    yield "backup:"
    yield remark(f"  schedule: {scalar(_every(_scale(items)[4], n))}", "a third of the RPO: one may fail", column=33)
    weekly = item.bytes > WEEKLY_OVER
    picked = "random" if weekly and isinstance(item, TreeFound) else "latest"
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


def _database(terms: Terms, item: DatabaseAsset) -> Iterator[str]:
    yield f"# PostgreSQL {item.version}, {human_bytes(item.bytes)}, {so_many(item.found.tables, 'table')}"
    if item.found.extensions:
        told = ", ".join(f"{name} {version}" for name, version in item.found.extensions.items() if name.isprintable())
        yield f"# extensions, which the sandbox's image must have too (else name one with `image:`): {told}"
    yield "engine: postgres"
    yield "method: dump"
    yield "connection:"
    a = item.address
    told_of: dict[str, str | int] = {"host": a.host, "port": a.port, "user": a.user, "database": item.database}
    yield from (f"  {key}: {scalar(value)}" for key, value in told_of.items())
    if item.superuser:
        role = scalar(a.user)
        yield f"  # {role} is a superuser, and more than reading is not needed. Better a role of its own:"
        yield "  #   CREATE ROLE ccdr_backup LOGIN BYPASSRLS; GRANT pg_read_all_data TO ccdr_backup;"
    if terms.password_file:
        yield f"  password_file: {scalar(terms.password_file)}"
    if a.tls == "verify":
        yield "  tls: verify"
    if a.ca_file:
        yield f"  ca_file: {scalar(a.ca_file)}"


def _file(terms: Terms, item: FileFound) -> Iterator[str]:
    yield f"# SQLite, {human_bytes(item.bytes)}, {so_many(item.database.tables, 'table')}"
    yield "engine: sqlite"
    yield "method: copy"
    yield f"path: {scalar(item.path)}"
    if item.local:
        yield remark(f"timezone: {scalar(terms.timezone)}", "of its times that name none: they are this machine's")


def _tree(item: TreeFound) -> Iterator[str]:
    seen = "" if item.whole else "more than "
    yield f"# {seen}{so_many(item.files, 'file')}, {seen}{human_bytes(item.bytes)}{_audio(item)}"
    yield "engine: files"
    yield "method: scan"
    yield f"paths: [{scalar(item.path)}]"
    yield remark("settle: 60s", "what changed within a minute is still being written: next time", column=33)


def _audio(item: TreeFound) -> str:
    return "".join(f", {count:,} .{suffix}" for suffix, count in item.audio.most_common())


def beside(path: Path, plans: Path) -> str:
    """How a plan of the directory `plans` names a path: relative where it lies below."""
    return str(path.relative_to(plans)) if path.is_relative_to(plans) else str(path)
