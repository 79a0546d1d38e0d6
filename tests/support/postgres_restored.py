"""A restored PostgreSQL database and a second dump of it: the texts of a real one (`tests/unit/dumps/postgres`)."""

from __future__ import annotations

import copy
import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ccdr.engines.postgres.dump.identity import compare
from ccdr.engines.postgres.dump.toc import TABLE_DATA, toc_of
from ccdr.engines.postgres.inventory import INVENTORY
from ccdr.model.answers import NO_WORDS
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output
from tests.support.manifests import SAID
from tests.support.second_dump import Call, Sorting

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
TEXTS = {path.name: path.read_text() for path in (Path(__file__).parents[1] / "unit/dumps/postgres").iterdir()}
CALL, SEAT = "public call postgres", "public seat postgres"
ROWS = {CALL: "1\tringing\ta\n", SEAT: "1\ta\n2\tb\n"}
END = "\\.\n\n\n"
MAIL = b"a voice mail"
CHECK = "((note)::text = ANY ((ARRAY['a'::character varying, 'b'::character varying])::text[]))"
REPRINTED = "((note)::text = ANY (ARRAY[('a'::character varying)::text, ('b'::character varying)::text]))"
FACTS: dict[str, Any] = {
    "version": "17.12", "encoding": "UTF8", "collate": "C", "ctype": "en_US.utf8", "locale_provider": "c", "icu_locale": None, "icu_rules": None,
    "connection_limit": -1, "database_settings": {"": ["TimeZone=UTC"]},
    "role_all_settings": ["ALTER ROLE ALL SET work_mem TO '8MB';"], "extension_rows": {},
    "disabled_constraints": [], "detaching": [], "unlike_parent": {}, "reaching": [], "foreign_servers": [],
    "standby": False, "columns": {}, "subscriptions": [], "user_mappings": {},
    "extensions": {"hstore": "1.8", "plpgsql": "1.0"},
    "left_out": [], "server_objects": {"": {"function f()": "12ab"}, "hstore": {"type hstore": "34cd", "rows of words": "3 77"}},
    "roles": {"app_reader": [False, None], "boss": [True, None], "postgres": [True, ["work_mem=8MB"]]},
}  # fmt: skip
SETTINGS = "database settings, and what a dump leaves out"
MADE = "what the server and extensions make"
OBJECTS = "objects (definitions, owners, grants, comments)"
LARGE = "large objects' owners, grants, comments"


def sha(content: str | bytes) -> str:
    return sha256(content.encode() if isinstance(content, str) else content).hexdigest()


def file_of(content: str | bytes) -> FileDigest:
    raw = content.encode() if isinstance(content, str) else content
    return FileDigest(len(raw), sha(raw), raw.count(b"\n"))


@dataclass
class Dump:
    """One dump: what pg_restore says of it, and the files that lie in it."""

    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    rows: dict[str, str] = field(default_factory=lambda: dict(ROWS))
    mail: dict[str, bytes] = field(default_factory=lambda: {"4242": MAIL})

    @property
    def files(self) -> dict[str, str | bytes]:
        ids = toc_of(self.texts["contents.txt"]).of(TABLE_DATA)
        found: dict[str, str | bytes] = {f"{ids[k]}.dat": rows + END for k, rows in self.rows.items() if k in ids}
        return {**found, **{f"blob_{oid}.dat": content for oid, content in self.mail.items()}, "toc.dat": "PGDMP"}

    def change(self, old: str, new: str, *names: str) -> None:
        for name in names or ("definitions.sql", "definitions_alone.sql"):
            assert old in self.texts[name], (old, name)
            self.texts[name] = self.texts[name].replace(old, new)


def once_more(text: str) -> str:
    """As another pg_dump prints it, of the same database on another server, with other numbers."""
    text = re.sub(
        r"^(\d+); (\d+) (\d+) ", lambda m: f"{int(m[1]) + 10}; {m[2]} {int(m[3]) and int(m[3]) + 7} ", text, flags=re.M
    )
    text = text.replace("17.12 (Debian 17.12-0+deb13u1)", "17.13").replace("08:26:32", "09:00:00")
    return re.sub(r"^\\(un)?restrict \w+$", r"\\\1restrict other", text, flags=re.M)


@dataclass
class Server:
    """The restored server, and PostgreSQL's programs beside it: as captured, until something is damaged."""

    top: Path
    again: Dump = field(default_factory=Dump)
    captured: Dump = field(default_factory=Dump)
    loaded: Dump | None = None  # the captured definitions, after a load
    facts: dict[str, Any] = field(default_factory=lambda: copy.deepcopy(FACTS))
    roles: str = TEXTS["roles.sql"]
    made: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)

    def path(self, host: Path) -> str:
        return f"/box{host}"

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None,
        what: str | None = None, watch: Path | None = None,
    ) -> Output:  # fmt: skip
        self.calls.append(Call(list(argv), stdin, dict(env or {}), what, watch))
        return Output(0, self.answer(list(argv), stdin, env or {}), NO_WORDS)

    def answer(self, argv: list[str], stdin: str | None, env: Mapping[str, str]) -> str:
        match argv[0]:
            case "pg_dump":
                return self.dumped(argv, env)
            case "pg_restore":
                return self.told(argv, stdin, env)
            case "psql" if "-c" in argv:
                self.made.append(f"{argv[argv.index('-d') + 1]}: {argv[-1]}")
                return ""
            case "psql":
                assert stdin and stdin.startswith(INVENTORY)
                facts = {key: told for key, told in self.facts.items() if key != "server_objects"}
                made = {  # of what initdb made, what it is asked for
                    extension: {name: digest for name, digest in told.items() if extension or f'"{name}"' in stdin}
                    for extension, told in self.facts["server_objects"].items()
                }
                return "\n".join(map(json.dumps, (facts, made)))
            case "pg_dumpall":
                assert "--roles-only" in argv
                return self.roles
            case _:
                return self.read(argv, stdin or "")

    def dumped(self, argv: list[str], env: Mapping[str, str]) -> str:
        to = Path(argv[argv.index("-f") + 1].removeprefix("/box"))
        assert os.stat(to).st_mode & 0o777 == 0o777 and not list(to.iterdir()), "the sandbox's user writes there"
        if "-s" in argv:
            assert to.name == "reference" and any(env["PGDATABASE"] in made for made in self.made)
        else:
            assert to.name == "again" and env["PGDATABASE"] == "crm"
            for name, content in self.again.files.items():
                (to / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return ""

    def told(self, argv: list[str], stdin: str | None, env: Mapping[str, str]) -> str:
        where = Path(argv[-1].removeprefix("/box"))
        assert argv[-1].startswith("/box/")
        if "--exit-on-error" in argv:
            assert where.name == "dump" and env["PGDATABASE"] == argv[argv.index("-d") + 1]
            assert self.made, "into a database of its own"
            return ""
        dump = {"dump": self.captured, "again": self.again, "reference": self.loaded}[where.name]
        assert dump is not None
        if "-l" in argv:
            return dump.texts["contents.txt"]
        assert argv[argv.index("-f") + 1] == "-"
        if "-s" in argv:
            return dump.texts["definitions.sql" if "-C" in argv else "definitions_alone.sql"]
        assert stdin and argv[argv.index("-L") + 1] == "/dev/stdin"
        assert all(line in dump.texts["contents.txt"].split("\n") for line in stdin.splitlines())
        assert ("SEQUENCE SET" in stdin) is not ("LARGE OBJECT" in stdin) and stdin.count("\n") in (1, 3)
        assert "BLOBS" not in stdin and "COMMENT public" not in stdin
        return dump.texts["sequences.sql" if "SEQUENCE SET" in stdin else "large_objects.sql"]

    def read(self, argv: list[str], entries: str) -> str:
        """What is read out of a dump in one file: the rows of one table, or the digests of large objects."""
        if len(argv) > 6:
            assert argv[4].endswith("/restored/dump") and entries.endswith("\n")
            (key,) = (
                k
                for k, n in toc_of(self.captured.texts["contents.txt"]).of(TABLE_DATA).items()
                if entries.startswith(f"{n}; ")
            )
            Path(argv[6].removeprefix("/box")).write_text(self.captured.rows[key] + END)
            return ""
        assert argv[4].endswith("/out/again") and " BLOBS - " in entries
        return "".join(f"{sha(content)}  -\nblob {oid}\n" for oid, content in self.again.mail.items())


def digest(root: Path, names: Sequence[str], *, lines: bool = False) -> dict[str, FileDigest]:
    found = {n: file_of((root / n).read_bytes()) for n in names}
    return found if lines else {n: FileDigest(d.bytes, d.sha256) for n, d in found.items()}


@dataclass
class Restored:
    server: Server
    contents: dict[str, Any]
    files: dict[str, FileDigest]
    env: dict[str, str] = field(default_factory=lambda: {"PGDATABASE": "crm", "PGOPTIONS": "-c a=b"})

    @property
    def top(self) -> Path:
        return self.server.top

    @property
    def again(self) -> Dump:
        return self.server.again

    def results(self, working: str | None = None) -> dict[str, CheckResult]:
        manifest = Manifest(
            "p", "crm", "r", "postgres", "dump", "h", NOW, 0.0, {}, self.contents, self.files, attested=SAID
        )
        restored, out = self.top / "restored", self.top / f"out{len(self.server.calls)}/out"
        out.mkdir(parents=True)
        context = CheckContext(
            manifest, self.top, restored, out, cast("Any", self.server), cast("Any", Sorting()), cast("Any", digest)
        )
        results = list(compare(context, self.env, 3, working=working))
        assert all(one.kind == "identical" and one.detail is None for one in results)
        return {one.name: one for one in results}

    def failed(self, working: str | None = None) -> dict[str, str]:
        results = self.results(working).values()
        assert all(one.status in (Verdict.PASS, Verdict.FAIL) for one in results)
        return {one.name: one.actual for one in results if one.status is Verdict.FAIL}

    def call(self, program: str, *options: str) -> Call:
        return [c for c in self.server.calls if c.argv[0] == program and {*options} <= {*c.argv}][-1]


ALL = {
    "table of contents and roles": ("4 as captured", "4, equal"),
    "tables": ("2 tables, 3 rows", "2 tables, 3 rows, equal by SHA-256"),
    "large objects": ("1 as captured", "1, equal"),
    LARGE: ("3 as captured", "3, equal"),
    "sequences": ("1 as captured", "1, equal"),
    OBJECTS: ("16 definitions", "16 definitions, equal"),
    "roles": ("11 statements", "11 statements, equal"),
    SETTINGS: ("15 as captured", "15, equal"),
    MADE: ("3 objects", "3 objects, equal"),
}


FILLED = (
    "\n\n--\n-- Name: daily; Type: MATERIALIZED VIEW DATA; Schema: public; Owner: postgres\n--\n\n"
    "REFRESH MATERIALIZED VIEW public.daily;\n"
)


def loaded_once(restored: Restored) -> Dump:
    """The captured definitions after a load: without rows, so that no view is filled."""
    found = restored.server.loaded = Dump({name: once_more(text) for name, text in TEXTS.items()})
    found.change(FILLED, "\n")
    return found


ODD, QUOTED = 'My "Crm"', '"My ""Crm"""'
NAMES = (
    ("-- Name: crm;", "-- Name: {raw};"), ("DATABASE crm", "DATABASE {quoted}"), ("\\connect crm", "\\connect {quoted}"),
)  # fmt: skip


def called(dump: Dump, raw: str, quoted: str) -> None:
    for old, new in NAMES:
        dump.change(old, new.format(raw=raw, quoted=quoted), "definitions.sql")


def place(text: str, asked: list[list[str]]) -> Any:
    """pg_restore beside a dump whose script, with -C, is `text`: it lists the parts, and prints those of a list."""
    head, *parts = re.split(r"\n(?=--\n-- Name: [^\n]*; Type: [^\n]*; Schema: [^\n]*; Owner: \w+\n--\n)", text)
    titles = [re.findall(r"Name: (.*); Type: (.*); Schema: (.*); Owner: (.*)", part)[0] for part in parts]
    listed = [f"{n}; 0 0 {kind} {schema} {name} {owner}" for n, (name, kind, schema, owner) in enumerate(titles)]

    class Place:
        def path(self, host: Path) -> str:
            return str(host)

        def run(self, argv: list[str], *, what: str, stdin: str = "") -> Output:
            asked.append(argv)
            assert what and "-C" in argv, "without it neither has the database's own"
            if "-l" in argv:
                return Output(0, "".join(f";\n{line}\n" for line in listed), NO_WORDS)
            wanted = [parts[listed.index(line)] for line in stdin.splitlines()] if "-L" in argv else parts
            return Output(0, "\n".join([head, *wanted]), NO_WORDS)

    return Place()
