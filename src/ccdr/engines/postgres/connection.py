"""How a server is reached, by plans and by a restore's `--to`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from ccdr.engines.servers.connection import SYSTEM_CAS, ServerConnection
from ccdr.model.schema import Text
from ccdr.ports.place import Place, Session

# Its standard options: no start-up file, no question, no heading. With the next ones an error ends a script.
PSQL = ("psql", "-X", "-w", "-q", "-A", "-t")
STRICT = (*PSQL, "-v", "ON_ERROR_STOP=1")
# What a role or database may have set does not hold for our own commands. Where array_nulls is off, a NULL in a dumped
# array would be loaded as a word; where standard_conforming_strings is, a backslash in our SQL would be an escape.
OWN_OPTIONS = (
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 -c idle_session_timeout=0 "
    "-c default_transaction_read_only=off -c role=none -c array_nulls=on "
    "-c standard_conforming_strings=on"
)
# Of pg_database: whether anybody may connect. An interrupted DROP DATABASE leaves one with that limit, to nobody's use.
CONNECTABLE = "(datallowconn and datconnlimit <> -2)"
# What a role or a database may set, and what would then tell two equal databases apart.
DUMP_OPTIONS = "-c TimeZone=UTC -c bytea_output=hex -c quote_all_identifiers=off"


def answer(place: Place, env: Mapping[str, str], sql: str, what: str | None = None) -> str:
    """What psql prints of one statement; CommandFailed for an error."""
    return place.run([*STRICT, "-c", sql], env=env, what=what).stdout


def told(session: Session, sql: str, *, patience: float) -> str:
    """What an open psql prints of this SQL; `patience` is in seconds."""
    return session.ask(f"{sql}\n\\echo answered\n", "answered", timeout=patience)


def newer_options(version: str) -> str:
    """The rest of them, for a server of this version: one that does not know an option refuses the session. To compile
    a query takes longer than what we ask, of catalogues that the planner takes to be large."""
    known = {11: " -c jit=off", 17: " -c transaction_timeout=0"}
    return "".join(option for since, option in known.items() if major_number(version) >= since)


def untriggered(version: str) -> str:
    """Options for a superuser at such a server: ours are not the logins and the statements that event triggers are
    there for. Older ones cannot be told so."""
    return " -c event_triggers=off" if major_number(version) >= 17 else ""


class Connection(ServerConnection):
    """How to reach the source. `host` may be a directory, for a Unix socket."""

    host: Text = Field("/var/run/postgresql", description="name, address, or directory of the Unix socket")
    port: int = Field(5432, ge=1, le=65535, description="its TCP port, or what ends its Unix socket's name")

    def environment(self, credentials: Path) -> dict[str, str]:
        """libpq's variables; the password itself stays in a file."""
        env = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.database,
            "PGPASSFILE": str(credentials / "pgpass"),
            "PGAPPNAME": "ccdr",
            "PGCONNECT_TIMEOUT": "15",
        }
        if self.verified_tls:
            env |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": str(self.ca_file or SYSTEM_CAS)}
        return env


def major_of(version: str) -> str:
    """`17.12 (Debian …)` is 17; before version 10 the first two numbers were the major version."""
    numbers = version.split()[0].split(".")
    return numbers[0] if int(numbers[0]) >= 10 else ".".join(numbers[:2])


def major_number(version: str) -> int:
    """As `major_of`, to compare by; before version 10 the first number alone."""
    return int(major_of(version).split(".")[0])
