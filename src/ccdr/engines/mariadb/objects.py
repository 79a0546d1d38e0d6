"""What there is in a database: tables, views, code, and what tells one state of it from the next."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ccdr.engines.mariadb.client import Login, answers, quote_text
from ccdr.model.answers import FreeText
from ccdr.ports.place import Place

# Kept by one snapshot for the whole dump; what else there may be is read under a lock, or not at all.
TRANSACTIONAL = ("InnoDB",)
LOCKABLE = ("MyISAM", "Aria", "MEMORY", "CSV", "ARCHIVE", "BLACKHOLE")
WITHOUT_ROWS = ("MRG_MyISAM", "MRG_MYISAM")  # a view of other tables


def objects_sql(database: str) -> str:
    """What there is, a JSON array for each, with what tells one state of it from the next: `read_objects`.

    A routine is read where it is stored: whoever lacks the right to see one is told nothing of it.
    """
    db = quote_text(database)
    sql = f"""\
SELECT JSON_ARRAY('table', table_name, table_type, engine, create_time, data_length, table_comment)
  FROM information_schema.tables WHERE table_schema = {db} AND table_type NOT IN ('VIEW', 'TEMPORARY');
SELECT JSON_ARRAY('view', table_name, definer, security_type, check_option, MD5(view_definition))
  FROM information_schema.views WHERE table_schema = {db};
SELECT JSON_ARRAY('routine', LOWER(type), name, definer, modified) FROM mysql.proc WHERE db = {db};
SELECT JSON_ARRAY('event', name, definer, modified, status) FROM mysql.event WHERE db = {db};
SELECT JSON_ARRAY('trigger', trigger_name, definer, event_object_table, action_timing, event_manipulation,
    action_order, created) FROM information_schema.triggers WHERE trigger_schema = {db};
"""
    if re.fullmatch(r"[A-Za-z0-9_]+", database):  # as it is called in file names, and so in InnoDB
        pattern = database.replace("_", r"\_") + "/%"
        sql += f"""\
SELECT JSON_ARRAY('innodb', name, table_id) FROM information_schema.innodb_sys_tables
  WHERE name LIKE {quote_text(pattern)} AND name NOT LIKE '%/#sql%' AND name NOT LIKE '%/FTS\\_%';
"""
    return sql


@dataclass(frozen=True)
class Table:
    """`bytes` is what its rows take at the server. `engine` is None where it cannot be opened: `comment` says why."""

    name: str
    type: str
    engine: str | None
    bytes: int
    comment: str

    @property
    def is_sequence(self) -> bool:
        return self.type == "SEQUENCE"


@dataclass(frozen=True)
class Objects:
    """What a database holds. `state` changes whenever one of them is made, altered, emptied or dropped."""

    tables: tuple[Table, ...]
    views: tuple[str, ...]
    named: Mapping[str, str]  # `trigger stamp` and its like: what else is to be told of it
    definers: Mapping[str, str]  # by the same names
    state: frozenset[tuple[object, ...]]
    left_out: tuple[str, ...] = ()  # `view answered`

    @property
    def with_rows(self) -> tuple[Table, ...]:
        return tuple(t for t in self.tables if not t.is_sequence and t.engine not in WITHOUT_ROWS)

    @property
    def nothing(self) -> bool:
        """Functions, views or events alone are something."""
        return not self.tables and not self.named

    @property
    def locked(self) -> tuple[Table, ...]:
        """Tables that no transaction keeps as they are."""
        return tuple(t for t in self.with_rows if t.engine not in TRANSACTIONAL)

    def lasting(self, before: Objects) -> tuple[Table, ...]:
        """Tables that were there `before` as well. What their rows take says nothing: they are written meanwhile, and
        the server looks at it again when it likes."""
        known = {(t.name, t.type, t.engine) for t in before.tables}
        return tuple(t for t in self.tables if (t.name, t.type, t.engine) in known)

    @property
    def unreadable(self) -> tuple[str, ...]:
        """Tables that cannot be captured, and why."""
        known = (*TRANSACTIONAL, *LOCKABLE, *WITHOUT_ROWS)
        return tuple(
            _unopened(t.name, FreeText(t.comment)) if t.engine is None else f"{t.name} is of the engine {t.engine}"
            for t in self.tables
            if t.engine not in known
        )

    @property
    def histories(self) -> bool:
        return any(t.type == "SYSTEM VERSIONED" for t in self.tables)

    def without(self, views: Collection[str]) -> Objects:
        """All but these views."""
        gone = {f"view {name}" for name in views}
        return Objects(
            self.tables,
            tuple(name for name in self.views if name not in views),
            {name: definition for name, definition in self.named.items() if name not in gone},
            {name: definer for name, definer in self.definers.items() if name not in gone},
            frozenset(part for part in self.state if part[0] != "view" or part[1] not in views),
            tuple(sorted(gone & self.named.keys())),
        )


def read_objects(rows: Iterable[Any]) -> Objects:
    """Parse the answers to `objects_sql`."""
    tables, views, named, definers, state = [], [], {}, {}, set()
    for kind, *rest in rows:
        if kind == "table":
            name, type_, engine, created, size, comment = rest
            tables.append(Table(name, type_, engine, int(size or 0), comment or ""))
            state.add((kind, name, type_, engine, created))
            if type_ == "SEQUENCE":
                named[f"sequence {name}"] = ""
            continue
        state.add((kind, *rest))
        if kind == "view":
            name, definer, security, option, _ = rest
            views.append(name)
            named[f"view {name}"], definers[f"view {name}"] = f"{security}, check option {option}", definer
        elif kind == "routine":
            type_, name, definer, _ = rest
            named[f"{type_} {name}"], definers[f"{type_} {name}"] = "", definer
        elif kind == "event":
            name, definer, _, status = rest
            named[f"event {name}"], definers[f"event {name}"] = status, definer
        elif kind == "trigger":
            name, definer, table, timing, event, order, _ = rest
            what = f"{timing} {event} of {table}, number {order}"
            named[f"trigger {name}"], definers[f"trigger {name}"] = what, definer
    by_name = sorted(tables, key=lambda t: t.name)
    return Objects(tuple(by_name), tuple(sorted(views)), _sorted(named), _sorted(definers), frozenset(state))


def objects_of(place: Place, login: Login, database: str) -> Objects:
    return read_objects(answers(place, login, objects_sql(database), "listing what there is"))


def _unopened(table: str, words: FreeText) -> str:
    """In place of its comment the server tells why."""
    return f"{table} cannot be opened" + (f" ({words.answer})" if words.answer else "")


def broken_views(place: Place, login: Login, database: str) -> list[str]:
    """Views that do not work: of one whose tables or columns are gone, or that the user may not read through, the
    server tells no column."""
    db = quote_text(database)
    sql = f"""SELECT JSON_QUOTE(table_name) FROM information_schema.views WHERE table_schema = {db}
      AND table_name NOT IN (SELECT table_name FROM information_schema.columns WHERE table_schema = {db}) ORDER BY 1;"""
    return [str(name) for name in answers(place, login, sql, "looking for views that do not work")]


def _sorted(objects: Mapping[str, str]) -> dict[str, str]:
    return {name: objects[name] for name in sorted(objects)}
