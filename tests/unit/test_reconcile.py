"""Rows matched with files, without a database and without Docker."""

from __future__ import annotations

import io
import json
import os
import tempfile
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from tests.support.harness import Site
from tests.support.manifests import counted

from ccdr.checks.reconcile.check import Reconcile
from ccdr.checks.reconcile.instants import Instants, instant_of
from ccdr.checks.reconcile.match import (
    FileFact,
    FileOutcome,
    Matcher,
    Matches,
    Reference,
    RowFact,
    RowOutcome,
    StatedColumns,
)
from ccdr.checks.reconcile.paths import follow, resolve
from ccdr.checks.reconcile.rows import read_rows
from ccdr.host.state import PRIVATE_MOST, State
from ccdr.model.errors import PlanInvalid
from ccdr.model.groups import counterpart
from ccdr.model.values import GroupRun, Snapshot, Verdict

VALUE = st.none() | st.binary(max_size=12) | st.sampled_from([b"\\N", b"\\", b"\t", b"\n", b"\r\n", b"\xff", b""])
SHORT = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r", b"\b": b"\\b", b"\f": b"\\f", b"\v": b"\\v"}


def as_copy_writes(value: bytes | None) -> bytes:
    if value is None:
        return b"\\N"
    return b"".join(SHORT.get(bytes([byte]), bytes([byte])) for byte in value)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(VALUE, min_size=n, max_size=n))))
def test_rows_are_read_as_they_were_written(rows: list[list[bytes | None]]) -> None:
    text = b"".join(b"\t".join(map(as_copy_writes, row)) + b"\n" for row in rows)
    assert list(read_rows(io.BytesIO(text))) == rows


# --- which file a row means ---------------------------------------------------------------------------

PARTS = st.sampled_from([b"a", b"b", b"..", b".", b"", b"c.wav", b"\xff"])
SAID = st.none() | st.lists(PARTS, max_size=5).map(b"/".join)


@given(SAID, st.none() | st.just(b"/var/spool"))
def test_no_row_means_a_file_outside_of_what_it_says(said: bytes | None, root: bytes | None) -> None:
    path = resolve(said, root)
    if path is None:
        relative = said is not None and not said.startswith(b"/")
        useless = not said or said.endswith(b"/") or b".." in said.split(b"/") or not said.strip(b"/.")
        assert useless or (relative and root is None)
        return
    assert said is not None and path.startswith(b"/") and os.path.normpath(path) == path
    if not said.startswith(b"/"):
        assert root is not None and (path + b"/").startswith(root + b"/")


@example(["a/"], {"l": "a"}, "l/../l/c.wav")
@example(["a/"], {"l": "l"}, "l")
@given(
    st.lists(st.sampled_from(["a/", "a/b/", "b/"]), max_size=3),
    st.dictionaries(
        st.sampled_from(["l", "a/l", "b/l"]),
        st.sampled_from(["a", "..", "/ROOT/b", "l", "a/b", "../a/l", "/x"]),
        max_size=3,
    ),
    st.lists(st.sampled_from(["a", "b", "l", "c.wav"]), min_size=1, max_size=4).map("/".join),
)
def test_links_are_followed_as_the_system_follows_them(made: list[str], links: dict[str, str], path: str) -> None:
    with tempfile.TemporaryDirectory() as root:
        for name in made:
            Path(root, name).mkdir(parents=True, exist_ok=True)
        for name, target in links.items():
            Path(root, name).parent.mkdir(exist_ok=True)
            Path(root, name).symlink_to(target.replace("ROOT", root.lstrip("/")))

        def target_of(at: bytes) -> bytes | None:
            return os.readlink(at) if os.path.islink(at) else None

        real = follow(os.fsencode(f"{root}/{path}"), target_of)
        try:
            expected = os.path.realpath(os.fsencode(f"{root}/{path}"), strict=True)
        except OSError:  # it leads nowhere, or in a circle
            assert real is None or not Path(os.fsdecode(real)).exists()
        else:
            assert real == expected


# --- when they may be apart ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("1764000000", 1764000000.0),
        (" 1764000000.25 ", 1764000000.25),
        ("2025-11-24 16:00:00+00", 1764000000.0),
        ("2025-11-24 18:00:00.5+02", 1764000000.5),
        ("2025-11-24T16:00:00Z", 1764000000.0),
        ("2025-11-24 16:00:00", None),
        ("infinity", None),
        ("NaN", None),
        ("1e9", None),
        ("1_000", None),
        ("", None),
        ("yesterday", None),
    ],
)
def test_a_time_is_taken_only_as_what_it_must_be(said: str, expected: float | None) -> None:
    assert instant_of(said) == expected


# --- what becomes of rows and files -------------------------------------------------------------------

NAMES = [b"/r/a", b"/r/b", b"/r/c", b"/r/A", b"/r/d/e", b"/r/\xff"]
TIMES = st.sampled_from([0.0, 889.0, 890.0, 890.5, 900.0, 901.0, 949.0, 950.0, 951.0, 1000.0, 1299.0, 1301.0, 1400.0])
FILES = st.dictionaries(
    st.sampled_from(NAMES),
    st.builds(
        FileFact,
        st.just(b""),
        st.sampled_from("fffdwo"),
        st.integers(0, 2),
        TIMES,
        st.none(),
        st.booleans(),
    ),
    max_size=6,
)
ROWS = st.lists(
    st.builds(
        RowFact,
        st.sampled_from(NAMES),
        st.none() | st.sampled_from(NAMES),
        st.none() | st.integers(-1, 2),
        st.none() | st.sampled_from(["x0", "x1"]),
        st.none() | TIMES,
    ),
    max_size=8,
)
NOW = Instants(rows=1000.0, files=950.0, settle=10.0, apart=50.0, clocks=300.0)


def digest(path: bytes) -> str:
    return f"x{len(path) % 2}"


def sounds(path: bytes) -> bool:
    return path != b"/r/b"


def judged(
    files: dict[bytes, FileFact], rows: list[RowFact], wanted: StatedColumns, audio: bool
) -> tuple[Matches, list[Reference]]:
    def decode(names: list[str]) -> tuple[dict[str, str], int]:
        return {n: "noise" for n in names if not sounds(os.fsencode(n))}, 0

    with tempfile.TemporaryDirectory() as directory, Matcher.opened(Path(directory) / "book", NOW, wanted) as book:
        book.add_files(replace(fact, path=path) for path, fact in files.items())
        book.add_rows(rows)
        found = book.judge(lambda names: {n: digest(os.fsencode(n)) for n in names}, decode if audio else None)
        return found, [*book.bad_rows(), *book.lone_files()]


def by_hand(files: dict[bytes, FileFact], row: RowFact, wanted: StatedColumns, audio: bool) -> RowOutcome:
    """The same, said once more, a row at a time."""

    def unless_late(what: RowOutcome, after: float) -> RowOutcome:
        return RowOutcome.IN_FLIGHT if row.at is not None and after < row.at <= 1300.0 else what

    if row.path is None:
        return RowOutcome.UNUSABLE
    there = files.get(row.path)
    if there is None or there.kind != "f":
        return unless_late(RowOutcome.MISSING, 890.0)
    if row.size is not None and row.size != there.size:
        return unless_late(RowOutcome.WRONG_SIZE, 940.0)
    if row.sha256 is not None and row.sha256 != digest(row.path):
        return unless_late(RowOutcome.WRONG_CONTENTS, 940.0)
    if audio and not sounds(row.path):
        return unless_late(RowOutcome.UNREADABLE, 940.0)
    unsaid = (wanted.size and row.size is None) or (wanted.sha256 and row.sha256 is None)
    return RowOutcome.UNSAID if unsaid else RowOutcome.MATCHED


@given(FILES, ROWS, st.builds(StatedColumns, st.booleans(), st.booleans()), st.booleans())
def test_every_row_and_every_file_is_counted_once_as_what_it_is(
    files: dict[bytes, FileFact], rows: list[RowFact], wanted: StatedColumns, audio: bool
) -> None:
    found, references = judged(files, rows, wanted, audio)
    expected = [by_hand(files, row, wanted, audio) for row in rows]
    assert {k: n for k, n in found.rows.items() if n} == {k: expected.count(k) for k in set(expected)}
    assert found.total == len(rows)
    names = [row.path for row in rows]
    looked_at = {path: fact for path, fact in files.items() if fact.kind == "f" and fact.looked_at}
    kinds = [
        FileOutcome.NAMED
        if path in names
        else FileOutcome.IN_FLIGHT
        if 950.0 < fact.mtime <= 1250.0
        else FileOutcome.WITHOUT_ROW
        for path, fact in looked_at.items()
    ]
    assert {k: n for k, n in found.files.items() if n} == {k: kinds.count(k) for k in set(kinds)}
    assert found.shared == sum(fact.kind == "f" and names.count(path) > 1 for path, fact in files.items())
    in_use = [path for path, fact in files.items() if fact.kind == "w"]
    missing = [row for row, what in zip(rows, expected, strict=True) if what is RowOutcome.MISSING]
    assert found.in_use == sum(row.path in in_use for row in missing)
    assert len(references) == sum(what is not RowOutcome.MATCHED for what in expected) + sum(
        k is not FileOutcome.NAMED for k in kinds
    )


def test_a_missing_file_that_is_there_in_another_case_is_told() -> None:
    files = {b"/r/A": FileFact(b"", "f", 1, 0.0), "/r/nota\u0306".encode(): FileFact(b"", "f", 1, 0.0)}
    rows = [RowFact(b"a", b"/r/a"), RowFact(b"n", "/r/not\u0103".encode()), RowFact(b"z", b"/r/z")]
    _, references = judged(files, rows, StatedColumns(), audio=False)
    assert [(r.what, bool(r.why)) for r in references[:3]] == [("missing", True), ("missing", True), ("missing", False)]


def test_what_is_not_hashed_is_not_taken_for_equal() -> None:
    """More files than are hashed in one call, each with a digest of its own."""
    files = {f"/r/{n:05}".encode(): FileFact(b"", "f", 1, 0.0) for n in range(9000)}
    rows = [RowFact(path, path, 1, "x0") for path in files]
    with (
        tempfile.TemporaryDirectory() as directory,
        Matcher.opened(Path(directory) / "book", NOW, StatedColumns()) as book,
    ):
        book.add_files(replace(fact, path=path) for path, fact in files.items())
        book.add_rows(rows)
        asked: list[str] = []

        def hash_(names: list[str]) -> dict[str, str]:
            asked.extend(names)
            return {name: "x1" if name.endswith("7777") else "x0" for name in names}

        found = book.judge(hash_, None)
    assert sorted(asked) == sorted(map(os.fsdecode, files))
    assert (found.of(RowOutcome.MATCHED), found.of(RowOutcome.WRONG_CONTENTS)) == (8999, 1)


# --- which snapshot of the other asset ----------------------------------------------------------------

POINT = datetime(2026, 11, 24, 12, tzinfo=UTC)


def other(minutes: float, run: str | None = None) -> Snapshot:
    at, group = POINT + timedelta(minutes=minutes), GroupRun("calls", run, ("crm", "rec")) if run else None
    return counted(f"{minutes}", "p", "rec", "r", "files", "scan", at, at, 1, "/x", "0", source="/s", group=group)


@pytest.mark.parametrize(
    ("run", "good", "recovered", "expected"),
    [
        ("g1", [other(-90, "g1"), other(-1)], False, "-90"),
        ("g1", [other(-90, "g1"), other(-1)], True, "-1"),
        ("g1", [other(-90, "g0"), other(5)], False, "5"),
        (None, [other(-90, "g1"), other(-10), other(9)], False, "9"),
        (None, [other(-10), other(10)], False, "10"),
        ("g1", [], False, None),
    ],
)
def test_the_counterpart_was_captured_together_or_is_nearest(
    run: str | None, good: list[Snapshot], recovered: bool, expected: str | None
) -> None:
    own = replace(other(0, run), asset="crm")
    chosen = counterpart(own, POINT, good, recovered=recovered)
    assert (chosen and chosen.id) == expected


# --- what a plan may say ------------------------------------------------------------------------------

PLAN = """
crm:
  engine: postgres
  connection: {host: /s, user: u, database: d}
  restore_test: {schedule: "0 3 * * *", checks: [c]}
recordings: {engine: files, paths: [/srv/spool/a, /srv/spool/b]}
log: {engine: postgres, connection: {host: /s, user: u, database: e}}
"""


def problems(tmp_path: Path, check: str, plan: str = PLAN) -> list[str]:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", f"restore_test: c\nchecks:\n  - {check}\n")
    site.plan(plan)
    try:
        site.loaded()
    except PlanInvalid as error:
        return [str(problem).removeprefix(f"{tmp_path}/") for problem in error.problems]
    return []


def reconcile(**changes: object) -> str:
    return json.dumps({"kind": "reconcile", "with": "recordings", "query": "select 1", **changes})


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"with": "recording"}, "plans/p.yaml:10: assets.crm.restore_test.checks[0]: has the check reconcile with recording,"
         " which this plan does not have, did you mean recordings?"),
        ({"with": "zzz"}, "which this plan does not have, expected one of recordings, log"),
        ({"with": "crm"}, "which is the asset itself"),
        ({"with": "log"}, "which is of the engine postgres, expected one of files"),
        ({"root": "/var/spool"}, "have nothing in common with the root /var/spool"),
        ({"root": "spool"}, "restore_tests/c.yaml:3: checks[0].root: is not an absolute path"),
        ({"columns": ["size"]}, "expected path, and each at most once"),
        ({"columns": ["path", "path"]}, "expected path, and each at most once"),
        ({"columns": ["path", "md5"]}, "expected one of path, size, sha256, time"),
        ({"allow": {"missing": "any"}}, "checks[0].allow.missing"),
        ({"allow": {"orphans": 1}}, "unknown key"),
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_a_problem_of_the_plan(
    tmp_path: Path, changes: dict[str, object], said: str
) -> None:
    (problem,) = problems(tmp_path, reconcile(**changes))
    assert said in problem


@pytest.mark.parametrize("root", ["/srv", "/srv/spool/a", "/srv/spool/b/2026", None])
def test_what_can_be_compared_is_none(tmp_path: Path, root: str | None) -> None:
    assert (
        problems(tmp_path, reconcile(root=root, columns=["sha256", "path"], allow={"files_without_row": "any"})) == []
    )


class FarApart:
    """Of `Beside`, what the skew is told by: two points 8 minutes apart."""

    asset, together = "recordings", None
    snapshot = type("Snapshot", (), {"short": "0123abcd"})()

    def __init__(self, *, recovered: bool) -> None:
        self.recovered = recovered


@pytest.mark.parametrize(("recovered", "status"), [(True, Verdict.PASS), (False, Verdict.FAIL)])
def test_how_far_apart_the_points_lie_is_only_told_where_the_log_led_to_one_of_them(
    recovered: bool, status: Verdict
) -> None:
    check = Reconcile.model_validate({"kind": "reconcile", "with": "recordings", "query": "select 1"})
    instants = Instants(rows=480.0, files=0.0, settle=0.0, apart=60.0, clocks=1.0)
    found = check._skew(instants, FarApart(recovered=recovered))  # type: ignore[arg-type]
    assert (found.status, "8m" in found.actual) == (status, True)


@pytest.mark.parametrize(
    ("schedule", "together", "told"),
    [("0 * * * *", False, True), ("*/5 * * * *", False, False), ("0 * * * *", True, False)],
)
def test_schedules_that_cannot_meet_within_are_told(tmp_path: Path, schedule: str, together: bool, told: bool) -> None:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", f"restore_test: c\nchecks:\n  - {reconcile()}\n")
    plan = PLAN.replace("engine: files,", f'engine: files, backup: {{schedule: "{schedule}"}},')
    if together:
        same = f'engine: postgres\n  group: g\n  backup: {{schedule: "{schedule}"}}\n'
        plan = plan.replace("engine: postgres\n", same, 1)
        plan = plan.replace("engine: files,", "engine: files, group: g,")
    site.plan(plan)
    assert any("widen `within:`" in str(p) for p in site.loaded().lint) is told


def test_what_is_never_backed_up_cannot_be_compared_with_in_time(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", f"restore_test: c\nchecks:\n  - {reconcile()}\n")
    site.plan(PLAN)
    told = [p for p in site.loaded().lint if "has no backup schedule: give both assets the same group" in p.message]
    assert [p.path for p in told] == ["assets.crm.restore_test.checks"] and told[0].line > 1
    site.plan(PLAN.replace("engine: files,", 'engine: files, backup: {schedule: "*/5 * * * *"},'))
    assert not any("has no backup schedule: give" in p.message for p in site.loaded().lint)


def test_only_rows_can_be_the_reference(tmp_path: Path) -> None:
    plan = PLAN.replace("crm:", "db:", 1).replace(
        "recordings: {", 'recordings: {restore_test: {schedule: "0 3 * * *", checks: [c]}, '
    )
    found = problems(tmp_path, reconcile(**{"with": "log"}), plan)
    assert any("asks by SQL and is not for files" in p for p in found)


def test_what_is_compared_and_captured_apart_is_told(tmp_path: Path) -> None:
    site = Site(tmp_path)
    site.write("restore_tests/c.yaml", f"restore_test: c\nchecks:\n  - {reconcile()}\n")
    site.plan(PLAN)
    assert any("the two are not captured together" in str(p) for p in site.loaded().lint)
    both = PLAN.replace("engine: postgres\n", "engine: postgres\n  group: g\n", 1).replace(
        "engine: files,", "engine: files, group: g,"
    )
    site.plan(both)
    assert not any("together" in str(p) for p in site.loaded().lint)


def test_what_is_kept_by_name_is_bounded(tmp_path: Path) -> None:
    state, now = State(tmp_path / "state"), datetime.now(UTC)
    for number in range(PRIVATE_MOST + 5):
        (tmp_path / "notes").write_text("{}")
        state.keep_private(f"20261124T{number:06}-aaaaaa", tmp_path / "notes")
    state.forget_private(now)
    kept = sorted(path.name for path in (state.root / "private").iterdir())
    assert len(kept) == PRIVATE_MOST and kept[0].startswith("20261124T000005")
    state.forget_private(now + timedelta(days=6))
    assert len(list((state.root / "private").iterdir())) == PRIVATE_MOST
    state.forget_private(now + timedelta(days=8))
    assert not list((state.root / "private").iterdir())


@pytest.mark.parametrize(
    ("ahead", "recovered", "columns", "rows", "status"),
    [
        (60, True, "path", {"MATCHED": 3}, "PASS"),
        (60, True, "path", {"MATCHED": 3, "MISSING": 2, "WRONG_SIZE": 1}, "INCONCLUSIVE"),
        (60, True, "path", {"MISSING": 2}, "FAIL"),  # not so many match as must
        (60, True, "path", {"MATCHED": 3, "UNUSABLE": 1}, "FAIL"),
        (60, True, "path", {"MATCHED": 3, "MISSING": 1, "UNREADABLE": 1}, "FAIL"),
        (60, True, "path time", {"MATCHED": 3, "MISSING": 1}, "FAIL"),
        (60, False, "path", {"MATCHED": 3, "MISSING": 1}, "FAIL"),
        (0.9, True, "path", {"MATCHED": 3, "MISSING": 1}, "FAIL"),
        (-60, True, "path", {"MATCHED": 3, "MISSING": 1}, "FAIL"),
    ],
)
def test_rows_without_a_time_that_the_log_brought_are_not_known_to_lack_their_files(
    ahead: float, recovered: bool, columns: str, rows: dict[str, int], status: str
) -> None:
    check = Reconcile.model_validate(json.loads(reconcile(columns=columns.split())))
    instants = Instants(rows=1000.5 + ahead, files=1000.5, settle=0.0, apart=60.0, clocks=300.0)
    context = SimpleNamespace(manifest=SimpleNamespace(plan="p"))
    between = check._between(instants, context, FarApart(recovered=recovered))  # type: ignore[arg-type]
    matched = Matches({RowOutcome[name]: count for name, count in rows.items()}, {}, 0, 0)
    nobody = SimpleNamespace(bad_rows=lambda: iter(()))
    found = check._rows_result(matched, instants, nobody, between)  # type: ignore[arg-type]
    assert found.status == status
    assert ("--at 1970-01-01T00:16:41Z" in found.actual) is (status == "INCONCLUSIVE")
