"""Which tables of a copied MariaDB server are looked at: all of them, also those that grew while they were copied."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ccdr.engines.mariadb.objects import Objects, read_objects
from ccdr.engines.mariadb.physical.method import Physical
from ccdr.model.answers import NO_WORDS
from ccdr.model.values import Verdict
from ccdr.ports.place import Output


def objects(**engines: tuple[str, int]) -> Objects:
    return read_objects([("table", n, "BASE TABLE", e, "2026-11-01", size, "") for n, (e, size) in engines.items()])


def test_a_table_that_grows_while_it_is_copied_is_taken_down() -> None:
    before = objects(customer=("InnoDB", 16384), call=("InnoDB", 16384), altered=("Aria", 1), dropped=("InnoDB", 1))
    after = objects(customer=("InnoDB", 49152), call=("InnoDB", 16384), altered=("InnoDB", 1), made=("InnoDB", 1))
    assert [t.name for t in after.lasting(before)] == ["call", "customer"]


@pytest.mark.parametrize("taken_down", [("call", "customer"), ("call",)], ids=["all", "one-is-not"])
@pytest.mark.parametrize("state", ["OK", "Corrupt"])
def test_a_restored_table_is_checked_whether_it_was_taken_down_or_not(taken_down: tuple[str, ...], state: str) -> None:
    def run(_: Any, *, stdin: str, **__: Any) -> Output:
        if "information_schema" in stdin:
            there = [("crm", "call"), ("crm", "customer"), ("mysql", "proc")]
            return Output(0, "".join(f"{json.dumps([*row, 'InnoDB'])}\n" for row in there), NO_WORDS)
        asked = [line.split("`")[1:4:2] for line in stdin.splitlines() if line.startswith("CHECK TABLE")]
        assert len(asked) == 3, stdin
        told = (f"{db}.{t}\tcheck\tstatus\t{state if t == 'customer' else 'OK'}\n" for db, t in asked)
        return Output(0, "".join(told), NO_WORDS)

    tables = {name: {"engine": "InnoDB"} for name in taken_down}
    contents = {"database": "crm", "tables": tables, "definers": {}, "orphans": []}
    manifest = SimpleNamespace(contents=contents)
    context = SimpleNamespace(sandbox=SimpleNamespace(run=run), manifest=manifest, recovered=False)
    found = next(Physical(cast("Any", None)).integrity(cast("Any", context)))
    assert (found.status, found.expected) == (
        Verdict.PASS if state == "OK" else Verdict.FAIL,
        "3 tables without a finding",
    )
