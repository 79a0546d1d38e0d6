"""What a program said is revealed where it is parsed into values of ours, kept, or shown: in no other room."""

from __future__ import annotations

import ast
from collections import Counter
from pathlib import Path

import ccdr
from ccdr.checks.command import Command
from ccdr.checks.keys import Keys
from ccdr.checks.rows import Rows
from ccdr.checks.sql import Sql

SOURCE = Path(ccdr.__file__).parent
# How often each does, and what becomes of it. Whoever adds to this list says so, and plants a canary.
REVEALS = {
    "model/answers.py": 3,  # names of objects that a manifest lists; words put together with words
    "checks/base.py": 1,  # a check's detail, which no record holds
    "checks/command.py": 1,  # likewise
    "engines/mariadb/dump/files.py": 1,  # into FreeText again, without the client's own remarks
    "engines/mariadb/physical.py": 1,  # a version's number
    "engines/postgres/dump/capture.py": 1,  # into FreeText again, line by line
    "engines/postgres/physical/cluster.py": 1,  # how many lines of findings; the lines are a detail
    "engines/postgres/questions.py": 1,  # likewise
    "engines/redis/capture.py": 1,  # numbers of keys, the file's own remarks
    "engines/sqlite/comparison.py": 2,  # details
    "sandbox/box.py": 1,  # is it Docker that speaks? and then into FreeText again
    "storage/restic_failures.py": 1,  # into FreeText again, as sentences
    "storage/upkeep.py": 2,  # names of packs; into FreeText again
}


def test_only_these_rooms_reveal_what_a_program_said() -> None:
    found: Counter[str] = Counter()
    for path in SOURCE.rglob("*.py"):
        nodes = ast.walk(ast.parse(path.read_text("utf-8")))
        found[str(path.relative_to(SOURCE))] = sum(isinstance(n, ast.Attribute) and n.attr == "reveal" for n in nodes)
    assert +found == REVEALS


def test_a_checks_name_quotes_no_query_condition_or_pattern() -> None:
    said = "0722000001"
    where = Rows(kind="rows", table=f"call where phone = '{said}'", at_least=1)
    keys = Keys(kind="keys", match=f"caller:{said}*", at_least=1)
    sql = Sql(kind="sql", query=f"select '{said}'", expect=1)
    command = Command(kind="command", argv=("/bin/grep", said))
    assert not any(said in one.label for one in (where, keys, sql, command))
    assert keys.label != Keys(kind="keys", match="caller:0722000002*", at_least=1).label, "they are told apart"
    for table in ("call", "public.call", '"odd name"', "`call`", 'public."Call"'):
        assert Rows(kind="rows", table=table, at_least=1).label == f"{table} has at least 1 rows"
    assert Keys(kind="keys", at_least=1).label == "keys *: at least 1"
