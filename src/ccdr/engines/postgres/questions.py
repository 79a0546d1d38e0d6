"""What checks ask of a restored database, wherever it stands: `env` is how its server is reached."""

from __future__ import annotations

import csv
import io
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from ccdr.engines.postgres.connection import CONNECTABLE, PSQL
from ccdr.engines.postgres.inventory import Inventory, conninfo
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import CheckResult, Verdict
from ccdr.ports.check import CheckContext
from ccdr.ports.place import Place, Pulse

# What a database or role may have set, and we could not read: a zone as an abbreviation that others have too. The order
# of day and month stays the database's: its queries are written in it.
READABLE = "set datestyle = iso; set bytea_output = hex; set extra_float_digits = 1"
NULL = "\x02NULL\x02"  # how psql is told to print SQL's NULL
# What an image or a server lacks is not the backup's fault.
LACKS = re.compile(
    r'extension "[^"]+" is not available|could not open extension control file[^\n]*|could not access file[^\n]*|'
    r'invalid (?:LC_COLLATE |LC_CTYPE )?locale name[^\n]*|collation "[^"]+" for encoding[^\n]*|'
    r"could not create locale[^\n]*|database locale is incompatible[^\n]*|"
    r"unsupported version[^\n]*in file header|unrecognized configuration parameter[^\n]*|"
    # Its own files: word lists of text search; what a setting names, such as abbreviations of time zones; libraries.
    r'could not open [^"\n]{1,20} file "[^"\n]*/tsearch_data/[^\n]*|invalid value for parameter "[^\n]*|'
    r'could not find function "[^"\n]*" in file "[^\n]*|could not load library "[^\n]*|'
    r"could not open collator for [^\n]*"
)


def lacks(extensions: Iterable[str]) -> re.Pattern[str]:
    """LACKS for a backup that has these: a server also says of a language without one that its extension is missing,
    and no server has that."""
    ours = "|".join(map(re.escape, extensions))
    return re.compile(rf'(?!extension "(?!(?:{ours})" ))(?:{LACKS.pattern})')


def rows(
    box: Place, env: Mapping[str, str], sql: str, pulse: Pulse | None = None, *, first: str = ""
) -> list[list[str | None]]:
    """As `Restored.query`, after the statements `first`."""
    # The encoding is what we read: a database may have one of its own set for whoever asks.
    env = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} -c default_transaction_read_only=on", "PGCLIENTENCODING": "UTF8"}
    argv = [*PSQL, "--csv", "-P", f"null={NULL}", "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose"]
    output = box.run(argv, env=env, stdin=_asked(sql, first), what="the query", pulse=pulse).stdout
    csv.field_size_limit(sys.maxsize)  # a value may be as long as the server lets it be
    records = csv.reader(io.StringIO(output, newline=""))
    # csv gives no field for an empty line, which is one empty text
    return [[None if value == NULL else value for value in row or [""]] for row in records]


def export(box: Place, env: Mapping[str, str], encoding: str, sql: str, to: Path) -> None:
    """As `Engine.export`. `encoding` is the database's: one that is none is given its bytes back as they are."""
    env = {
        **env,
        "PGOPTIONS": f"{env['PGOPTIONS']} -c default_transaction_read_only=on",
        "PGCLIENTENCODING": "SQL_ASCII" if encoding == "SQL_ASCII" else "UTF8",
    }
    # A line of its own for what ends it: the query's last line may be a comment.
    copy = f"copy (\n{sql.rstrip().rstrip(';')}\n) to stdout"
    argv = [*PSQL, "-v", "ON_ERROR_STOP=1", "-v", "VERBOSITY=verbose", "-o", box.path(to)]
    box.run(argv, env=env, stdin=_asked(copy, READABLE), what="the query", watch=to.parent)


def _asked(sql: str, first: str) -> str:
    """What psql is given, after the statements `first`. On standard input: arguments are for everybody on the host to
    read. And as a value, which goes to the server as it is: psql would carry out what looks like a command of its
    own."""
    value = b64encode(sql.encode("utf-8", "surrogateescape")).decode()
    return f"{first};\nselect convert_from(decode('{value}', 'base64'), 'UTF8') \\gexec\n"


# Of every database in one call: each that Docker is asked for takes longer than the question.
_OF_EACH = f"""set -e
sql=$1
shift
names=$("$@" -c "select datname from pg_database where {CONNECTABLE} order by 1")
printf '%s\\n' "$names" | while IFS= read -r name; do PGDATABASE=$name "$@" -c "$sql"; done
"""


def of_each(box: Place, env: Mapping[str, str], sql: str) -> list[str]:
    """The lines that all of the restored server's databases answer."""
    argv = ["sh", "-c", _OF_EACH, "ask", sql, *PSQL, "-v", "ON_ERROR_STOP=1"]
    return box.run(argv, env=env, what="asking the restored server").stdout.split("\n")[:-1]


def newest(box: Place, env: Mapping[str, str], query: str, pulse: Pulse | None = None) -> float | None:
    """As `Restored.newest`."""
    answer = rows(box, env, query, pulse, first=READABLE)
    if len(answer) > 1 or (answer and len(answer[0]) != 1):
        raise CommandFailed(["query"], 1, f"{len(answer)} rows of {len(answer[0])} columns, expected one timestamp")
    if not answer or answer[0][0] is None:
        return None
    # A timestamp without a zone is read in the source's: the sandbox was given the same `timezone`.
    value = answer[0][0].replace("'", "''")
    epoch = rows(box, env, f"select extract(epoch from '{value}'::timestamptz)", first=READABLE)[0][0]
    return float(epoch) if epoch is not None else None


def integrity(
    context: CheckContext, env: Mapping[str, str], jobs: int, pulse: Pulse | None = None
) -> Iterator[CheckResult]:
    """`pg_amcheck` over every table and index. After a logical restore it proves that what was loaded is
    readable throughout and that indexes agree with their tables, where it was loaded."""
    had = "amcheck" in Inventory(context.manifest.contents).extensions
    findings = amcheck(context, env, [f"-j{jobs}", conninfo(env["PGDATABASE"])], pulse)
    if not had:
        context.sandbox.run([*PSQL, "-c", "drop extension if exists amcheck"], env=env)
    yield amcheck_result("pg_amcheck --heapallindexed", findings)


def amcheck(
    context: CheckContext, env: Mapping[str, str], args: Sequence[str], pulse: Pulse | None = None
) -> list[str]:
    """What `pg_amcheck --heapallindexed` finds, line by line; nothing where there is no corruption."""
    argv = ["pg_amcheck", "-w", "--heapallindexed", "--install-missing", *args]
    try:
        out = context.sandbox.run(argv, env=env, ok=(0, 2), what="pg_amcheck", pulse=pulse)
    except CommandFailed as error:
        if error.stderr.search(LACKS):
            hint = "name an image that has PostgreSQL's contrib modules"
            what = f"{error.the_image} cannot check integrity by amcheck: {lacking(error.stderr)}"
            raise TestBroken(what, hint=hint) from None
        raise
    lines = [line for line in (out.stdout + out.stderr.reveal()).split("\n") if line.strip()]
    return (lines or [f"exit {out.code}"]) if out.code else []


def amcheck_result(name: str, findings: Sequence[str], note: str = "") -> CheckResult:
    return CheckResult(
        kind="integrity",
        name=name,
        status=Verdict.FAIL if findings else Verdict.PASS,
        expected="no corruption",
        actual=(f"{len(findings)} lines of findings" if findings else "no corruption") + note,
        detail="\n".join(findings[:20]) or None,
    )
