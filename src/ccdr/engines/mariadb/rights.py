"""What the client's user may do at the source. A dump leaves out, without a word, the triggers and routines that its
user may not see: so this is asked before every capture, and not by `ccdr doctor` alone."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from ccdr.engines.mariadb.client import Login, lines, quote_name, quote_text
from ccdr.model.errors import BackupFailed
from ccdr.model.values import Probe
from ccdr.ports.place import Place

# Of the server: the read lock, what InnoDB says of its tables and who is in the lock's way, the log's position, and
# whether the server is a replica.
OF_SERVER = ("RELOAD", "PROCESS", "BINLOG MONITOR", "SLAVE MONITOR")
# Of the database. A view may call routines, and tells its columns only to who may execute them.
OF_DATABASE = ("SELECT", "LOCK TABLES", "SHOW VIEW", "TRIGGER", "EVENT", "EXECUTE")
# Of the database that the canary is kept in, where a plan asks for one.
OF_CANARY = ("CREATE", "INSERT", "UPDATE")
# Where users, grants and routines are kept.
OF_MYSQL = ("SELECT",)
_WRITING = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "INDEX", "REFERENCES", "CREATE ROUTINE")
_EVERYTHING = "ALL PRIVILEGES"
_NOT_THERE = "there is no database {} at the server"
_RIGHT_ONE = "name the one that matters in `connection:`, as SHOW DATABASES writes it"
_GRANT = re.compile(r"GRANT (?P<rights>.*?) ON (?P<on>\*|`(?:[^`]|``)*`)\.(?P<what>\*|`(?:[^`]|``)*`) TO ")
# Servers name some of them otherwise, and older ones had one where newer ones have several.
_ALSO = {
    "REPLICATION CLIENT": ("BINLOG MONITOR", "SLAVE MONITOR"),
    "REPLICA MONITOR": ("SLAVE MONITOR",),
    "SUPER": ("BINLOG MONITOR", "SLAVE MONITOR"),
}


@dataclass(frozen=True)
class Rights:
    """By what they are of: the server, the captured database, the database `mysql`."""

    server: frozenset[str]
    database: frozenset[str]
    mysql: frozenset[str]
    canary: frozenset[str] = frozenset()  # of the database that it is kept in
    there: bool = True  # is the captured database?

    @property
    def lacking(self) -> list[tuple[str, str]]:
        """What a capture needs and the user has not: (rights, what they are of), as GRANT writes them."""
        lacking = []
        for needed, has, on in (
            (OF_SERVER, self.server, "*.*"),
            (OF_DATABASE, self.database | self.server, "{database}.*"),
            (OF_MYSQL, self.mysql | self.server, "mysql.*"),
        ):
            missing = [right for right in needed if right not in has and _EVERYTHING not in has]
            if missing:
                lacking.append((", ".join(missing), on))
        return lacking

    @property
    def writing(self) -> list[str]:
        has = self.server | self.database
        return [r for r in _WRITING if r in has]

    @property
    def keeps_canary(self) -> bool:
        return self.everything or self.canary | self.server >= set(OF_CANARY)

    @property
    def everything(self) -> bool:
        return _EVERYTHING in self.server


def rights_of(place: Place, login: Login, database: str) -> Rights:
    """Of the user that `login` names, with those of its role and of everybody. A database is there by the name that the
    server prints it by, which may fold names."""
    there = f"SELECT 1 FROM information_schema.schemata WHERE BINARY schema_name = {quote_text(database)};\n"
    answered = lines(place, login, f"SHOW GRANTS;\n{there}", "asking for the user's rights")
    return replace(read_rights(answered, database), there="1" in answered)


def read_rights(grants: Iterable[str], database: str) -> Rights:
    server: set[str] = set()
    own: set[str] = set()
    mysql: set[str] = set()
    canary: set[str] = set()
    for line in grants:
        grant = _GRANT.match(line)
        if grant is None or grant["what"] != "*":
            continue
        rights = {right.strip() for right in grant["rights"].split(",")}
        rights |= {also for right in rights for also in _ALSO.get(right, ())}
        if grant["on"] == "*":
            server |= rights
            continue
        pattern = grant["on"][1:-1].replace("``", "`")
        own |= rights if is_like(pattern, database) else set()
        mysql |= rights if is_like(pattern, "mysql") else set()
        canary |= rights if is_like(pattern, "ccdr") else set()
    return Rights(frozenset(server), frozenset(own), frozenset(mysql), frozenset(canary))


def require(rights: Rights, user: str, database: str) -> None:
    """BackupFailed where a dump would leave something out."""
    if lacking := rights.lacking:
        what = "; ".join(f"{names} on {on.format(database=quote_name(database))}" for names, on in lacking)
        raise BackupFailed(f"{user} lacks the right {what}", hint=_grants(lacking, database))
    if not rights.there:
        raise BackupFailed(_NOT_THERE.format(database), hint=_RIGHT_ONE)


def canary_grant(user: str) -> str:
    return f"GRANT {', '.join(OF_CANARY)} ON ccdr.* TO {user}@…;"


def judged(rights: Rights, user: str, database: str, *, canary: bool = False) -> Iterator[Probe]:
    if lacking := rights.lacking:
        what = "; ".join(f"{names} on {on.format(database=quote_name(database))}" for names, on in lacking)
        problem = f"{user} lacks {what}: a dump would leave out what it may not see"
        yield Probe.fail("rights to read", problem, _grants(lacking, database))
    elif not rights.there:
        yield Probe.fail("database", _NOT_THERE.format(database), _RIGHT_ONE)
    else:
        yield Probe.ok("rights to read", f"{user} may read all of {database}, its users and its log's position")
    if canary and not rights.keeps_canary:
        problem = f"{user} may not keep the canary of `log_shipping:` in the database ccdr: no log is shipped"
        yield Probe.fail("canary", problem, f"{canary_grant(user)} or leave `canary:` out")
    elif canary:
        yield Probe.ok("canary", f"{user} may keep it in the database ccdr")
    what = "rights to write"
    if rights.everything:
        yield Probe.warn(
            what,
            f"{user} may do everything on this server, and so may anybody who has its password",
            "back up as a user that only reads: docs/reference/mariadb.md has the statements",
        )
    elif writing := rights.writing:
        yield Probe.warn(
            what,
            f"{user} may {', '.join(writing[:3])} and a backup only reads",
            f"REVOKE {', '.join(writing)} … FROM {user}, or name another user in `connection:`",
        )
    elif rights.canary & {*_WRITING}:
        yield Probe.ok(what, f"{user} may change nothing but the canary (the database ccdr)")
    else:
        yield Probe.ok(what, f"{user} may change nothing")


def _grants(lacking: list[tuple[str, str]], database: str) -> str:
    on = quote_name(database)
    return "as an administrator: " + " ".join(f"GRANT {r} ON {o.format(database=on)} TO …;" for r, o in lacking)


def as_pattern(database: str) -> str:
    """This database alone, where a grant has a pattern."""
    return quote_name(re.sub(r"([\\_%])", r"\\\1", database))


def is_like(pattern: str, name: str) -> bool:
    """A database's name in a grant is a pattern, as LIKE has them."""
    parts = re.findall(r"\\.|.", pattern, re.DOTALL)
    regex = "".join(".*" if p == "%" else "." if p == "_" else re.escape(p[-1]) for p in parts)
    return re.fullmatch(regex, name, re.DOTALL) is not None
