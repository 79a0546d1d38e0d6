"""The register of erasures: nobody changes it unnoticed, and nobody is named by what is told of it."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.harness import Site
from tests.support.manifests import counted

from ccdr.engines.mariadb.erasing import _MariaDB
from ccdr.engines.postgres.erasing import _Postgres
from ccdr.engines.postgres.erasing import erase as erase_postgres
from ccdr.engines.servers.erasing import Reference, Schema, Table, meant, script, told_columns
from ccdr.jobs.erasure.entries import Asked, read, require_named
from ccdr.jobs.erasure.horizon import Horizon, horizons, latest
from ccdr.jobs.erasure.register import CHAIN, FORMAT, SELECTORS, Register, RegisterBad, require_agreement
from ccdr.model.answers import NO_WORDS
from ccdr.model.erasure import UNSHOWN, EntryState, Looked, RegisterHead, Rows, Selector, Unlooked, Wanted
from ccdr.model.errors import OfBefore, TestBroken, UsageProblem, WrittenByNewer
from ccdr.model.values import Snapshot
from ccdr.ports.place import Output

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
PHONE = "+40 721 000 017"
PERSON = Selector("crm", rows=(Rows("customer", (("phone", PHONE),)),))
OTHER = Selector("crm", rows=(Rows("customer", (("phone", "+40 721 000 018"),)),))


def register(*selectors: Selector) -> Register:
    made = Register.begin("p")
    for selector in selectors or (PERSON, OTHER):
        made = made.added(selector, NOW - timedelta(days=1), NOW, canary=False)
    return made


def files(of: Register, directory: Path) -> tuple[str, str]:
    of.write(directory)
    return (directory / CHAIN).read_text("utf-8"), (directory / SELECTORS).read_text("utf-8")


def test_what_was_written_is_read_again(tmp_path: Path) -> None:
    made = register()
    again = Register.read("p", *files(made, tmp_path))
    assert again == made and again.head == made.head and again.agrees(register_head(made, 1))
    assert [one.id for one in again.of("crm")] == ["e-000001", "e-000002"] and not again.of("other")


def register_head(of: Register, entries: int) -> RegisterHead:
    part = Register(of.plan, of.name, of.key, of.lines[: entries + 1], of.entries[:entries], of.selectors)
    return part.head


def test_its_lines_and_its_listing_name_nobody(tmp_path: Path) -> None:
    made = register()
    chain, _ = files(made, tmp_path)
    assert PHONE not in chain and PHONE not in repr(made) and "customer" not in chain
    first, other = (one.pseudonym for one in made.entries)
    assert first != other and first != register().entries[0].pseudonym, "each register has a key of its own"
    assert (tmp_path / SELECTORS).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda chain, apart: (chain.replace('"crm"', '"crx"', 1), apart),
        lambda chain, apart: (chain, apart.replace(PHONE, "+40 721 000 019")),
        lambda chain, apart: ("".join(f"{line}\n" for line in chain.splitlines()[:1] + chain.splitlines()[2:]), apart),
        lambda chain, apart: (chain, json.dumps({**json.loads(apart), "key": "00" * 32})),
        lambda chain, apart: (chain, json.dumps({**json.loads(apart), "selectors": {}})),
        lambda chain, apart: (chain[:-5], apart),
        lambda chain, apart: (chain.replace('"plan":"p"', '"plan":"q"'), apart),
        lambda chain, apart: ("[" * 200000 + "\n", apart),
    ],
)
def test_a_register_that_somebody_changed_does_not_verify(change, tmp_path: Path) -> None:
    chain, apart = files(register(), tmp_path)
    with pytest.raises(RegisterBad) as told:
        Register.read("p", *change(chain, apart))
    assert "721" not in str(told.value)


def test_one_that_is_missing_older_or_another_is_told_from_the_one_that_was() -> None:
    made = register()
    older = Register(made.plan, made.name, made.key, made.lines[:2], made.entries[:1], made.selectors)
    heads = [register_head(made, 1), made.head]
    require_agreement(made, heads, "p")
    require_agreement(made.added(OTHER, NOW, NOW, canary=False), heads, "p")  # it went on meanwhile
    require_agreement(None, [], "p")  # there never was one
    for instead, why in ((None, "not in the repository"), (older, "older"), (register(), "another")):
        with pytest.raises(RegisterBad, match=why):
            require_agreement(instead, heads, "p")


@pytest.mark.parametrize(("number", "refusal"), [(FORMAT - 1, OfBefore), (FORMAT + 1, WrittenByNewer)])
def test_a_register_of_another_ccdr_s_is_refused_by_name(tmp_path: Path, number: int, refusal: type[Exception]) -> None:
    chain, selectors = files(register(), tmp_path)
    other = chain.replace(f'"format":{FORMAT}', f'"format":{number}', 1)
    assert other != chain
    with pytest.raises(refusal):
        Register.read("p", other.split("\n")[0] + "\n", selectors)


def test_what_was_withdrawn_is_replayed_no_more_and_its_selector_is_gone(tmp_path: Path) -> None:
    made = register()
    after = made.withdrawn(made.entries[0], NOW)
    again = Register.read("p", *files(after, tmp_path))
    assert again == after and [one.id for one in again.of("crm")] == ["e-000002"] and again.agrees(made.head)
    assert PHONE not in (tmp_path / SELECTORS).read_text("utf-8")
    assert after.same(PERSON) is None and len(after.added(PERSON, NOW, NOW, canary=False).standing) == 2


def test_entries_of_one_person_are_known_by_what_the_owner_calls_them_and_nobody_reads_it(tmp_path: Path) -> None:
    voice = Selector("rec", files=("17.wav",))
    made = register().added(PERSON, NOW, NOW, canary=False, person=PHONE)
    made = made.added(voice, NOW, NOW, canary=False, person=PHONE)
    made = made.added(voice, NOW, NOW, canary=False, person="another")
    again = Register.read("p", *files(made, tmp_path))
    assert again == made
    assert [one.id for one in again.of_person(again.entries[3])] == ["e-000003", "e-000004"]
    assert [one.id for one in again.of_person(again.entries[0])] == ["e-000001"], "nobody has said who that is"
    assert PHONE not in (tmp_path / CHAIN).read_text("utf-8")


@pytest.mark.parametrize(
    ("found", "missing", "stated", "held", "state"),
    [
        (0, 0, False, True, EntryState.NOT_LOOKED_FOR),
        (0, 2, False, True, EntryState.NEVER_FOUND),
        (1, 2, False, True, EntryState.FOUND),
        (1, 0, True, False, EntryState.FOUND),
        (0, 2, True, True, EntryState.STATED),
        (0, 0, False, False, EntryState.NOT_DUE),
        (0, 2, False, False, EntryState.NOT_DUE),  # what they might be in is gone
    ],
)
def test_what_is_shown_of_an_entry(found: int, missing: int, stated: bool, held: bool, state: EntryState) -> None:
    assert Looked(found, missing, stated).state(held=held) is state
    assert (state in UNSHOWN) == (held and not found and not stated)


# --- whom somebody adds -------------------------------------------------------------------------------------------


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site(tmp_path, bare=True)
    site.plan(
        "crm:\n  engine: postgres\n  connection: {host: /s, user: u, database: d}\n"
        f"rec:\n  engine: files\n  paths: [{tmp_path}]\nqueues:\n  engine: redis\n  connection: {{host: /s}}\n"
    )
    return site


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("asset: none\ntable: t\nkey: {id: 1}", "names no asset"),
        ("asset: crm\ntable: t\nkey: {}", "names no column"),
        ("asset: crm\ntable: t\nkey: {id: 1.5}", "neither text nor a whole number"),
        ("asset: crm\ntable: t\nkey: {id: null}", "neither text nor a whole number"),
        ("asset: crm\ntable: t\nkey: {id: true}", "neither text nor a whole number"),
        ("asset: crm\ntable: t\nkey: {phone: 0721000017}", "not well-formed"),
        ("asset: crm\nkeys: ['a:*']", "erased from by `rows:`"),
        ("asset: queues\nkeys: ['*']", "every key"),
        ("asset: rec\nfiles: ['../x']", "goes up"),
        ("asset: rec\nfiles: ['**']", "every file"),
        ("asset: crm\ntable: t\nkey: {id: 1}\nphone: '0721000017'", "keys that a selector does not have"),
        ("asset: crm\ntable: t\nkey: {id: 1}\ncanary: perhaps", "neither true nor false"),
        ("asset: crm\ntable: t\nkey: {id: 1}\nerased_at: yesterday", "no time"),
        ("asset: crm\ntable: t\nkey: {id: 1}\nperson: [a]", "neither text nor a whole number"),
        ("- a", "no mapping"),
    ],
)
def test_a_selector_that_will_not_do_is_told_without_its_values(site: Site, text: str, why: str) -> None:
    path = site.write("selector.yaml", text)
    with pytest.raises(UsageProblem) as told:
        read(str(path), site.loaded().plan)
    assert why in str(told.value) and "0721000017" not in str(told.value)


def test_a_selector_that_will_do_is_read(site: Site) -> None:
    text = "asset: crm\nrows: [{table: t, key: {phone: '0721000017', id: 7}}]\nerased_at: 2026-11-20T10:00:00Z\n"
    asked = read(str(site.write("selector.yaml", text)), site.loaded().plan)
    assert asked.selector == Selector("crm", rows=(Rows("t", (("id", "7"), ("phone", "0721000017"))),))
    assert asked.erased_at == datetime(2026, 11, 20, 10, tzinfo=UTC) and not asked.canary


def named(manifest: object, table: str, *columns: str, may_lack: bool = False) -> Unlooked | None:
    """What is told of an entry that names these of the newest snapshot."""
    known = SimpleNamespace(snapshots=lambda *_: [] if manifest is None else [None], manifest=lambda _: manifest)
    rows = Rows(table, tuple((column, "1") for column in columns), may_lack)
    asked = Asked(Selector("crm", rows=(rows,)), None, canary=False)
    return require_named(SimpleNamespace(catalogue=known), "p", asked)  # type: ignore[arg-type]


TOLD = {"tables": {"a t x": 1, "b t x": 1, "b u x": 1}, "roles": {"x": 1}}


def test_a_table_that_may_be_one_of_several_is_not_added() -> None:
    """Each restore would stop at it; it may lack or not."""
    manifest = SimpleNamespace(engine="postgres", contents=TOLD)
    for may_lack in (True, False):
        for table, why in (
            ("t", "a.t, b.t"),
            ("v", None if may_lack else "holds no table"),
            ("a.t", None),
            ("u", None),
        ):
            with pytest.raises(UsageProblem, match=why) if why else contextlib.nullcontext():
                named(manifest, table, "id", may_lack=may_lack)


def test_a_column_that_is_not_there_is_not_added_and_what_there_is_is_named() -> None:
    columns = {"a.t": ["id", "Phone"], "b.t": ["id"], "b.u": ["number", "note"], "b.whole": ["id"]}
    manifest = SimpleNamespace(engine="postgres", contents={**TOLD, "columns": columns})
    for table, column in (("a.t", "ID"), ("a.t", "phone"), ("u", "number"), ("whole", "id")):
        assert named(manifest, table, column) is None
    for may_lack in (True, False):
        with pytest.raises(UsageProblem, match="it has note, number"):
            named(manifest, "u", "number", "id", may_lack=may_lack)
    with pytest.raises(UsageProblem, match=r"it holds a\.t, b\.t, b\.u, b\.whole"):
        named(manifest, "client", "id")


@pytest.mark.parametrize(
    ("manifest", "why"),
    [
        (None, Unlooked.SNAPSHOT),
        (SimpleNamespace(engine="postgres", contents={"tables": {"t": 1}}), Unlooked.TABLES),
        (SimpleNamespace(engine="postgres", contents={"tables": {"a t x": 1}, "roles": {"x": 1}}), Unlooked.COLUMNS),
        (
            SimpleNamespace(engine="mariadb", contents={"database": "d", "tables": {"t": 1}, "columns": {"u": ["id"]}}),
            Unlooked.COLUMNS,
        ),
    ],
)
def test_where_nobody_can_look_at_the_names_that_is_told(manifest: object, why: Unlooked) -> None:
    assert named(manifest, "t", "id") is why


def test_a_manifest_names_the_columns_of_no_more_tables_than_a_host_can_keep() -> None:
    assert told_columns({"t": ["id"]}) == {"columns": {"t": ["id"]}}
    assert told_columns({f"t{n}": ["id"] * 100 for n in range(51)}) == {}


# --- what is asked of a database ----------------------------------------------------------------------------------

COLUMNS = {"id": "integer", "customer_id": "integer", "parent": "integer"}
SCHEMA = Schema(
    {name: Table(f'"{name}"', COLUMNS) for name in ("s.customer", "s.call", "s.voice", "s.note")},
    [
        Reference("s.call", ("customer_id",), "s.customer", ("id",), goes=True),
        Reference("s.voice", ("customer_id",), "s.call", ("id",), goes=True),
        Reference("s.call", ("parent",), "s.call", ("id",), goes=True),
        Reference("s.note", ("customer_id",), "s.customer", ("id",), goes=False),
    ],
    "s",
)


def wanted(table: str = "customer", column: str = "id", value: str = "17", *, may_lack: bool = False) -> list[Wanted]:
    return [Wanted("e-000001", Selector("crm", rows=(Rows(table, ((column, value),), may_lack),)))]


def test_what_refers_to_a_row_goes_before_it_and_a_circle_is_cut() -> None:
    made = script(SCHEMA, wanted(), _Postgres())
    order = [one.split(" where")[0] for one in made.erase]
    assert order == [
        'delete from "s.voice"',
        'update "s.call" set "parent" = null',
        'delete from "s.call"',
        'delete from "s.customer"',
    ]
    assert set(made.tables(SCHEMA)) == {f'"s.{name}"' for name in ("customer", "call", "voice", "note")}


def test_no_value_stands_in_a_statement_as_it_is() -> None:
    for dialect in (_Postgres(), _MariaDB()):
        assert PHONE not in str(dialect.values("longtext", PHONE)) and "721" not in str(dialect.values("text", PHONE))


def test_however_many_people_there_are_each_table_is_looked_at_as_often() -> None:
    many = [w for n in range(100) for w in wanted(value=str(n))]
    one, all_of_them = script(SCHEMA, wanted(), _Postgres()), script(SCHEMA, many, _Postgres())
    assert len(all_of_them.counts("b")) == len(one.counts("b")) and len(all_of_them.erase) == len(one.erase)


def test_what_is_not_there_is_no_proof() -> None:
    for missing in (wanted("client"), wanted(column="phone")):
        with pytest.raises(TestBroken, match="not there"):
            script(SCHEMA, missing, _Postgres())
    assert script(SCHEMA, wanted("client", may_lack=True), _Postgres()).lacking == 1
    with pytest.raises(TestBroken, match="holds numbers"):
        _MariaDB().values("decimal(20,0)", "abc")  # which MariaDB would take for 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("s.customer", ["s.customer"]),
        ("customer", ["s.customer", "t.customer"]),
        ("S.Customer", ["s.customer"]),
        ('t."call"', ["t.call"]),
        ("CALL", ["t.call"]),
        ("u.customer", []),
        ("client", []),
        ("Mixed", ["t.Mixed"]),
        ("mixed", ["t.mixed"]),
        ("MIXED", ["t.Mixed", "t.mixed"]),
        ("b.dotted", ["a.b.dotted"]),
    ],
)
def test_every_table_that_a_name_may_mean_is_found(name: str, found: list[str]) -> None:
    assert meant(["s.customer", "t.customer", "t.call", "t.Mixed", "t.mixed", "a.b.dotted"], name) == found


def test_a_name_may_be_written_as_the_source_has_it() -> None:
    """MariaDB's database has another name where it is restored, and SQLite's none."""
    assert meant(["here.customer"], "crm.customer", "here", "crm") == ["here.customer"]
    assert meant(["my.db.customer"], "customer", "my.db", "crm") == ["my.db.customer"]
    assert meant(["customer"], "main.customer", called="main") == ["customer"]
    assert meant(["here.customer"], "other.customer", "here", "crm") == []


# --- the day from which no copy holds them ------------------------------------------------------------------------


def snapshot(days: float) -> Snapshot:
    at = NOW + timedelta(days=days)
    return counted(f"{int(days * 10):+064x}", "p", "rec", "r", "files", "scan", at, at, 1, "/", "")


def horizon(tmp_path: Path, retention: str, *taken: float, erased: float) -> list[Horizon]:
    site = Site(tmp_path, bare=True)
    site.plan(f"rec:\n  engine: files\n  paths: [{tmp_path}]\n", extra=retention)
    known = [snapshot(days) for days in sorted(taken)]
    there = SimpleNamespace(
        clock=SimpleNamespace(now=lambda: NOW), catalogue=SimpleNamespace(snapshots=lambda plan, asset: known)
    )
    return horizons(site.loaded(), there, "rec", NOW + timedelta(days=erased))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("retention", "days"),
    [
        (
            "retention: {keep_within: 35d}\n",
            33,
        ),  # of the one that was taken two days ago; then the next prune, a Sunday
        ("retention: {keep_last: 5}\n", 4),  # four newer ones push it out, and one is there already
        ("retention: {keep_yearly: 20}\n", None),
        ("", None),
    ],
)
def test_the_last_copy_goes_with_the_prune_after_the_retention(
    tmp_path: Path, retention: str, days: int | None
) -> None:
    (found,) = horizon(tmp_path, retention, -30, -2, -0.5, erased=-1)
    assert found.snapshots == 2 and latest([found]) == found.gone_by
    if days is None:
        assert found.gone_by is None
        return
    assert found.gone_by is not None
    assert timedelta(0) <= found.gone_by - (NOW + timedelta(days=days)) <= timedelta(days=8)
    assert (found.gone_by.weekday(), found.gone_by.hour) == (6, 5), "the plan prunes on Sundays at five"


def test_who_is_in_no_snapshot_is_in_none_now(tmp_path: Path) -> None:
    (found,) = horizon(tmp_path, "", -0.5, erased=-1)
    assert (found.snapshots, found.gone_by) == (0, NOW)


# --- what is run --------------------------------------------------------------------------------------------------


@dataclass
class Told:
    """`Place` that answers in turn, and keeps what was run."""

    answers: list[str]
    argv: list[str] = field(default_factory=list)
    stdin: list[str] = field(default_factory=list)

    def run(self, argv: Sequence[str], *, stdin: str | None = None, **_: Any) -> Output:
        self.argv += argv
        self.stdin.append(stdin or "")
        return Output(0, self.answers.pop(0), NO_WORDS)


TABLES = 's.customer,"""s"".""customer""",r,f,"{""phone"": ""text""}",,\n'


def test_a_person_is_named_neither_in_arguments_nor_as_they_are_and_is_looked_for_once_more_after_the_commit() -> None:
    counted = "b|0|0|1\n"
    place = Told([TABLES, "", 'trigger,"""s"".""customer""",remember,O\n', counted, "", ""])
    person = [Wanted("e-000001", PERSON)]
    replayed = erase_postgres(place, {"PGOPTIONS": ""}, person, in_part=False)  # type: ignore[arg-type]
    assert [(one.before, one.after) for one in replayed.entries] == [(1, 0)]
    script_ = place.stdin[3]
    told = ["begin;", "disable trigger remember", "delete from", "enable trigger remember", "commit;", "select 'a'"]
    assert [script_.index(word) for word in told] == sorted(script_.index(word) for word in told)
    assert not any("721" in word for word in (*place.argv, *place.stdin))


def test_who_is_still_there_after_the_commit_is_found() -> None:
    """A rule or a trigger may keep them, or put them back."""
    place = Told([TABLES, "", "", "b|0|0|1\na|0|0|1\n", "", ""])
    person = [Wanted("e-000001", PERSON)]
    assert erase_postgres(place, {"PGOPTIONS": ""}, person, in_part=False).after == 1  # type: ignore[arg-type]
