"""What checks ask of a restored database, wherever it stands: `env` is how its server is reached. For a negative
control one row or one table of it is damaged.
"""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from random import Random

from ccdr.engines.postgres.connection import CONNECTABLE, PSQL, STRICT, answer
from ccdr.engines.postgres.inventory import ALL_TABLES, Inventory, conninfo
from ccdr.model.answers import lacking
from ccdr.model.damage import Damage, NothingToDamage
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
    argv = [*STRICT, "-v", "VERBOSITY=verbose", "-o", box.path(to)]
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
    argv = ["sh", "-c", _OF_EACH, "ask", sql, *STRICT]
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
        answer(context.sandbox, env, "drop extension if exists amcheck")
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


# Damages a database that was restored into a sandbox, for a negative control: one row, or one table.

MOST_ROWS = 100_000  # among which one is chosen
# What makes another value of one, by the type's category; the second where the first does not fit.
_OTHERWISE = {
    "S": ("{c} || '!'", "left({c}, -1)"),
    "N": ("{c} + 1", "{c} - 1"),
    "D": ("{c} + interval '1 day 1 second'",),
    "B": ("not {c}",),
}
_COLUMNS = """\
select format('%I', attname), typcategory from pg_attribute a join pg_type t on t.oid = atttypid
where attrelid = '{table}'::regclass and attnum > 0 and not attisdropped and attgenerated = '' order by attnum"""
# Neither triggers nor keys to other tables are asked: it is damage, and no use.
_FREELY = "set session_replication_role = replica;\n"


def damage(box: Place, env: Mapping[str, str], kind: Damage, chance: Random) -> str:
    """The table that it was done to. Each statement says itself whether it has changed a row."""
    for table in _tables(box, env, chance):
        if kind is Damage.TABLE_DROPPED:
            _write(box, env, f"drop table {table} cascade")
            return table
        ((counted,),) = rows(box, env, f"select count(*) from (select from only {table} limit {MOST_ROWS}) x")
        count = int(str(counted))
        for statement in _statements(box, env, kind, table, count, chance) if count else ():
            if _changes(box, env, statement):
                return table
    raise NothingToDamage("no table of the database has a row that could be damaged so")


def _tables(box: Place, env: Mapping[str, str], chance: Random) -> list[str]:
    """Those whose rows a dump holds, quoted."""
    found = json.loads(str(rows(box, env, ALL_TABLES.strip().removesuffix(";"))[0][0]))
    tables = sorted(str(of[2]) for of in found.values())
    chance.shuffle(tables)
    return tables


def _statements(
    box: Place, env: Mapping[str, str], kind: Damage, table: str, count: int, chance: Random
) -> Iterator[str]:
    at = chance.randrange(count)
    if kind is Damage.ROW_REMOVED:
        yield f"delete from only {table} where ctid = (select ctid from only {table} offset {at} limit 1) returning 1"
        return
    columns = rows(box, env, _COLUMNS.format(table=table.replace("'", "''")))
    chance.shuffle(columns)
    for name, category in columns:
        for other in _OTHERWISE.get(str(category), ()):
            new = other.format(c=name)
            some = f"from only {table} where {name} is not null and ({new}) is distinct from {name}"
            place = f"offset (select {at} % greatest(1, count(*)) from (select {some} limit {MOST_ROWS}) x)"
            one = f"select ctid as ccdr_at, {name} as ccdr_was {some} {place} limit 1"
            changed = f"(t.{name} is distinct from x.ccdr_was)::int"  # a trigger that always fires may set it back
            set_ = f"set {name} = {other.format(c=f't.{name}')}"
            yield f"update only {table} t {set_} from ({one}) x where t.ctid = x.ccdr_at returning {changed}"


def _changes(box: Place, env: Mapping[str, str], statement: str) -> bool:
    """A value that the column does not take, or that another row has, changes nothing."""
    try:
        return _write(box, env, statement).strip() == "1"
    except CommandFailed as error:
        if error.stalled:
            raise
        return False


def _write(box: Place, env: Mapping[str, str], statement: str) -> str:
    return box.run(STRICT, env=env, stdin=f"{_FREELY}{statement};\n", what="damaging the copy").stdout
