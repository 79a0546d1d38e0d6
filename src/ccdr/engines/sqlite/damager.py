"""Run beside a copy of a copy of a database (`python3 -I -c`), in the sandbox: damages it, for a negative control.

The request is JSON on standard input, the answer the last line of standard output. Standard library only; any Python
3.9.
"""

import json
import os
import random
import sqlite3
import sys
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

MOST_ROWS = 100_000  # among which one is chosen
OTHERWISE = {"text": "{c} || '!'", "integer": "{c} + 1", "real": "{c} + 1", "blob": "zeroblob(length({c}) + 1)"}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def statements(con: sqlite3.Connection, kind: str, table: str, chance: random.Random) -> "Iterator[str]":
    name = quoted(table)
    (count,) = con.execute(f"select count(*) from (select 1 from {name} limit {MOST_ROWS})").fetchone()
    if not count:
        return
    at = chance.randrange(count)
    if kind == "row_removed":
        yield f"delete from {name} where rowid = (select rowid from {name} limit 1 offset {at})"
        return
    columns = [row[1] for row in con.execute(f"pragma table_xinfo({name})") if row[6] == 0]
    chance.shuffle(columns)
    for column in map(quoted, columns):
        for of_type, other in OTHERWISE.items():
            new = other.format(c=column)
            some = f"from {name} where typeof({column}) = '{of_type}' and {new} is not {column}"
            place = f"offset (select {at} % max(1, count(*)) from (select 1 {some} limit {MOST_ROWS}))"
            yield f"update {name} set {column} = {new} where rowid = (select rowid {some} limit 1 {place})"


def changes(con: sqlite3.Connection, table: str, statement: str) -> bool:
    """Did it? A trigger may have put back what it has changed; and one that kept it from it has raised an error."""
    before = con.execute(f"select * from {quoted(table)}").fetchall() if triggered(con, table) else None
    if con.execute(statement).rowcount != 1:
        return False
    return before is None or con.execute(f"select * from {quoted(table)}").fetchall() != before


def triggered(con: sqlite3.Connection, table: str) -> bool:
    of_it = "select count(*) from sqlite_master where type = 'trigger' and lower(tbl_name) = lower(?)"
    return bool(con.execute(of_it, [table]).fetchone()[0])


def damaged(path: str, kind: str, seed: int) -> "str | None":
    """The table that it was done to; None where there is nothing to be done."""
    con = sqlite3.connect(f"file:{quote(os.fsencode(path))}?mode=rw", uri=True, isolation_level=None)
    con.text_factory = lambda value: value.decode("utf-8", "surrogateescape")
    con.execute("pragma ignore_check_constraints = on")
    chance = random.Random(seed)  # noqa: S311 - to be repeated
    of_it = "select name from sqlite_master where type = 'table' and rootpage > 0 and substr(name, 1, 7) <> 'sqlite_'"
    tables: list[str] = [name for (name,) in con.execute(f"{of_it} order by name")]
    chance.shuffle(tables)
    try:
        for table in tables:
            if kind == "table_dropped":
                con.execute(f"drop table {quoted(table)}")
                return table
            try:
                for statement in statements(con, kind, table, chance):
                    try:
                        if changes(con, table, statement):
                            return table
                    except sqlite3.IntegrityError:  # another row has it
                        continue
            except sqlite3.OperationalError:  # without rowids, or of a function that is not here
                continue
    finally:
        con.close()
    return None


def main() -> None:
    request: dict[str, Any] = json.load(sys.stdin)
    table = damaged(sys.argv[1], request["kind"], request["seed"])
    print(json.dumps({"table": table}))  # noqa: T201


if __name__ == "__main__":
    main()
