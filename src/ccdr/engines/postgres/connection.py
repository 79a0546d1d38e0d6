"""How a server is reached, by plans and by a restore's `--to`."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from typing import Literal

from pydantic import Field

from ccdr.schema import PlanPath, Text, WithPassword

# Its standard options: no start-up file, no question, no heading.
PSQL = ("psql", "-X", "-w", "-q", "-A", "-t")
SYSTEM_CAS = Path("/etc/ssl/certs/ca-certificates.crt")
# What a role or database may have set does not hold for our own commands.
OWN_OPTIONS = (
    "-c statement_timeout=0 -c lock_timeout=0 -c idle_in_transaction_session_timeout=0 "
    "-c default_transaction_read_only=off -c role=none"
)


class Connection(WithPassword):
    """How to reach the source. `host` may be a directory, for a Unix socket."""

    host: Text = Field("/var/run/postgresql", description="name, address, or directory of the Unix socket")
    port: int = Field(5432, ge=1, le=65535)
    user: Text
    database: Text
    ca_file: PlanPath | None = Field(None, description="CA that signed the server's certificate (default: system's)")
    tls: Literal["verify", "loopback"] = Field(
        "loopback", description="`verify` asks for verified TLS on loopback too; elsewhere it always is"
    )

    @property
    def socket(self) -> Path | None:
        return Path(self.host) if self.host.startswith("/") else None

    @property
    def verified_tls(self) -> bool:
        if self.socket is not None:
            return False
        return self.tls == "verify" or not is_loopback(self.host)

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


def is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def major_of(version: str) -> str:
    """`17.12 (Debian …)` is 17; before version 10 the first two numbers were the major version."""
    numbers = version.split()[0].split(".")
    return numbers[0] if int(numbers[0]) >= 10 else ".".join(numbers[:2])
