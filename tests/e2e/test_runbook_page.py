"""The runbook's page in a real browser, as it comes out of a printer: the first sheet's front is one side of A4."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest
from tests.support.browser import browsing
from tests.support.harness import Site

ASSETS = """
crm:
  engine: postgres
  method: physical
  connection: {host: db1.callcentre.example, user: ccdr, database: crm, password_file: /etc/ccdr/plans/secrets/crm.pw}
  log_shipping: {}
dialler:
  engine: mariadb
  connection: {host: db1.callcentre.example, user: ccdr, database: dialler, password_file: /etc/ccdr/plans/secrets/dialler.pw}
  depends_on: [crm]
queues: {engine: redis, connection: {host: 127.0.0.1, user: ccdr, password_file: /etc/ccdr/plans/secrets/queues.pw}}
cdr: {engine: sqlite, path: /var/lib/cdr/cdr.db}
recordings: {engine: files, paths: [/var/spool/recordings], depends_on: [crm]}
"""
SIDE = 1047  # CSS pixels of an A4 page between the margins that it asks for: 277 mm
WIDE = 703


def test_five_stores_fit_on_the_front_of_one_sheet_and_nothing_runs_off_the_paper(site: Site, tmp_path: Path) -> None:
    url = "{url: 's3:https://s3.vault.example/ccdr-outbound', password_file: key, env_file: key.env}"
    site.plan(ASSETS, repository=url)
    out = site.root / "page.html"
    assert site.run("runbook", "print", "p", "--out", str(out)).json == {"plan": "p", "out": str(out), "html": None}
    with browsing(out, tmp_path / "profile") as browser:
        pdf = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
        assert 4 <= len(re.findall(rb"/Type\s*/Page\b", pdf)) <= 9
        browser.call("Emulation.setEmulatedMedia", media="print")
        browser.call("Emulation.setDeviceMetricsOverride", width=WIDE, height=SIDE, deviceScaleFactor=1, mobile=False)
        assert browser.ask("document.querySelector('.one').getBoundingClientRect().height") <= SIDE
        assert browser.ask("document.documentElement.scrollWidth") <= WIDE
        assert browser.ask(
            "[...document.querySelectorAll('*')].every(e => getComputedStyle(e).color == 'rgb(0, 0, 0)')"
        )


@pytest.mark.parametrize("way", [["--out"], []])
def test_it_is_written_to_a_file_or_to_the_screen(site: Site, way: list[str]) -> None:
    site.plan("rec: {engine: files, paths: [/srv/x]}")
    out = site.root / "p.html"
    done = site.start("runbook", "print", "p", *way, *([str(out)] if way else []))
    said, _ = done.communicate(timeout=60)
    assert done.returncode == 0 and (out.read_text("utf-8") if way else said).startswith("<!doctype html>")
