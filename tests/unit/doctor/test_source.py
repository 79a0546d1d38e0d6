"""What `ccdr doctor` makes of rights at the source. Every red line has its green twin."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.findings import FAIL, OK, WARN, states
from tests.support.harness import Site

from ccdr.engines.base import Canary as ShippingCanary
from ccdr.engines.base import LogShipping
from ccdr.engines.mariadb import rights as maria_rights
from ccdr.engines.postgres import rights
from ccdr.engines.postgres.connection import Connection
from ccdr.engines.postgres.physical import rights as physical_rights
from ccdr.model.values import Health

READER: dict[str, Any] = {
    "superuser": False,
    "role": "ccdr",
    "inherits": True,
    "major": 17,
    "makes": False,
    "tables": 4,
    "objects": 9,
    "unreadable": [],
    "hidden_rows": [],
    "writable": 0,
    "large_objects": 0,
}


@pytest.mark.parametrize(
    ("changed", "expected"),
    [
        ({}, [OK, OK]),
        ({"objects": 0}, [FAIL, OK]),  # pg_dump would be content
        ({"tables": 0}, [OK, OK]),  # functions alone
        ({"unreadable": ["call"]}, [FAIL, OK]),
        ({"hidden_rows": ["call"]}, [FAIL, OK]),
        ({"large_objects": 2}, [FAIL, OK]),
        ({"superuser": True}, [OK, WARN]),
        ({"writable": 3}, [OK, WARN]),
        ({"makes": True}, [OK, WARN]),
        ({"unreadable": ["a", "b"], "large_objects": 1, "writable": 1}, [FAIL, FAIL, WARN]),
    ],
)
def test_rights(changed: dict[str, Any], expected: list[Health]) -> None:
    assert states(rights.judged({**READER, **changed}, "ccdr")) == expected


def test_many_unreadable_tables_are_one_short_line() -> None:
    (look, _) = rights.judged({**READER, "unreadable": [f"t{n}" for n in range(500)]}, "ccdr")
    assert "t0, t1, t2 and 497 more" in look.answer and "GRANT pg_read_all_data" in str(look.do)


WHOLE: dict[str, Any] = {
    "replication": True, "superuser": False, "role": "ccdr", "inherits": True, "reads_roles": True, "reads_settings": True, "creates": False,
    "senders": 10, "wal_level": "replica", "data_checksums": True, "unlogged": 0, "objects": 4, "databases": 3,
    "major": 17, "summarizes_wal": True, "slot_keeps": 2**30, "slots": [],
}  # fmt: skip


class Answers:
    """A server that says these facts to whoever asks."""

    def __init__(self, facts: dict[str, Any]) -> None:
        self.facts = facts

    def run(self, argv: list[str], **_: Any) -> Any:
        return SimpleNamespace(stdout=json.dumps(self.facts))


@pytest.mark.parametrize(("canary", "creates"), [(True, False), (True, True), (False, False)])
def test_a_canary_needs_a_right_of_its_own(canary: bool, creates: bool) -> None:
    source: Any = SimpleNamespace(place=Answers({**WHOLE, "creates": creates}), credentials=Path("/c"))
    connection = Connection(host="/run/postgresql", user="ccdr", database="crm")
    shipping = LogShipping(canary=ShippingCanary() if canary else None)
    found = {look.what: look for look in physical_rights.probes(source, connection, shipping=shipping)}
    assert ("canary" in found) == canary
    if canary:
        assert found["canary"].state is (OK if creates else FAIL)
        assert creates or "GRANT CREATE ON DATABASE crm TO ccdr" in str(found["canary"].do)
    assert (found["rights to write"].answer == "ccdr may change nothing") == (not creates)


@pytest.mark.parametrize(
    ("keeps", "kept", "status", "expected", "said"),
    [
        (2**30, 2**20, "reserved", [OK], "1 slot of ccdr's: the source keeps 1.0 MiB of log, of at most 1.0 GiB"),
        (2**30, 600 * 2**20, "extended", [WARN], "keeps 600.0 MiB of log for ccdr_p_crm_1, and gives up at 1.0 GiB"),
        (2**30, 2**30, "lost", [FAIL], "the source gave ccdr_p_crm_1 up"),
        (-1, 2**20, "reserved", [WARN], "is not set"),
        (-1, 3 * 2**30, "extended", [WARN, WARN], "keeps 3.0 GiB of log for ccdr_p_crm_1"),
    ],
)
def test_what_a_slot_keeps_at_the_source_is_looked_at(
    keeps: int, kept: int, status: str, expected: list[Health], said: str
) -> None:
    slot = {"name": "ccdr_p_crm_1", "status": status, "kept": kept}
    source: Any = SimpleNamespace(
        place=Answers({**WHOLE, "slot_keeps": keeps, "slots": [slot]}), credentials=Path("/c")
    )
    connection = Connection(host="/run/postgresql", user="ccdr", database="crm")
    found = list(physical_rights.probes(source, connection, shipping=LogShipping()))
    assert states(slots := [look for look in found if look.what == "replication slots"]) == expected
    assert said in slots[0].answer, slots
    assert "replication slots" not in {look.what for look in physical_rights.probes(source, connection)}


@pytest.mark.parametrize(
    ("granted", "state", "writes"),
    [
        ("", FAIL, "may change nothing"),
        ("GRANT CREATE, INSERT, UPDATE ON `ccdr`.* TO `c`@`%`", OK, "may change nothing but the canary"),
        ("GRANT CREATE, INSERT ON `ccdr`.* TO `c`@`%`", FAIL, "may change nothing but the canary"),
    ],
)
def test_a_canary_in_mariadb(granted: str, state: Health, writes: str) -> None:
    base = (
        "GRANT SELECT, RELOAD, PROCESS, LOCK TABLES, BINLOG MONITOR, SLAVE MONITOR, SHOW VIEW, TRIGGER, EVENT, EXECUTE"
    )
    held = maria_rights.read_rights([f"{base} ON *.* TO `c`@`%`", *([granted] if granted else [])], "crm")
    found = {look.what: look for look in maria_rights.judged(held, "c", "crm", canary=True)}
    assert found["canary"].state is state and "c " + writes in found["rights to write"].answer
    assert "canary" not in {look.what for look in maria_rights.judged(held, "c", "crm")}


def test_empty_tree_is_no_source(plain: Site) -> None:
    engine = plain.loaded().plan.assets["recordings"]
    assert states(engine.rights(None)) == [OK]  # type: ignore[arg-type]
    (plain.root / "tree" / "a.wav").unlink()
    assert states(engine.rights(None)) == [FAIL]  # type: ignore[arg-type]
