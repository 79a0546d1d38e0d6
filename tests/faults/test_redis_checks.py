"""The check kind `keys`: each bound can fail, and passes on what is right."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from tests.support.harness import Site
from tests.support.redis_source import queues, redis_server, small

from ccdr.host.clock import SystemClock


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    now = SystemClock().now()
    with redis_server("redis") as source:
        small(source)
        for name, age in (("fresh", timedelta(minutes=5)), ("stale", timedelta(days=2)), ("ahead", timedelta(days=-1))):
            source.fill(f"XADD log:{name} {int((now - age).timestamp() * 1000)}-0 a b")
        site = queues(Site(tmp_path_factory.mktemp("keys")), source)
        site.backed_up()
        yield site


CHECKS = {
    "{kind: keys, at_least: 22, at_most: 22}": ("PASS", "22"),
    '{kind: keys, match: "queue:*", at_least: 2}': ("PASS", "2"),
    '{kind: keys, match: "queue:*", at_least: 3}': ("FAIL", "2"),
    '{kind: keys, match: "queue:*", database: 3, at_most: 1}': ("PASS", "1"),
    '{kind: keys, match: "queue:*", database: 3, at_least: 2}': ("FAIL", "1"),
    '{kind: keys, match: "nothing:*", at_least: 1}': ("FAIL", "0"),
    '{kind: keys, match: "nothing:*", at_most: 0}': ("PASS", "0"),
    '{kind: keys, match: "agent*", type: hash, at_least: 2}': ("PASS", "2"),
    '{kind: keys, match: "agent*", type: set, at_most: 1}': ("FAIL", "2"),
    '{kind: keys, match: "log:fresh", newest_within: 1h}': ("PASS", "before it"),
    '{kind: keys, match: "log:[fs]*", newest_within: 1h}': ("PASS", "before it"),
    '{kind: keys, match: "log:stale", newest_within: 1h}': ("FAIL", "2d 0h before it"),
    '{kind: keys, match: "log:ahead", newest_within: 1h}': ("FAIL", "from the future"),
    '{kind: keys, match: "counter", newest_within: 1h}': ("FAIL", "no entry"),
    '{kind: keys, match: "log:fresh", at_least: 2, newest_within: 1h}': ("FAIL", "1"),
}


def test_each_bound_passes_and_fails(stored: Site) -> None:
    lines = "".join(f"  - {check[:-1]}, name: c{n}}}\n" for n, check in enumerate(CHECKS))
    stored.write("restore_tests/queues.yaml", f"restore_test: queues\nchecks:\n{lines}")
    done = stored.run("test", "p")
    for n, (check, (status, said)) in enumerate(CHECKS.items()):
        first, *_ = [c for c in done.json["checks"] if c["name"] == f"c{n}"]
        assert (first["status"], said in first["actual"]) == (status, True), (check, first)
    assert done.code == 1 and "log:fresh" not in str(stored.records("restore_test.end")[-1]["checks"])


@pytest.mark.parametrize(
    ("check", "wrong"),
    [
        ("{kind: keys, match: x}", "no bound"),
        ("{kind: keys, type: list, newest_within: 1h}", "expected stream"),
        ("{kind: keys, type: nonsense, at_least: 1}", "type"),
        ("{kind: keys, database: -1, at_least: 1}", "database"),
        ("{kind: rows, table: x, at_least: 1}", "redis"),
        ("{kind: freshness, query: x, within: 1h}", "redis"),
        ("{kind: sql, query: x, expect: 1}", "redis"),
        ("{kind: decodable}", "redis"),
    ],
)
def test_what_cannot_be_asked_is_a_mistake_of_the_file(stored: Site, check: str, wrong: str) -> None:
    stored.write("restore_tests/queues.yaml", f"restore_test: queues\nchecks:\n  - {check}\n")
    done = stored.run("plan", "check", "p")
    assert done.code == 2 and wrong in done.stdout + done.stderr, done
