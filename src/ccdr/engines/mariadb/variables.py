"""Global variables that somebody has set: captured by rule, set on a new server, compared with every other.

A value of free text (a command, an address, a path, a secret) is in the snapshot alone, beside the data; a manifest has
its name.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

FILE = "ccdr-variables.json"  # every value, by its variable
# A longer value is cut off by the server: then it is not known. (SYSTEM_VARIABLES; MariaDB 11.8)
_LONGEST = 2048
ASKED = f"""\
SELECT JSON_ARRAY('variable', LOWER(variable_name),
    IF(CHAR_LENGTH(global_value) < {_LONGEST}, global_value, NULL), variable_type <> 'VARCHAR')
  FROM information_schema.system_variables
  WHERE global_value_origin IN ('CONFIG', 'COMMAND-LINE', 'SQL') AND variable_scope <> 'SESSION ONLY'
  ORDER BY variable_name;
"""
# What a new server is not given of them.
LEFT = re.compile(
    # where its files lie, and what their layout says
    r"basedir|datadir|tmpdir|socket|log_bin|log_error|relay_log|secure_file_priv|ignore_db_dirs|aria_block_size|"
    r".*_(?:dir|directory|path|file|filename|basename|index)|"
    # where it listens, as what, and with which keys
    r"port|.*_port|bind_address|hostname|server_id|skip_networking|proxy_protocol_networks|redirect_url|feedback_.*|ssl_.*|"
    r"require_secure_transport|(?:.*_)?encrypt_.*|innodb_.*encryption.*|skip_grant_tables|"
    # what its host has of memory, files and threads
    r"open_files_limit|large_pages|core_file|thread_pool_size|innodb_buffer_pool_.*|innodb_.*aio|innodb_numa_.*|"
    # what would act on others by itself, or follow them
    r"event_scheduler|init_slave|skip_slave_start|(?:slave|replicate|rpl|report|wsrep)_.*|gtid_(?:slave|binlog|current)_.*|"
    r"binlog_(?:do|ignore)_db|read_only|"
    # what was for an hour's need
    r"innodb_force_recovery|innodb_read_only"
)
_OPTION = re.compile(r"^([a-z][a-z0-9-]*)(?= |$)", re.M)


def told(rows: Iterable[Any]) -> dict[str, tuple[str | None, bool]]:
    """By name, of the answers to `ASKED`: the value (None where it is not known), and whether it is one of a closed
    kind, which a record may hold."""
    return {row[1]: (row[2], bool(row[3])) for row in rows if row[0] == "variable"}


def as_recorded(variables: Mapping[str, tuple[str | None, bool]]) -> dict[str, str | None]:
    return {name: value if closed else None for name, (value, closed) in variables.items()}


def keep(variables: Mapping[str, tuple[str | None, bool]], directory: Path) -> None:
    """All values, into the snapshot."""
    text = json.dumps({name: value for name, (value, _) in variables.items()}, indent=1, sort_keys=True)
    (directory / FILE).write_text(f"{text}\n", "utf-8", "surrogateescape")


def options(usage: str) -> set[str]:
    """What `mariadbd --verbose --help` lists behind its last headline: the variables that an option sets."""
    return {name.replace("-", "_") for name in _OPTION.findall(usage.rpartition("\nVariables (--")[2])}


def given(captured: Mapping[str, str | None], known: set[str]) -> dict[str, str]:
    """What a new server is set to, of what it has options for."""
    return {n: v for n, v in captured.items() if v is not None and n in known and not LEFT.fullmatch(n)}
