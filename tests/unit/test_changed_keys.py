"""Which keys differ between two versions of a plan."""

from __future__ import annotations

import pytest

from ccdr.plans.changed_keys import changed_keys

BEFORE = b"""\
plan: p
incidents: {role: controller}
retention: {keep_within: 35d}
assets:
  crm: {engine: files, paths: [/a, /b], rpo: 1h}
"""


@pytest.mark.parametrize(
    ("old", "new", "keys"),
    [
        (b"controller", b"processor", ("incidents.role",)),
        (b"retention: {keep_within: 35d}\n", b"", ("retention (gone)",)),
        (b"assets:", b"site: Cluj\nassets:", ("site (new)",)),
        (b"/b]", b"/c]", ("assets.crm.paths[1]",)),
        (b", /b]", b"]", ("assets.crm.paths",)),
        (b"crm:", b"cdr:", ("assets.crm (gone)", "assets.cdr (new)")),
        (b"1h", b"9h", ("assets.crm.rpo",)),
        (b"plan: p", b"# a note\nplan:   p", ()),
        (BEFORE, b"[", ("all of it",)),
    ],
)
def test_the_names_of_keys_are_told_and_never_what_they_hold(old: bytes, new: bytes, keys: tuple[str, ...]) -> None:
    name = "plans/p.yaml"
    assert old in BEFORE
    found = changed_keys({name: BEFORE}, {name: BEFORE.replace(old, new, 1)})
    assert sorted(found) == sorted(keys)


def test_restore_tests_are_told_by_their_file() -> None:
    test = b"checks: [{kind: rows, sql: select 1, at_least: 5}]"
    before, after = {"restore_tests/t.yaml": test}, {"restore_tests/t.yaml": test.replace(b"5", b"1")}
    assert changed_keys(before, after) == ("restore_tests/t.yaml: checks[0].at_least",)
    assert changed_keys(before, {}) == ("restore_tests/t.yaml (gone)",)
    assert changed_keys({}, after) == ("restore_tests/t.yaml (new)",)
