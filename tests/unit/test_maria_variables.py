"""Which global variables of a MariaDB source are recorded, and which a new server is set to."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ccdr.engines.mariadb import variables
from ccdr.engines.servers.target import differing, set_otherwise

ROWS = [
    ["variable", "autocommit", "OFF", 1],
    ["variable", "init_connect", "set @key = 's3cret'", 0],
    ["variable", "wsrep_sst_auth", "root:s3cret", 0],
    ["variable", "long_text", None, 0],
    ["setting", "autocommit", "OFF"],
]
USAGE = """
  --profiling-history-size=#  Number of statements
Variables (--variable-name=value)
and boolean options {FALSE|TRUE}                             Value (after reading options)
------------------------------------------------------------ -------------
autocommit                                                   TRUE
init-connect
init-file                                                    (No default value)
profiling-history-size                                       15
"""


def test_free_text_is_in_the_snapshot_and_a_record_has_its_name_alone(tmp_path: Path) -> None:
    captured = variables.told(ROWS)
    recorded = {"autocommit": "OFF", "init_connect": None, "wsrep_sst_auth": None, "long_text": None}
    assert variables.as_recorded(captured) == recorded
    variables.keep(captured, tmp_path)
    assert json.loads((tmp_path / variables.FILE).read_text())["init_connect"] == "set @key = 's3cret'"


def test_a_new_server_is_set_to_what_it_has_an_option_for_and_the_rest_is_told() -> None:
    """`profiling` has no option; the server would take it for the beginning of another one."""
    known = variables.options(USAGE)
    captured = {"autocommit": "OFF", "init_connect": "", "init_file": "/x.sql", "profiling": "ON", "lost": None}
    given = variables.given(captured, known)
    assert given == {"autocommit": "OFF", "init_connect": ""}
    assert differing(captured, given) == ["init_file", "profiling"]


def test_of_another_server_the_names_are_told_and_no_value() -> None:
    captured = {"same": "1", "other": "s3cret", "lacking": "ON", "words": None}
    first, words = set_otherwise(captured, {"same": "1", "other": "2", "words": "x"}, "FILE")
    assert "other, lacking;" in first and "same" not in first and words.endswith("(FILE): words")
    assert not [*set_otherwise({"same": "1"}, {"same": "1"}, "FILE")] and "s3cret" not in first + words


@pytest.mark.parametrize(
    ("name", "left"),
    [
        *((name, True) for name in ("datadir", "slow_query_log_file", "ssl_key", "extra_port", "slave_parallel_mode")),
        *((name, True) for name in ("wsrep_sst_auth", "event_scheduler", "read_only", "innodb_encrypt_tables", "socket")),
        *((name, False) for name in ("local_infile", "block_encryption_mode", "innodb_file_per_table", "init_connect")),
        *((name, False) for name in ("auto_increment_offset", "low_priority_updates", "default_storage_engine")),
    ],
)  # fmt: skip
def test_what_is_of_the_sources_host_or_acts_on_others_is_left(name: str, left: bool) -> None:
    assert (variables.LEFT.fullmatch(name) is not None) is left
