"""A person erased of a dump is in the copy of the whole server, too: what is restored of that tells so."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.support.harness import Site

from ccdr.jobs.erasure.before_hand_over import BeforeHandOver
from ccdr.jobs.erasure.replay import Replaying

CONNECTION = "connection: {{host: {}, user: ccdr, database: crm, password_file: key}}"
PLAN = f"""
crm: {{engine: postgres, {CONNECTION.format("db1")}}}
server: {{engine: postgres, method: physical, {CONNECTION.format("db1")}}}
elsewhere: {{engine: postgres, {CONNECTION.format("db2")}}}
"""


def replaying(site: Site, asset: str, *entries: tuple[str, bool]) -> Replaying:
    """`entries`: the asset of each, and whether it is a canary."""
    anything: Any = None
    register: Any = SimpleNamespace(standing=[SimpleNamespace(asset=of, canary=canary) for of, canary in entries])
    register.of = lambda name: [one for one in register.standing if one.asset == name]
    return Replaying(anything, site.loaded(), asset, "r", "restore", anything, anything, register=register)


@pytest.mark.parametrize(
    ("asset", "entries", "others"),
    [
        ("server", [("crm", False)], ["crm"]),
        ("server", [("crm", True)], []),
        ("server", [("crm", False), ("server", False)], []),
        ("server", [("crm", False), ("server", True)], ["crm"]),
        ("crm", [("server", False)], ["server"]),
        ("elsewhere", [("crm", False), ("gone", False)], []),
        ("crm", [], []),
    ],
)
def test_people_erased_of_another_asset_of_the_server_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asset: str, entries: list[tuple[str, bool]], others: list[str]
) -> None:
    site = Site(tmp_path, bare=True)
    site.plan(PLAN)
    one = replaying(site, asset, *entries)
    assert one.only_in_others == others
    monkeypatch.setattr("ccdr.jobs.erasure.before_hand_over._opened", lambda *_: one)
    monkeypatch.setattr(BeforeHandOver, "_tell", lambda _: None)
    order: Any = SimpleNamespace(result=SimpleNamespace(findings=[]), job=SimpleNamespace(plan="p", asset=asset))
    BeforeHandOver.of(order, [])
    assert len(order.result.findings) == bool(others)
