"""What a server holds, for whoever writes the first plan: asked in a few short questions that disturb nobody.

Sizes and row counts come from the catalogues; only what is small or indexed is counted, each count with a time limit of
its own, so that a big or busy server is no slower to look at than a small one.
"""

from __future__ import annotations

import contextlib
import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.engines import discovery
from ccdr.engines.discovery import (
    CLOCKS,
    PLANNED,
    SMALL,
    WINDOW,
    DatabaseFound,
    Lack,
    NewestFound,
    best_of_each_table,
    gap,
    table_found,
)
from ccdr.engines.mariadb import rights
from ccdr.engines.mariadb.address import SYSTEM
from ccdr.engines.mariadb.client import OURS, Login, answers, in_list, quote_name, quote_text, read_answers
from ccdr.engines.mariadb.inventory import LOCKABLE, TRANSACTIONAL, WITHOUT_ROWS
from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place

CANDIDATES = 60  # tables (and columns) of one database that are looked at closely
# A look into a table that takes longer, or must wait, is left out. A DATETIME is of the server's own zone.
BRIEFLY = (
    "SET SESSION max_statement_time=2, lock_wait_timeout=1, time_zone=@@global.time_zone;\n"
    "SET SESSION TRANSACTION READ ONLY;\n"
)
SERVER = f"""\
SELECT JSON_ARRAY('server', VERSION(), CURRENT_USER(), CONCAT_WS(' ', @@hostname, @@port, @@server_id, @@datadir));
SELECT JSON_ARRAY('database', s.schema_name, COALESCE(SUM(t.data_length + t.index_length), 0),
    SUM(t.table_type IN ('BASE TABLE', 'SYSTEM VERSIONED')))
  FROM information_schema.schemata s LEFT JOIN information_schema.tables t ON t.table_schema = s.schema_name
  WHERE s.schema_name NOT IN ({in_list(SYSTEM)}) GROUP BY s.schema_name ORDER BY s.schema_name;
"""
# Databases that the user may not see at all, where it may read what InnoDB knows of them.
NAMED = f"""\
SELECT DISTINCT JSON_QUOTE(database_name) FROM mysql.innodb_table_stats WHERE database_name NOT IN ({in_list(SYSTEM)});
"""


@dataclass(frozen=True)
class ListedDatabase(discovery.ListedDatabase):
    tables: int


@dataclass(frozen=True)
class ServerFound:
    """`identity` tells one server from another, however it is reached; `account` is the user as GRANT writes it."""

    version: str
    identity: str
    account: str
    databases: tuple[ListedDatabase, ...]


@dataclass(frozen=True)
class DatabaseFacts:
    """`locked` counts tables that are not transactional, by engine; `elsewhere` names those that a dump refuses."""

    database: DatabaseFound
    locked: Mapping[str, int]
    elsewhere: tuple[str, ...]
    code: Mapping[str, int]  # how many views, triggers, routines and events
    everything: bool  # its user may do everything on the server


def server(place: Place, login: Login) -> ServerFound:
    """The server, and its databases but its own."""
    rows = answers(place, login, SERVER, "asking the server")
    _, version, user, identity = next(row for row in rows if row[0] == "server")
    seen = {name: ListedDatabase(name, int(size), int(n or 0)) for _, name, size, n in rows if _ == "database"}
    with contextlib.suppress(CommandFailed):
        for name in answers(place, login, NAMED, "asking for databases"):
            seen.setdefault(name, ListedDatabase(name, None, 0))
    name, _, host = user.rpartition("@")
    account = f"{quote_name(name)}@{quote_name(host)}"
    return ServerFound(version.split("-")[0], identity, account, tuple(seen[n] for n in sorted(seen)))


def database(place: Place, login: Login, account: str, name: str) -> DatabaseFacts:
    """A close look at one database, as the user that is to back it up."""
    rows = answers(place, login, _listed(name), "asking the source")
    tables = [row[1:] for row in rows if row[0] == "table"]
    times = [row[1:] for row in rows if row[0] == "time"]
    engines = Counter(str(engine) for _, engine, _ in tables)
    # What lives in memory may be empty at any time.
    lasting = [t for t in tables if t[1] != "MEMORY" and str(t[0]).isprintable()][:CANDIDATES]
    counted = dict(_counts(place, login, name, [t[0] for t in lasting]))
    # Quoted always, since nobody knows all of MariaDB's keywords.
    measured = [table_found(quote_name(table), int(rows or 0), counted.get(table)) for table, _, rows in lasting]
    large = sorted((t for t in measured if t.rows > 0), key=lambda t: (-t.rows, t.name))
    held = rights.rights_of(place, login, name)
    lacks = tuple(_lacks(held, account, name))
    newest = _newest(place, login, name, times, {t.name: t.rows for t in large})
    return DatabaseFacts(
        DatabaseFound(len(tables), tuple(large), tuple(newest), {}, lacks),
        locked={e: n for e, n in engines.items() if e in LOCKABLE},
        elsewhere=tuple(
            f"{t} ({engine})" for t, engine, _ in tables if engine not in (*TRANSACTIONAL, *LOCKABLE, *WITHOUT_ROWS)
        ),
        code={kind: int(n) for mark, kind, n in (r for r in rows if r[0] == "code") if mark and int(n)},
        everything=held.everything,
    )


def _listed(name: str) -> str:
    db = quote_text(name)
    return f"""\
SELECT JSON_ARRAY('table', table_name, engine, table_rows) FROM information_schema.tables
  WHERE table_schema = {db} AND table_type IN ('BASE TABLE', 'SYSTEM VERSIONED') ORDER BY table_rows DESC, table_name;
SELECT JSON_ARRAY('time', c.table_name, c.column_name, EXISTS (SELECT 1 FROM information_schema.statistics s
    WHERE s.table_schema = c.table_schema AND s.table_name = c.table_name AND s.column_name = c.column_name
      AND s.seq_in_index = 1))
  FROM information_schema.columns c
  WHERE c.table_schema = {db} AND c.data_type IN ('datetime', 'timestamp') ORDER BY c.table_name, c.ordinal_position;
SELECT JSON_ARRAY('code', 'view', COUNT(*)) FROM information_schema.views WHERE table_schema = {db};
SELECT JSON_ARRAY('code', 'trigger', COUNT(*)) FROM information_schema.triggers WHERE trigger_schema = {db};
SELECT JSON_ARRAY('code', 'routine', COUNT(*)) FROM information_schema.routines WHERE routine_schema = {db};
SELECT JSON_ARRAY('code', 'event', COUNT(*)) FROM information_schema.events WHERE event_schema = {db};
"""


def _counts(place: Place, login: Login, database: str, tables: Sequence[str]) -> Iterator[tuple[str, int]]:
    questions = [
        f"(SELECT COUNT(*) FROM (SELECT 1 FROM {quote_name(database)}.{quote_name(t)} LIMIT {SMALL + 1}) x)"
        for t in tables
    ]
    for n, count in _answered(place, login, questions):
        yield tables[n], int(count)


def _newest(
    place: Place, login: Login, database: str, times: Sequence[Sequence[Any]], rows: Mapping[str, int]
) -> Iterator[NewestFound]:
    wanted = [
        (quote_name(table), quote_name(column))
        for table, column, indexed in times
        if (indexed or rows.get(quote_name(table), 0) <= SMALL)
        and rows.get(quote_name(table), 0) >= 10
        and not PLANNED.search(column)
        and column.isprintable()
    ][:CANDIDATES]
    db = quote_name(database)
    questions = [
        f"JSON_ARRAY((SELECT UNIX_TIMESTAMP(NOW(6)) - UNIX_TIMESTAMP(MAX({column})) FROM {db}.{table}),"
        f" (SELECT JSON_ARRAYAGG(d.seq) FROM {db}.seq_0_to_{WINDOW - 1} d WHERE EXISTS (SELECT 1 FROM {db}.{table} t"
        f" WHERE t.{column} > NOW() - INTERVAL d.seq + 1 DAY AND t.{column} <= NOW() - INTERVAL d.seq DAY)))"
        for table, column in wanted
    ]
    newest = []
    for n, (age, answer) in _answered(place, login, questions):
        table, column = wanted[n]
        days = json.loads(answer) if isinstance(answer, str) else answer
        if age is not None and float(age) >= -CLOCKS and days and min(days) < WINDOW // 4:
            newest.append(NewestFound(table, column, max(float(age), 0.0), gap(sorted(days))))
    yield from best_of_each_table(newest, rows)


def _answered(place: Place, login: Login, questions: Sequence[str]) -> Iterator[tuple[int, Any]]:
    """Number and answer of each question that was answered in time; the others are left out."""
    if not questions:
        return
    script = OURS + BRIEFLY + "".join(f"SELECT JSON_ARRAY({n}, {q});\n" for n, q in enumerate(questions))
    argv = [*login.asking(), "--force"]
    output = place.run(argv, stdin=script, ok=range(256), what="asking the source").stdout
    for n, answer in read_answers(output):
        yield int(n), answer


def _lacks(held: rights.Rights, account: str, database: str) -> Iterator[Lack]:
    for names, on in held.lacking:
        where = on.format(database=quote_name(database))
        sql = f"GRANT {names} ON {on.format(database=rights.as_pattern(database))} TO {account};"
        yield Lack(f"{account} lacks {names} on {where}", sql)


def grant(account: str, database: str) -> str:
    """What lets a user capture a database."""
    return f"GRANT {', '.join(rights.OF_DATABASE)} ON {rights.as_pattern(database)}.* TO {account};"
