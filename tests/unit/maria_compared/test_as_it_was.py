"""What is concluded of a restored MariaDB database from a second dump of it: it came back as it was."""

from __future__ import annotations

import pytest
from tests.support.maria_restored import ALL, Restored, failed

from ccdr.model.values import Verdict


@pytest.mark.parametrize("jobs", [1, 2, 5])
def test_a_database_that_came_back_as_it_was_passes_each_and_says_so(restored: Restored, jobs: int) -> None:
    results = restored.results(jobs=jobs)
    assert {name: (one.expected, one.actual) for name, one in results.items()} == ALL
    assert all(one.status is Verdict.PASS for one in results.values())
    calls = restored.server.calls
    dumps = [c for c in calls if c.argv[0] in ("bash", "mariadb-dump")]
    assert len(dumps) == min(jobs, 2) + 3, "rows by each client, and three texts"
    assert all(c.what and c.watch == restored.top / "out/again" for c in dumps), "whoever writes is seen to go on"
    assert {c.what for c in dumps if c.argv[0] == "mariadb-dump"} == {
        "dumping tables.sql again", "dumping code.sql again", "dumping views again"
    }  # fmt: skip


def test_a_database_without_tables_or_views_passes(restored: Restored) -> None:
    restored.server.objects = []
    restored.server.rows = {}
    restored.server.texts["views.sql"] = "not asked for"
    restored.contents |= {"objects": {}, "definers": {}, "tables": {}}
    (restored.top / "restored/views.sql").unlink()
    del restored.files["views.sql"]
    results = restored.results()
    assert failed(results) == {} and results["tables"].actual == "0 tables, 0 rows, equal by SHA-256"
    assert results["definitions"].expected.startswith("8 parts")
