"""Do the source's own rows keep its foreign keys? Rows that were written past them (`session_replication_role`, a
subscription's worker, a constraint marked valid by hand) are dumped as they are, and a load refuses them.

Looked at beside the dump, in its snapshot, small tables first, for as long as the dump takes and a little longer: what
is then left is not looked at, and a restore test tells.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from dataclasses import dataclass, field
from typing import Any

from ccdr.engines.postgres.connection import told
from ccdr.host.interrupts import threads
from ccdr.model.answers import at, names_in
from ccdr.model.errors import BackupBad, CommandFailed
from ccdr.model.finding import Finding
from ccdr.model.values import so_many
from ccdr.ports.place import Session

GRACE = 5.0  # seconds beyond the dump's end
AGAIN = 0.5  # seconds until a question that does not end is cancelled once more: it may just have begun
PATIENCE = 7 * 86400.0  # seconds: the dump's end is what ends a question
REFUSED = 20  # questions that the server refuses, until no more are asked
MOST = 1000  # rows that are counted
OPTIONS = "-c search_path=pg_catalog -c row_security=off -c quote_all_identifiers=off"
# As PostgreSQL itself asks when a constraint is validated. Operators of somebody's own are not called: they would run
# with what our role may do. Nor are keys of kinds that newer versions have: over periods, and not enforced.
KEYS = f"""\
select coalesce(jsonb_agg(jsonb_build_array(
    format('%s of %s', conname, conrelid::regclass),
    format('select count(*) from (select from %s %s c where (%s)
        and not exists (select from %s %s p where %s) limit %s) x',
      case f.relkind when 'r' then 'only' end, conrelid::regclass, there,
      case r.relkind when 'r' then 'only' end, confrelid::regclass, equal, {MOST}))
  order by pg_table_size(conrelid) + pg_table_size(confrelid), conname), '[]')
from pg_constraint c join pg_class f on f.oid = conrelid join pg_class r on r.oid = confrelid,
lateral (
  select string_agg(format('p.%I operator(pg_catalog.%s) c.%I', pa.attname, o.oprname, fa.attname), ' and ') as equal,
    string_agg(format('c.%I is not null', fa.attname),
               case confmatchtype when 'f' then ' or ' else ' and ' end) as there,
    bool_and(o.oid < 16384) as known
  from unnest(confkey, conkey, conpfeqop) k (pk, fk, op)
  join pg_attribute pa on pa.attrelid = confrelid and pa.attnum = k.pk
  join pg_attribute fa on fa.attrelid = conrelid and fa.attnum = k.fk join pg_operator o on o.oid = k.op) k
where contype = 'f' and convalidated and conparentid = 0 and known
  and not coalesce((to_jsonb(c) ->> 'conperiod')::boolean, false)
  and coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
"""
# What a load says of rows that keep no rule. A trigger's own message may say the same: of what is quoted in it only
# names are shown that the manifest lists.
_RULE = re.compile(
    r'violates (?P<kind>foreign key|check|unique|exclusion) constraint "(?P<name>(?:[^"]|"")+)"'
    r'|could not create (?P<index>unique) index "(?P<of>(?:[^"]|"")+)"'
)


@dataclass
class Broken:
    """How many rows break each foreign key of the source, by `KEY of TABLE`; MOST is that many or more."""

    rows: dict[str, int] = field(default_factory=dict)

    def findings(self) -> Iterator[Finding]:
        for name, count in sorted(self.rows.items()):
            text = (
                f"the source itself holds {_so_many(count)} against the foreign key {name}: until that is mended"
                " there, no backup of it can be loaded"
            )
            yield Finding(text, f"against the foreign key {name}", (float(count),))


def _so_many(count: int) -> str:
    return so_many(count, "row") if count < MOST else f"{count} rows or more"


@contextlib.contextmanager
def looked_at(session: Session, snapshot: str, cancel: Callable[[int], object]) -> Iterator[Broken]:
    """Look while the block is carried out; what is found stands once it is left. `cancel` ends what a session of this
    process number is asked."""
    broken, over = Broken(), threading.Event()
    with threads(1) as pool:
        begin = f"begin transaction isolation level repeatable read read only;\nset transaction snapshot '{snapshot}';"
        # A question that is refused ends no transaction: by savepoints, which must come after the snapshot.
        pid = int(_ask(session, f"select pg_backend_pid();\n{begin}\n\\set ON_ERROR_ROLLBACK on\n"))
        doing: Future[None] = pool.submit(_look, session, broken, over)
        try:
            yield broken
            with contextlib.suppress(NotYet):
                doing.result(GRACE)
        finally:
            over.set()
            with contextlib.suppress(CommandFailed):  # then it ends with its session
                _end(doing, lambda: cancel(pid))


def _look(session: Session, broken: Broken, over: threading.Event) -> None:
    refused = 0
    with contextlib.suppress(CommandFailed, ValueError, OSError):  # a session that is gone, or was closed
        for name, sql in json.loads(_ask(session, KEYS)):
            if over.is_set() or refused > REFUSED:
                return
            answer = _ask(session, sql).strip()
            if answer.isdigit() and int(answer):
                broken.rows[name] = int(answer)
            refused += not answer


def _end(doing: Future[None], cancel: Callable[[], object]) -> None:
    while not doing.done():
        cancel()
        with contextlib.suppress(NotYet):
            doing.result(AGAIN)


def _ask(session: Session, sql: str) -> str:
    return told(session, f"{sql};", patience=PATIENCE)


# What was being built as a function of the schema's own raised an exception, as pg_restore tells it.
_BUILT = re.compile(r"^CONTEXT:  [^\n]*function .*^Command was: CREATE (?:UNIQUE )?INDEX ", re.MULTILINE | re.DOTALL)
# Of the table of contents, without schema, arguments and owner.
_NAMED = re.compile(r"^\d+; \d+ \d+ (?:INDEX|FUNCTION) \S+ ([^(\n]+?)(?:\(.*\))? \S+$", re.MULTILINE)


def raised(error: CommandFailed, listing: str) -> BackupBad | None:
    """An index's own function raised an exception. `listing` is the captured `toc.list`: its names alone are told."""
    if error.stderr.search(_BUILT) is None:
        return None
    return BackupBad(
        f"the backup does not load: a function of the source's own raises an exception when an index is built"
        f"{at(error.stderr, _NAMED.findall(listing))}",
        hint="no other server can build that index, and nor can the source (REINDEX shows it): mend the function "
        "there, or drop the index, and back up again",
    )


def to_blame(error: CommandFailed, contents: Mapping[str, Any]) -> BackupBad | None:
    """What a load ended with, where rows of the backup break a rule that it has too; and who holds them, if known."""
    stderr = error.stderr.errors  # what follows may quote a row, and a row may read like a rule
    rule = stderr.search(_RULE)
    if rule is None:
        return None
    kind, name = rule["kind"] or rule["index"], rule["name"] or rule["of"]
    held = contents["broken_keys"]
    of_source = sorted(key for key in held if key.startswith(f"{name} of "))
    if kind == "foreign key" and of_source:
        many = " and ".join(f"{_so_many(int(held[key]))} against the foreign key {key}" for key in of_source)
        return BackupBad(
            f"the backup does not load: the source itself held {many}",
            hint="mend those rows at the source and back up again; the files of this snapshot can be loaded by hand"
            " (`ccdr restore --to DIRECTORY`, pg_restore without --exit-on-error), all but that constraint",
        )
    return BackupBad(
        f"the backup does not load: rows in it break a{'n' * (kind == 'exclusion')} {kind} constraint"
        f"{at(stderr, names_in(contents))}",
        hint="see whether the source holds them, or the constraint depends on something that is loaded later; "
        "restore an older snapshot meanwhile",
    )
