"""The page for paper and docs/how-to/recover.md have whoever works without ccdr type the same: where one is mended, so
is the other."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from tests.support.harness import Site

from ccdr.telling.runbook import by_hand

DOCS = Path(__file__).parents[3] / "docs/how-to/recover.md"
CONNECTION = "connection: {host: /one, user: u, database: DATABASE}"
# Where the page says it in a way that needs less to be filled in: its directories, its socket, its own file names.
OWN = re.compile(
    r"\$D\b|\$\(command|/restore|\$LOG|\$O\b|^PATH=|^ASK=|/tmp|echo exit|^END$|<<|^LOG=|^while read|^read -r first|^install -d -o mysql|/data/"
)


@pytest.mark.parametrize(
    "asset",
    [
        f"crm: {{engine: postgres, {CONNECTION}}}",
        f"crm: {{engine: postgres, method: stream, {CONNECTION}}}",
        f"crm: {{engine: postgres, method: physical, log_shipping: {{}}, {CONNECTION}}}",
        f"crm: {{engine: mariadb, {CONNECTION}}}",
        f"crm: {{engine: mariadb, method: physical, data_directory: /d, log_shipping: {{}}, {CONNECTION}}}",
        "crm: {engine: redis, connection: {host: /r.sock}}",
        "crm: {engine: sqlite, path: /a.db}",
        "crm: {engine: files, paths: [/srv/x]}",
    ],
)
def test_what_the_page_has_typed_by_hand_the_docs_have_typed_too(site: Site, asset: str) -> None:
    site.plan(asset)
    plan, docs = site.loaded().plan, " ".join(DOCS.read_text("utf-8").split())
    lines = [line for part in by_hand.parts(plan, "crm", plan.assets["crm"]) for line in part.lines]
    typed = [one for line in lines for one in line.split(" && ")]
    shared = [line for line in typed if not OWN.search(line)]
    assert shared
    lacking = [line for line in map(as_docs, shared) if line not in docs]
    assert lacking == []


def as_docs(line: str) -> str:
    """Without what whoever types it reads behind it, and with the docs' own names."""
    line = line.rpartition("\n")[2].partition("  #")[0]
    return " ".join(line.replace("plan=p", "plan=PLAN").replace("asset=crm", "asset=ASSET").split())
