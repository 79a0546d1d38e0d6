"""What somebody has looked at is an export as ccdr wrote it: as many lines as it says, and not none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site

from ccdr.jobs.access.reviewing import looked_at
from ccdr.model.errors import UsageProblem


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("looked_at"), bare=True)
    made.plan("crm: {engine: files, paths: [/spool]}")
    return made


def export(site: Site, **more: Any) -> Path:
    accounts = [{"name": "a"}, {"name": "b"}]
    told = {
        "access_review": 1, "plan": "p", "at": site.services().clock.now().isoformat(), "host": "h", "unread": [],
        "files": [{"what": "plan"}], "databases": [{"asset": "crm", "accounts": accounts}], "entries": 3,
    }  # fmt: skip
    return site.write("access.json", json.dumps(told | more))


def test_an_export_has_as_many_lines_as_it_says(site: Site) -> None:
    def looked(path: Path) -> int:
        return looked_at(site.loaded(), path, "as agreed", site.services(), in_order=True).entries

    assert looked(export(site)) == 3, "the twin"
    wrong: list[dict[str, Any]] = [{"databases": []}, {"files": []}, {"databases": [], "files": [], "entries": 0}]
    for more in wrong:
        with pytest.raises(UsageProblem, match="no export of ccdr's"):
            looked(export(site, **more))
