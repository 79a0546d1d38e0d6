"""The page to keep elsewhere: where address, key and credentials lie, with fingerprints, never values."""

from __future__ import annotations

import base64
import re
from hashlib import sha256
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.browser import browsing
from tests.support.harness import PASSWORD, Site
from tests.support.stored import settled_file

SECRETS = {
    "crm.pw": "hunter2",
    "store.env": "AWS_ACCESS_KEY_ID=AKIAABCDEFGH\nAWS_SECRET_ACCESS_KEY=tXvQ9u2kZ",
    "key": PASSWORD,
}
ASSETS = """
crm:
  engine: postgres
  connection: {user: u, database: crm, password_file: crm.pw}
queues:
  engine: redis
  connection: {password_command: [pass, show, queues]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    for name, text in SECRETS.items():
        made.write(f"plans/{name}", text + "\n", mode=0o600)
    made.plan(ASSETS, repository="{url: s3:https://s3.example/b, password_file: key, env_file: store.env}")
    return made


def test_it_has_places_and_fingerprints_and_no_value(site: Site, wording: SnapshotAssertion) -> None:
    page = site.root / "page.html"
    done = site.run("kit", "page", "--out", str(page))
    assert done.code == 0, done
    text = page.read_text() + done.stdout + done.stderr
    assert not [value for value in (*SECRETS.values(), "AKIAABCDEFGH", "tXvQ9u2kZ") if value in text]
    assert "ops@example.test" in text
    assert set(re.findall(r"https?://[^/]+", text)) == {"https://s3.example"}, "nothing is fetched from anywhere"
    for name in ("key", "store.env"):
        digest = sha256((site.root / "plans" / name).read_bytes()).hexdigest()
        assert digest[:8] in text and digest[:9] not in text
    assert sha256(b"hunter2\n").hexdigest()[:4] not in text, "a short secret could be guessed by it"
    [plan] = done.json["plans"]
    assert [k["needed"] for k in plan["kept"]] == [True, True, False, False]
    assert [k["what"] for k in plan["kept"]] == wording
    assert [command.split()[:2] for command in plan["commands"]] == [
        ["ccdr", "bootstrap"], ["ccdr", "recover"], ["ccdr", "recover"],
    ]  # fmt: skip
    first, second, last = plan["commands"]
    assert first.endswith(" --into /srv/dr") and " --plans /srv/dr/plans" in second
    assert " --under /srv/recovered " in second
    assert " --opened " in last and "Start the new servers" in text


def test_what_a_plan_says_is_text_and_nothing_else_in_it(site: Site) -> None:
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("service: A test", 'service: "<script>alert(1)</script>"'))
    text = site.run("kit", "page", "--out", str(site.root / "page.html"))
    assert text.code == 0 and "<script" not in (site.root / "page.html").read_text()


def test_a_secret_that_is_not_there_is_told_and_the_page_is_made(site: Site) -> None:
    (site.root / "plans/store.env").unlink()
    done = site.run("kit", "page")
    assert done.code == 0
    [env] = [k for k in done.json["plans"][0]["kept"] if k["what"] == "the store's credentials"]
    assert env["fingerprint"] is None and env["why_none"] == "not there"


def test_it_is_one_page_of_a4_on_paper(site: Site) -> None:
    more = "".join(f"\na{n}:\n  engine: sqlite\n  path: /var/lib/a{n}.db" for n in range(4))
    site.plan(ASSETS + more, repository="{url: s3:https://s3.example/b, password_file: key, env_file: store.env}")
    page = site.root / "page.html"
    assert site.run("kit", "page", "--out", str(page)).code == 0
    with browsing(page, site.root / "profile") as browser:
        assert browser.ask("document.querySelectorAll('article').length") == 1
        assert browser.ask("document.querySelectorAll('ol code').length") == 3
        wide = browser.ask("document.documentElement.scrollWidth > document.documentElement.clientWidth")
        printed = base64.b64decode(browser.call("Page.printToPDF", preferCSSPageSize=True)["data"])
    assert not wide and printed.count(b"/Type /Page\n") == 1
    assert b"/MediaBox [0 0 59" in printed, "of A4"


def test_init_says_what_to_keep_elsewhere(tmp_path: Path) -> None:
    settled_file(tmp_path / "tree" / "a.wav", b"sound")
    made = Site(tmp_path)
    done = made.run("init", str(tmp_path / "tree"), "--name", "first")
    url, key = done.json["keep_elsewhere"]
    assert url["where"] == str(tmp_path / "ccdr-repository/first")
    digest = sha256(Path(key["where"]).read_bytes()).hexdigest()
    assert key["fingerprint"] == digest[:8] and Path(key["where"]).read_text().strip() not in done.stdout
