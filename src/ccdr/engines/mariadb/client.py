"""How MariaDB's programs are called, what they are asked, and how they answer."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ccdr.model.errors import CommandFailed
from ccdr.ports.place import Place, Session

# The session's own: what the server sets for all must not change what we ask, or stop it half-way. The character set
# is said as well: a server may be told to ignore what its clients ask for.
OURS = (
    "SET SESSION sql_mode='', time_zone='+00:00', max_statement_time=0, sql_select_limit=DEFAULT, sql_big_selects=1,"
    " sql_quote_show_create=1; SET NAMES utf8mb4;\n"
)
_ESCAPE = re.compile(r"\\(.)")  # as the client writes what would end a value or a line
_ANSWERED = "ccdr: answered"
_VERSION = re.compile(r"(\d+\.\d+\.\d+)-MariaDB")


@dataclass(frozen=True)
class Login:
    """How a server is reached: the first arguments of every program. No secret is in them."""

    arguments: tuple[str, ...]

    def client(self, *options: str, database: str | None = None) -> list[str]:
        """`mariadb`, reading statements from its standard input. It takes no commands of its own from them (a dump is
        somebody else's text), and reads no files for the server. Comments are a part of what a routine's author wrote;
        a statement that failed is repeated to nobody, since it may hold rows or a password's hash."""
        argv = ["mariadb", *self.arguments, "--default-character-set=utf8mb4", "--local-infile=0", "--binary-mode"]
        argv += [
            "--comments",
            "--loose-skip-print-query-on-error",
        ]  # loose: older clients repeat none, and know no such
        argv += ["--connect-timeout=15", "--max-allowed-packet=1G", *options]
        return [*argv, f"--database={database}"] if database is not None else argv

    def asking(self) -> list[str]:
        """The client as `answers` and `ask` need it: a line for a row, as it is."""
        return self.client("--batch", "--skip-column-names", "--raw", "--unbuffered")

    def dump(self, *options: str) -> list[str]:
        return ["mariadb-dump", *self.arguments, "--default-character-set=utf8mb4", "--skip-dump-date", *options]


def foreign_characters(place: Place, login: Login) -> str:
    """Which character sets but utf8mb4 a session has that does not say its own, as mariadb-dump's does not: what it is
    told is the server's to choose. Empty where all is well."""
    sql = "SELECT @@character_set_client, @@character_set_results, @@character_set_connection;\n"
    told = place.run(login.asking(), stdin=sql, what="asking for a session's character set").stdout.split()
    return ", ".join(sorted({*told} - {"utf8mb4"}))


def answers(place: Place, login: Login, sql: str, what: str) -> list[Any]:
    """Each row's one column, which must be JSON."""
    output = place.run(login.asking(), stdin=f"{OURS}{sql}", what=what).stdout
    return read_answers(output)


def table(place: Place, login: Login, sql: str, what: str) -> list[dict[str, str]]:
    """Each row by the names of its columns."""
    names, *rows = _told(place, login.client("--batch"), sql, what) or [[]]  # there are none where there are no rows
    return [dict(zip(names, row, strict=True)) for row in rows]


def rows_of(place: Place, login: Login, sql: str, what: str) -> list[list[str]]:
    """Each row's columns, whatever is in them."""
    return _told(place, login.client("--batch", "--skip-column-names"), f"{OURS}{sql}", what)


def _told(place: Place, argv: list[str], sql: str, what: str) -> list[list[str]]:
    output = place.run(argv, stdin=sql, what=what).stdout
    return [[_ESCAPE.sub(_meant, value) for value in line.split("\t")] for line in output.split("\n") if line]


def _meant(escape: re.Match[str]) -> str:
    return {"t": "\t", "n": "\n", "0": "\0"}.get(escape[1], escape[1])


def lines(place: Place, login: Login, sql: str, what: str) -> list[str]:
    """Each row as text, its columns apart by tabs; only for what holds neither tab nor newline."""
    return place.run(login.asking(), stdin=f"{OURS}{sql}", what=what).stdout.split("\n")[:-1]


def ask(session: Session, sql: str, *, patience: float) -> str:
    """What an open session (of `asking`) answers. Each statement ends in a semicolon; `patience` is in seconds."""
    return session.ask(f"{sql}\nSELECT '{_ANSWERED}';\n", _ANSWERED, timeout=patience)


def read_answers(output: str) -> list[Any]:
    """CommandFailed where a line is not JSON."""
    try:
        return [json.loads(line) for line in output.split("\n") if line]
    except ValueError as error:
        raise CommandFailed(["mariadb"], 0, f"its answer is not as expected: {type(error).__name__}") from None


def text_of(path: Path) -> str:
    """A script as it is: a routine's author may have ended its lines as another system does."""
    return path.read_bytes().decode("utf-8", "surrogateescape")


def quote_text(text: str) -> str:
    """A string as SQL writes it, under the sql_mode of `OURS`."""
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"


def quote_name(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def unquoted(name: str) -> str:
    """What `quote_name` made; one that bears no backticks (PUBLIC) as it is."""
    return name[1:-1].replace("``", "`") if name.startswith("`") else name


def in_list(names: Sequence[str]) -> str:
    return ", ".join(map(quote_text, names))


def client_version(place: Place) -> str | None:
    """Of mariadb-dump in this place; None where there is none."""
    try:
        out = place.run(["mariadb-dump", "--version"], ok=(0, 126, 127))  # a container's word for one that is not there
    except CommandFailed:
        return None
    match = _VERSION.search(out.stdout) if out.code == 0 else None
    return match[1] if match else None
