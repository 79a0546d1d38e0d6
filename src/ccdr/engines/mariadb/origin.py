"""Whose data a server has, how old it is, and whether its log holds every change: where it is a replica, or its log is
filtered, neither goes without saying. What a session leaves out of the log by itself (sql_log_bin) nothing tells."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from hashlib import sha256

from ccdr.engines.mariadb.client import Login, lines, table
from ccdr.model.errors import BackupFailed
from ccdr.model.values import so_many
from ccdr.ports.place import Place

_VARIABLES = """SELECT LOWER(variable_name), variable_value FROM information_schema.global_variables
  WHERE variable_name IN ('LOG_BIN', 'LOG_SLAVE_UPDATES', 'WSREP_ON');"""
_FILTERS = (("Binlog_Do_DB", "binlog_do_db"), ("Binlog_Ignore_DB", "binlog_ignore_db"))


@dataclass(frozen=True)
class Origin:
    """`lag` is what a replica's data is behind its primary's, in seconds; None where the server is no replica. `lacks`
    is why its log does not hold every change, as sentences."""

    lag: float | None
    lacks: tuple[str, ...]


def origin_of(place: Place, login: Login) -> Origin:
    """BackupFailed where it is a replica that does not replicate."""
    lag = lag_of(table(place, login, "SHOW ALL SLAVES STATUS;", "asking whether it is a replica"))
    variables = dict(line.split("\t", 1) for line in lines(place, login, _VARIABLES, "asking what is logged"))
    status = table(place, login, "SHOW MASTER STATUS;", "asking what is logged")
    return Origin(lag, tuple(_lacks(variables, status, replica=lag is not None)))


def new_server_id(mark: str) -> int:
    """What a server is numbered that a recovery with this mark made new. No other has that number, and whoever ships a
    log takes one of the upper half."""
    return 1 + int(sha256(mark.encode()).hexdigest()[:12], 16) % (2**31 - 2)


def prepared_notes(place: Place, login: Login, what: str) -> list[str]:
    """Transactions that wait for a word from elsewhere (XA): a dump lacks what they did, a copy keeps them waiting."""
    prepared = len(lines(place, login, "XA RECOVER FORMAT='SQL';", "asking for prepared transactions"))
    return [f"{so_many(prepared, 'XA transaction')} prepared and not yet ended: {what}"] if prepared else []


def lag_of(status: list[dict[str, str]]) -> float | None:
    """By what SHOW ALL SLAVES STATUS says."""
    lags = [row["Seconds_Behind_Master"] for row in status]
    if not lags:
        return None
    if "NULL" in lags:
        raise BackupFailed(
            "this replica does not replicate at present, so nobody can tell what time its data is of",
            hint="start it (SHOW ALL SLAVES STATUS tells why it stopped), or back up the primary",
        )
    return max(map(float, lags))


def _lacks(variables: Mapping[str, str], status: list[dict[str, str]], *, replica: bool) -> Iterator[str]:
    for column, option in _FILTERS:
        if names := ", ".join(row[column] for row in status if row[column]):
            yield f"{option} ({names}) keeps databases out of it"
    if variables.get("log_slave_updates") != "ON":
        if replica:
            yield "what comes from its primary is not in it (log_slave_updates is OFF)"
        elif variables.get("wsrep_on") == "ON":
            yield "what comes from the cluster's other nodes is not in it (log_slave_updates is OFF)"
