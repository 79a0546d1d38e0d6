"""A restored MariaDB database and a second dump of it: the texts of a real one (`tests/unit/dumps/mariadb`)."""

from __future__ import annotations

import copy
import functools
import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, cast

from ccdr.engines.mariadb.client import Login
from ccdr.engines.mariadb.dump import files
from ccdr.engines.mariadb.dump.identity import compare
from ccdr.model.answers import NO_WORDS
from ccdr.model.values import CheckResult, FileDigest, Manifest, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Output
from tests.support.manifests import SAID
from tests.support.second_dump import Call, Sorting

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
LOGIN = Login(("--socket=/s",))
TEXTS = {
    name: (Path(__file__).parents[1] / "unit/dumps/mariadb" / name).read_text()
    for name in ("tables.sql", "code.sql", "views.sql")
}
STREAM = (Path(__file__).parents[1] / "unit/dumps/mariadb/rows.sql").read_text()
SETTINGS = {"sql_mode": "STRICT_TRANS_TABLES", "div_precision_increment": "4"}
OBJECTS: list[list[Any]] = [
    ["table", "call", "BASE TABLE", "InnoDB", "t", 16384, ""],
    ["table", "seat", "BASE TABLE", "InnoDB", "t", 16384, ""],
    ["table", "ticket", "SEQUENCE", "InnoDB", "t", 16384, ""],
    ["view", "answered", "root@localhost", "DEFINER", "NONE", "md5"],
    ["routine", "function", "f", "root@localhost", "t"],
    ["event", "tidy", "root@localhost", "t", "ENABLED"],
    ["trigger", "stamp", "root@localhost", "call", "BEFORE", "INSERT", 1, "t"],
]
NAMED = {
    "event tidy": "ENABLED", "function f": "", "sequence ticket": "",
    "trigger stamp": "BEFORE INSERT of call, number 1", "view answered": "DEFINER, check option NONE",
}  # fmt: skip
DEFINERS = dict.fromkeys(("event tidy", "function f", "trigger stamp", "view answered"), "root@localhost")
USERS = "CREATE ROLE `reader`;\nCREATE USER `app`@`10.%` IDENTIFIED BY PASSWORD '*B69027';\nGRANT SELECT ON `crm`.* TO `reader`;\n"
GRANTS = "GRANT UPDATE ON `crm`.`call` TO `app`@`10.%`;\n"


def blocks(stream: str) -> tuple[str, dict[str, str], str]:
    """A stream of rows: what it begins with, each table's part, what it ends with."""
    mark, end = "\n--\n-- Dumping data for table `", "/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE"
    head, *parts = stream.split(mark)
    parts[-1], _, tail = parts[-1].partition(end)
    return head, {part.partition("`")[0]: mark + part for part in parts}, end + tail


@dataclass
class Server:
    """The restored server, and the programs beside it: it answers what was captured, until something is damaged."""

    top: Path
    database: str = "crm"
    texts: dict[str, str] = field(default_factory=lambda: dict(TEXTS))
    rows: dict[str, str] = field(default_factory=lambda: blocks(STREAM)[1])
    objects: list[list[Any]] = field(default_factory=lambda: copy.deepcopy(OBJECTS))
    settings: dict[str, str] = field(default_factory=lambda: {"version": "11.8.9", **SETTINGS})
    of_database: list[str] = field(default_factory=lambda: ["utf8mb4", "utf8mb4_unicode_ci", "the centre"])
    rules: list[list[str]] = field(default_factory=lambda: [["call", "CONSTRAINT_1", "`cost` >= 0"]])
    broken: int = 0
    users: list[list[str]] = field(default_factory=lambda: [["reader", "", "Y"], ["app", "10.%", "N"]])
    accounts: dict[str, str] = field(default_factory=lambda: {"create": USERS, "grants": GRANTS})
    calls: list[Call] = field(default_factory=list)

    def path(self, host: Path) -> str:
        return str(host).replace(f"{self.top}/out", f"{self.top}/inside")

    def run(
        self, argv: Sequence[str], *, stdin: str | None = None, env: Mapping[str, str] | None = None,
        what: str | None = None, watch: Path | None = None, ok: Sequence[int] = (0,),
    ) -> Output:  # fmt: skip
        self.calls.append(Call(list(argv), stdin or "", dict(env or {}), what, watch))
        return Output(0, self.answer(list(argv), stdin or "", env or {}), NO_WORDS)

    def answer(self, argv: list[str], sql: str, env: Mapping[str, str]) -> str:
        if argv[0] == "bash":
            return self.rows_of(argv, env)
        if argv[0] == "mariadb-dump":
            return self.definitions(argv)
        if "SHOW CREATE USER" in sql:
            return "".join(f"{s}\n" for s in self.accounts["create"].split(";\n") if s.startswith("CREATE USER"))
        if "SHOW GRANTS" in sql:
            both = self.accounts["create"] + self.accounts["grants"]
            return "".join(f"{s}\n" for s in both.split(";\n") if s.startswith("GRANT"))
        return "".join(f"{json.dumps(row)}\n" for row in self.asked(sql))

    def asked(self, sql: str) -> Sequence[list[Any]]:
        if "mysql.user" in sql:
            return self.users
        if "check_constraints" in sql:
            assert f"'{self.database}'" in sql
            return self.rules
        if "SUM(NOT" in sql:
            return [[table, self.broken] for table, *_ in self.rules]
        if "global_variables" in sql:
            assert f"'{self.database}'" in sql
            return [
                *(["setting", name, value] for name, value in self.settings.items()),
                ["database", *self.of_database], ["bytes", 0, 0], ["utc offset", 0], ["zones", 0, 0], ["installed", "t"],
            ]  # fmt: skip
        assert f"'{self.database}'" in sql and "mysql.proc" in sql
        return self.objects

    def rows_of(self, argv: list[str], env: Mapping[str, str]) -> str:
        """The real program that parts the stream, with the stream of those tables that are asked for."""
        at = argv.index("mariadb-dump")
        assert argv[at + 1] == "--socket=/s" and "--single-transaction" in argv and "--lock-tables" not in argv
        database, *tables = argv[argv.index("--") + 1 :]
        assert database == self.database
        head, _, tail = blocks(STREAM)
        stream = head + "".join(self.rows[t] for t in tables if t in self.rows) + tail
        called = [*argv[:at], "printf", "%s", stream]
        assert os.stat(env["MAP"]).st_mode & 0o777 == 0o644, "the sandbox's user reads it, and nobody else writes"
        return subprocess.run(called, env={**os.environ, **env}, check=True, capture_output=True, text=True).stdout

    def definitions(self, argv: list[str]) -> str:
        to = Path(next(a for a in argv if a.startswith("--result-file=")).partition("=")[2])
        database, *views = argv[argv.index("--") + 1 :]
        assert database == self.database and to.parent.name == "again" and "inside" in to.parts
        assert os.stat(to.parent).st_mode & 0o777 == 0o777, "the sandbox's user writes there"
        assert os.stat(to.parent / "rows").st_mode & 0o777 == 0o777
        assert views == (["answered"] if to.name == files.VIEWS else [])
        assert (f"--ignore-table={database}.answered" in argv) is (to.name != files.VIEWS and "answered" in self.views)
        assert ("--routines" in argv) is (to.name == files.CODE)
        to.write_text(self.texts[to.name])
        return ""

    @property
    def views(self) -> list[str]:
        return [row[1] for row in self.objects if row[0] == "view"]


@functools.cache
def captured_rows() -> dict[str, str]:
    """Each table's file as the stream is parted at the capture, by its form that the documents of `files` promise."""
    head, parts, _ = blocks(STREAM)
    kept = "".join(f"{line}\n" for line in head.split("\n") if line and not line.startswith(("--", "/*M!999999")))
    found = {}
    for table, part in parts.items():
        body = [line for line in part.split("\n") if line and not line.startswith("--")]
        found[table] = (
            f"-- Dumping data for table `{table}`\n{kept}" + "".join(f"{b}\n" for b in body) + "-- Dump completed\n"
        )
    return found


@dataclass
class Restored:
    server: Server
    contents: dict[str, Any]
    files: dict[str, FileDigest]

    @property
    def top(self) -> Path:
        return self.server.top

    def results(self, working: str | None = None, jobs: int = 2) -> dict[str, CheckResult]:
        manifest = Manifest(
            "p", "crm", "r", "mariadb", "dump", "h", NOW, 0.0, {}, self.contents, self.files, attested=SAID
        )
        restored, out = self.top / "restored", self.top / "out"
        host = Sorting()
        context = CheckContext(
            manifest, self.top, restored, out, cast("Any", self.server), cast("Any", host), cast("Any", digest)
        )
        results = list(compare(context, LOGIN, jobs, working=working))
        assert all(one.kind == "identical" and one.detail is None for one in results)
        return {one.name: one for one in results}

    def file(self, name: str, text: str) -> None:
        """A captured file says otherwise, and the manifest with it."""
        (self.top / "restored" / name).write_text(text)
        self.files[name] = FileDigest(0, sha256(text.encode()).hexdigest())


def digest(root: Path, names: Sequence[str]) -> dict[str, FileDigest]:
    return {n: FileDigest(0, sha256((root / n).read_bytes()).hexdigest()) for n in names}


def failed(results: Mapping[str, CheckResult]) -> dict[str, str]:
    assert all(one.status in (Verdict.PASS, Verdict.FAIL) for one in results.values())
    return {name: one.actual for name, one in results.items() if one.status is Verdict.FAIL}


KINDS = "triggers, routines, events, views, sequences"
ALL = {
    "definitions and users, as captured": ("6 as captured", "6, equal"),
    "tables": ("2 tables, 5 rows", "2 tables, 5 rows, equal by SHA-256"),
    "definitions": ("11 parts of tables.sql, code.sql, views.sql", "11 parts, equal"),
    "auto-increments": ("1 as captured, or further", "1, none set back"),
    KINDS: ("5 as captured", "5, equal"),
    "definers": ("4 as captured", "4, equal"),
    "the database itself": ("3 as captured", "3, equal"),
    "users and grants": ("4 statements", "4 statements, equal"),
    "server settings": ("2 as captured", "2, equal"),
}
