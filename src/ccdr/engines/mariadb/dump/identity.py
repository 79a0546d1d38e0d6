"""Is what was restored what was captured? By a second dump of the restored database; and whose fault it is where a
database needs what is not in its dump.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from ccdr.engines.comparison import NAMED, alike_sorted, as_captured, equal, judged
from ccdr.engines.mariadb import accounts
from ccdr.engines.mariadb.client import OURS, Login, answers, quote_name, quote_text, read_answers, text_of
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.inventory import SETTINGS, Inventory, Objects, as_recorded, facts_of, objects_of
from ccdr.engines.servers.parts import in_part
from ccdr.host.interrupts import threads
from ccdr.model.errors import BackupBad, CommandFailed
from ccdr.model.values import CheckResult, FileDigest, Verdict, so_many
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place

# What a database needs that is not in its dump, or that its own rules forbid: whose fault it is that it does not
# load.
#
# Only error numbers and names of objects are read out of what the client says, and only those are told.

# What is not there, of another database: a table, a view or a sequence; a routine; the database itself.
_MISSING = re.compile(
    r"^ERROR (?:1146 .*?: Table '(?P<table>[^'.\n]+)\.[^\n]*' doesn't exist"
    r"|1305 .*?: (?:FUNCTION|PROCEDURE) (?P<routine>[^.\n]+)\.[^\n]* does not exist"
    r"|1049 .*?: Unknown database '(?P<database>[^'\n]+)')",
    re.M,
)
# Rows that a key or a rule of their own table forbids: the load changes nothing about them, so the source has them so.
_FORBIDDEN = re.compile(r"^ERROR (1022|1062|1586|4025|4112)\b", re.M)
_FILE = re.compile(r"^in (?P<file>[^\n]+)$", re.M)  # as `load_rows` says it
# What a MERGE table is a view of, and what a foreign key refers to.
_REFERRED = re.compile(
    r"^(?:\) ENGINE=MRG_MyISAM\b[^\n]* UNION=\(|  CONSTRAINT `(?:[^`]|``)+` FOREIGN KEY \([^\n]*?\) REFERENCES )"
    r"(?P<tables>[^\n]*)",
    re.M | re.I,
)
_QUALIFIED = re.compile(r"`((?:[^`]|``)+)`\.`")
_NEWLINE = "\n-- "  # in a name, as mariadb-dump's own comments have it
_TITLES = re.compile(r"^-- (?:Final view|Table|Sequence) structure for (?P<kind>view|table) `", re.M)


def database_lacking(error: CommandFailed, restored: Path, *own: str) -> str | None:
    """The other database that something in the dump refers to, and that is not there."""
    if (match := error.stderr.search(_MISSING)) is None:
        return None
    name = str(match["table"] or match["routine"] or match["database"])
    return name if name not in own and readers(restored, name) else None


def referred_lacking(place: Place, login: Login, tables: str, *own: str) -> str | None:
    """Another database, not there, that a MERGE table is a view of or a foreign key refers to: the table is made
    anyway, and cannot be read or written."""
    named = {
        pair[1].replace("``", "`") for one in _REFERRED.finditer(tables) for pair in _QUALIFIED.finditer(one["tables"])
    }
    if not (others := named - {*own}):
        return None
    there = answers(place, login, "SELECT JSON_QUOTE(schema_name) FROM information_schema.schemata;", "looking for it")
    return min(others - {*there}, default=None)


def readers(restored: Path, database: str) -> list[str]:
    """What names something of another database in its definition: `view answered`, `table call`."""
    return [
        name
        for file in (files.TABLES, files.VIEWS)
        if (restored / file).is_file()
        for name, text in _parts(text_of(restored / file))
        if f"{quote_name(database)}." in text
    ]


def _parts(script: str) -> Iterator[tuple[str, str]]:
    starts = list(_TITLES.finditer(script))
    for at, start in enumerate(starts):
        end = starts[at + 1].start() if at + 1 < len(starts) else len(script)
        name = re.match(r"(?:[^`]|``)*", script[start.end() : end])
        assert name is not None
        yield f"{start['kind']} {name[0].replace('``', '`').replace(_NEWLINE, ' ')}", script[start.end() : end]


def rows_against_rules(place: Place, login: Login, database: str) -> list[str]:
    """`call.positive (3)`: how many rows of a table break which of its CHECKs. One that cannot be asked here is not
    told: it makes no verdict."""
    asked = f"""SELECT JSON_ARRAY(table_name, constraint_name, check_clause) FROM information_schema.check_constraints
      WHERE constraint_schema = {quote_text(database)} ORDER BY table_name, constraint_name;"""
    rules: dict[str, list[tuple[str, str]]] = {}
    for table, name, clause in answers(place, login, asked, "listing CHECK constraints"):
        rules.setdefault(table, []).append((name, clause))
    if not rules:
        return []
    sql = "".join(
        f"SELECT JSON_ARRAY({quote_text(table)}, {', '.join(f'COALESCE(SUM(NOT ({clause})), 0)' for _, clause in of)}) "
        f"FROM {quote_name(database)}.{quote_name(table)};\n"
        for table, of in rules.items()
    )
    done = place.run([*login.asking(), "--force"], stdin=f"{OURS}{sql}", ok=range(256), what="counting by CHECKs")
    return [
        f"{table}.{name} ({count})"
        for table, *counts in read_answers(done.stdout)
        for (name, _), count in zip(rules[table], counts, strict=True)
        if int(count)
    ]


def held_so(error: CommandFailed, inventory: Inventory) -> BackupBad | None:
    """Where rows do not load since a key or a rule of their own table forbids them."""
    forbidden, file = error.stderr.search(_FORBIDDEN), error.stderr.search(_FILE)
    if forbidden is None or file is None:
        return None
    table = next(
        (t for t, facts in inventory.tables.items() if Path(str(facts["file"])).name == file["file"]), "a table"
    )
    hint = "mend those rows at the source; `method: physical` brings them back as they are"
    if any(column.startswith(f"{table}.") for column in inventory.facts["rounded"]):
        hint = "a dump writes FLOAT to six digits, and two values may become one: use DOUBLE, or `method: physical`"
    # A row dated ahead (a wrong clock, SET TIMESTAMP), that ON DELETE or ON UPDATE CASCADE has ended since.
    dated = forbidden[1] == "4112"
    which = "whose history ends before it begins" if dated else "that a key or a rule of that table forbids"
    return BackupBad(
        f"the source itself holds rows of {table} {which}: they do not load again (ERROR {forbidden[1]})",
        hint=hint,
    )


# Rows are compared table by table: each table has a file of its own, which says whose rows it holds. Before a FAIL,
# what differs is compared without order and without what only the client's version decides. Definitions are compared
# object by object; users, grants and what else no dump holds are asked for again, by the same questions.

# What a script begins with: the client's and the server's version, and their host.
_HEAD = re.compile(r"^(-- (MariaDB|MySQL) dump |-- Host: |-- Server version|/\*M!999999|-- -----)[^\n]*\n", re.M)
_HEAD_LINES = 12
_TITLE = re.compile(
    r"^-- (?P<what>(?:Table|Temporary table|Sequence|Final view) structure for (?:table|view)? ?`.*`)$"
    r"|^/\*!\d+ DROP (?P<code>(?:TRIGGER|EVENT|FUNCTION|PROCEDURE|PACKAGE BODY|PACKAGE) IF EXISTS .+?) ?\*/;$",
    re.M,
)
# The last line of a table's definition.
_NEXT_NUMBER = re.compile(r"^(\) ENGINE=\w+.*?) AUTO_INCREMENT=(\d+)", re.M)
_DIRECTORY = re.compile(r" (?:DATA|INDEX) DIRECTORY\s*=\s*'(?:[^'\\]|\\.|'')*'")
# A file's rows, one a line, however the client has put them into statements.
_BARE_ROWS = r"""
/^\(/ { sub(/[,;]$/, ""); print; next }
/^INSERT INTO / && !/ VALUES$/ { sub(/^.*\) VALUES \(/, "("); sub(/[,;]$/, ""); print }
"""
# As a server writes it that leaves out quotes where none are needed: mariadb-dump asks for them of tables alone.
_BARE_NAME = re.compile(r"^(CREATE SEQUENCE )(\w+) ", re.M)
_SORTED = r"""
set -o pipefail
export LC_ALL=C
"$(command -v mawk || command -v awk)" "$3" "$1" | sort -S 25% -T "$2" | sha256sum
"""


def compare(context: CheckContext, login: Login, jobs: int, *, working: str | None = None) -> Iterator[CheckResult]:
    """Dump the restored database again and compare: rows, definitions, users, and what no dump holds.

    `working` is its name on a server of people's, until it has its own: there it has no events yet, and users and
    settings are the server's.
    """
    box, inventory = context.sandbox, Inventory(context.manifest.contents)
    database = working or inventory.database
    again = context.out / "again"
    for path in (again, again / files.ROWS):
        path.mkdir()
        path.chmod(0o777)  # the sandbox's user is not ours
    objects = objects_of(box, login, database)
    if in_part(context.manifest):  # its scripts were made ones of these tables alone
        yield _rows(context, _dump_rows(context, login, database, objects, again, jobs), again, login, database)
        return
    small = [n for n in context.manifest.files if not n.startswith(f"{files.ROWS}/")]
    yield as_captured(context, "definitions and users, as captured", small)
    yield _rows(context, _dump_rows(context, login, database, objects, again, jobs), again, login, database)
    calls = [(files.TABLES, files.dump_tables), (files.CODE, files.dump_code)]
    for name, make in calls:
        argv = make(login, database, objects.views, box.path(again / name))
        box.run(argv, watch=again, what=f"dumping {name} again")
    if objects.views:
        argv = files.dump_views(login, database, objects.views, box.path(again / files.VIEWS))
        box.run(argv, watch=again, what="dumping views again")
    yield _definitions(context.restored, again, working, inventory.database)
    yield _auto_increments(context.restored, again, inventory)
    kinds = "triggers, routines, views, sequences" if working else "triggers, routines, events, views, sequences"
    named, definers = inventory.objects, inventory.definers
    if working:
        named, definers = files.but_events(named), files.but_events(definers)
    yield _objects(kinds, named, objects.named, inventory.left_out)
    yield equal("definers", definers, objects.definers, len(definers))
    facts = facts_of(box, login, database)
    before, after = map(_database, (inventory.facts, as_recorded(facts)))
    yield equal("the database itself", before, after, len(after))
    if working:
        return
    yield _accounts(context, login, inventory)
    if zones := inventory.zones:
        wrong = [] if facts["zones"] == zones else ["what CONVERT_TZ makes of a time by a zone's name"]
        count = so_many(zones[0], "name")
        yield judged("time zones", wrong, count, f"{count}, equal", lead="differs: ")
    same = [name for name in SETTINGS if name in inventory.settings]
    now: Mapping[str, str] = facts["settings"]
    yield equal(
        "server settings", {k: inventory.settings[k] for k in same}, {k: now.get(k, "") for k in same}, len(same)
    )


def _database(facts: Mapping[str, Any]) -> dict[str, str]:
    """As a manifest tells it."""
    return {"charset": facts["charset"], "collation": facts["collation"], "comment": facts["comment_sha256"]}


# --- rows ---------------------------------------------------------------------------------------------


def _dump_rows(
    context: CheckContext, login: Login, database: str, objects: Objects, again: Path, jobs: int
) -> dict[str, tuple[int, FileDigest, str]]:
    """Rows, digest and file by table, of what was restored."""
    box, dates = context.sandbox, files.dates(Inventory(context.manifest.contents).settings["sql_mode"])
    named = files.file_names(t.name for t in objects.with_rows)

    def dump(number: int, share: list[str]) -> dict[str, int]:
        wanted, listed = again / f"{number}.map", again / f"{number}.list"
        lines = (files.map_entry(box.path(again / named[t]), t) for t in share)
        wanted.write_text("".join(lines), "utf-8", "surrogateescape")
        wanted.chmod(0o644)  # whatever our umask: the sandbox's server and its clients are another user
        argv = files.dump_rows(login, database, share, lock=False, histories=objects.histories)
        box.run(
            ["bash", "-c", files.PIPE, "dump", "/dev/null", files.SPLIT, *argv],
            env={"MAP": box.path(wanted), "LIST": box.path(listed), "DATES": dates},
            watch=again,
            what="dumping the restored rows",
        )
        rows, _ = files.read_list(listed.read_text("utf-8", "surrogateescape"))
        return rows

    shares = files.shares(objects.with_rows, jobs)
    with threads(max(1, len(shares))) as pool:
        counted = {k: n for part in pool.map(dump, range(len(shares)), shares) for k, n in part.items()}
    written = [name for name in named.values() if (again / name).is_file()]
    digests = context.digest(again, written)
    return {
        table: (counted[box.path(again / name)], digests[name], name)
        for table, name in named.items()
        if box.path(again / name) in counted
    }


def _rows(
    context: CheckContext, after: Mapping[str, tuple[int, FileDigest, str]], again: Path, login: Login, database: str
) -> CheckResult:
    claimed = Inventory(context.manifest.contents).tables
    wrong, reordered = [], 0
    for table in sorted(claimed.keys() | after.keys()):
        old, new = claimed.get(table), after.get(table)
        if old is None or new is None:
            wrong.append(f"{table}: {'missing' if new is None else 'not in the backup'}")
            continue
        rows, digest, name = new
        if (int(old["rows"]), str(old["sha256"])) == (rows, digest.sha256):
            continue
        # The fetched file is what the rows are compared with: it must be the captured one.
        fetched = context.digest(context.restored, [str(old["file"])])[str(old["file"])].sha256
        if (
            fetched == old["sha256"]
            and int(old["rows"]) == rows
            and alike_sorted(context, _SORTED, context.restored / str(old["file"]), again / name, _BARE_ROWS)
        ):
            reordered += 1
        else:
            wrong.append(f"{table}: {so_many(old['rows'], 'row')} captured, {rows} restored, contents differ")
    # Both dumps hold them as the same others.
    wrong += [
        f"{column}: {so_many(int(n), 'value')} at the source that no dump holds, use `method: physical`"
        for column, n in Inventory(context.manifest.contents).changed.items()
        if any(column.startswith(f"{table}.") for table in claimed)
    ]
    expected = sum(int(t["rows"]) for t in claimed.values())
    note = f", {reordered} in another order or form" if reordered else ""
    if against := rows_against_rules(context.sandbox, login, database):
        note += f"; rows break a CHECK of their table, as they do at the source: {', '.join(against[:NAMED])}"
    rounded = Inventory(context.manifest.contents).facts["rounded"]
    note += f"; {len(rounded)} FLOAT columns to six digits, as dumped" if rounded else ""
    rows = sum(r for r, _, _ in after.values())
    as_before = f"{so_many(len(after), 'table')}, {so_many(rows, 'row')}, equal by SHA-256{note}"
    return judged("tables", wrong, f"{so_many(len(claimed), 'table')}, {so_many(expected, 'row')}", as_before)


# --- definitions --------------------------------------------------------------------------------------


def _definitions(restored: Path, again: Path, working: str | None, database: str) -> CheckResult:
    texts = (files.TABLES, files.CODE, files.VIEWS)
    before = sum((_identity_parts(restored / name, events=not working) for name in texts), Counter())
    after = sum(
        (_identity_parts(again / name, events=not working, was=working, called=database) for name in texts), Counter()
    )
    wrong = [f"missing: {title}" for title, _ in before - after]
    wrong += [f"not in the backup: {title}" for title, _ in after - before]
    return judged(
        "definitions",
        sorted(set(wrong)),
        f"{so_many(before.total(), 'part')} of {files.TABLES}, {files.CODE}, {files.VIEWS}",
        f"{so_many(after.total(), 'part')}, equal",
    )


def _identity_parts(path: Path, *, events: bool, was: str | None = None, called: str = "") -> Counter[tuple[str, str]]:
    """A script's parts, each with what it is about, as a multiset: without what the client's version decides, the next
    number of a table, and the place of its files. What `was` a database's name is read as what it is `called`."""
    if not path.is_file():
        return Counter()
    head, lines = text_of(path), _HEAD_LINES
    if path.name == files.CODE and not events:
        head = files.apart(head)[0]
    if was:
        head = head.replace(f"{quote_name(was)}.", f"{quote_name(called)}.")
    start = "".join(line + "\n" for line in head.split("\n", lines)[:lines])
    text = _HEAD.sub("", start) + head[len(start) :]
    text = _BARE_NAME.sub(r"\1`\2` ", _DIRECTORY.sub("", _NEXT_NUMBER.sub(r"\1", text)))
    parts: Counter[tuple[str, str]] = Counter()
    title, begin = f"what {path.name} begins with", 0
    for match in _TITLE.finditer(text):
        parts[title, text[begin : match.start()]] += 1
        title, begin = (match["what"] or match["code"]).replace("IF EXISTS ", ""), match.start()
    parts[title, text[begin:]] += 1
    return parts


def _objects(kinds: str, before: Mapping[str, str], after: Mapping[str, str], left_out: list[str]) -> CheckResult:
    """What the plan leaves out is named: it is not proven by this test, nor by any other."""
    result = equal(kinds, before, after, len(before))
    if result.status is not Verdict.PASS or not left_out:
        return result
    return replace(result, actual=f"{result.actual}; left out of the backup, as the plan says: {', '.join(left_out)}")


def _auto_increments(restored: Path, again: Path, inventory: Inventory) -> CheckResult:
    """None is set back. One may be further: where the source's was behind its own rows, a load puts that right."""
    before, after = _next_numbers(restored / files.TABLES), _next_numbers(again / files.TABLES)
    by_rows = [t for t in before if t in inventory.tables and inventory.tables[t]["engine"] == "ARCHIVE"]
    wrong = [
        f"{t}: {n} captured, {after.get(t, 1)} restored"
        + (": the source's is ahead of its rows, and ARCHIVE takes none that is" if t in by_rows else "")
        for t, n in before.items()
        if after.get(t, 1) < n
    ]
    note = f"; by the rows of {', '.join(by_rows[:NAMED])} (ARCHIVE)" if by_rows else ""
    as_before = f"{len(before)}, none set back{note}"
    return judged("auto-increments", wrong, f"{len(before)} as captured, or further", as_before)


def _next_numbers(path: Path) -> dict[str, int]:
    text = text_of(path)
    numbers = {}
    for part in re.split(r"^(?=-- Table structure for table `)", text, flags=re.M)[1:]:
        if number := _NEXT_NUMBER.search(part):
            numbers[part.split("\n", 1)[0].removeprefix("-- Table structure for table ").strip("`")] = int(number[2])
    return numbers


def _accounts(context: CheckContext, login: Login, inventory: Inventory) -> CheckResult:
    """A statement may hold a password's hash: only its first words are told."""
    there = accounts.statements(context.sandbox, login)
    captured = accounts.read(context.restored)
    before, after = (
        Counter(accounts.loadable(statements, inventory.database, inventory.names)) for statements in (captured, there)
    )
    wrong = sorted({" ".join(line.split()[:3]) for line in [*(before - after), *(after - before)]})
    return judged(
        "users and grants",
        wrong,
        f"{before.total()} statements",
        f"{after.total()} statements, equal",
        lead="differs: ",
    )
