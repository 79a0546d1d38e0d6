"""What somebody has looked at is an export as ccdr wrote it: as many lines as it says, and not none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from tests.support.harness import Site

from ccdr.jobs.access.export import FORMAT, AccessExport
from ccdr.jobs.access.reviews import looked_at, record_export, record_review
from ccdr.model.errors import OfBefore, UsageProblem, WrittenByNewer


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    made = Site(tmp_path_factory.mktemp("looked_at"), bare=True)
    made.plan("crm: {engine: files, paths: [/spool]}")
    return made


def export(site: Site, *, recorded: bool = True, **more: Any) -> Path:
    accounts = [{"name": "a", "logs_in": True}, {"name": "b", "logs_in": False}]
    file = {"what": "plan", "path": "/p", "owner": "root", "group": "root", "mode": "0600"}
    file |= {"others_may": [], "replaceable_by_others_at": []}
    told = {
        "access_review": FORMAT, "plan": "p", "at": site.services().clock.now().isoformat(), "host": "h", "unread": [],
        "files": [file], "databases": [{"asset": "crm", "engine": "x", "accounts": accounts}], "entries": 3,
    }  # fmt: skip
    path = site.write("access.json", json.dumps(told | more))
    if recorded:
        made = AccessExport(plan="p", at=site.services().clock.now(), host="h", entries=told["entries"])
        record_export(site.loaded(), made, path.read_bytes(), site.services())
    return path


def test_an_export_has_as_many_lines_as_it_says(site: Site) -> None:
    def looked(path: Path) -> int:
        return looked_at(site.loaded(), path, "as agreed", site.services(), in_order=True).about.entries

    assert looked(export(site)) == 3, "the twin"
    wrong: list[dict[str, Any]] = [{"databases": []}, {"files": []}, {"databases": [], "files": [], "entries": 0}]
    for more in wrong:
        with pytest.raises(UsageProblem, match="no export of ccdr's"):
            looked(export(site, **more))
    for number, refusal in ((FORMAT - 1, OfBefore), (FORMAT + 1, WrittenByNewer)):
        with pytest.raises(refusal):
            looked(export(site, access_review=number))


def test_a_file_that_was_changed_since_it_was_written_is_not_what_the_systems_told(site: Site) -> None:
    """Also where lines and their number go together, and what was signed is of another file, or of fewer lines."""
    with pytest.raises(UsageProblem, match="changed since it was written, or made elsewhere"):
        looked_at(
            site.loaded(), export(site, recorded=False, databases=[], entries=1), "all well", site.services(),
            in_order=True,
        )  # fmt: skip
    given = looked_at(site.loaded(), export(site), "as agreed", site.services(), in_order=True)
    for changed in ({"export_sha256": "0" * 64}, {"entries": 2}, {"unread": 1}):
        wrong = replace(given, about=replace(given.about, **changed))
        with pytest.raises(UsageProblem, match="changed since"):
            record_review(site.loaded(), wrong, site.services(), None)
    assert record_review(site.loaded(), given, site.services(), None).review.entries == 3, "the twin"
