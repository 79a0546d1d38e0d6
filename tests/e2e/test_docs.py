"""The documentation tells the truth: the reference is generated, its steps work."""

from __future__ import annotations

import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from tests.support.harness import Site, Source
from tests.support.repositories import new_repository

from ccdr.demo.centre import SOUNDS, place

ROOT = Path(__file__).parents[2]
BY_HAND, POSTGRES, KEYS, VERDICTS = (
    (ROOT / "docs" / name).read_text("utf-8")
    for name in ("how-to/write-a-plan.md", "reference/postgres.md", "reference/plan.md", "reference/verdicts.md")
)


def blocks(language: str, page: str = BY_HAND) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page, re.DOTALL)


def beside_the_pages(name: str) -> Any:
    spec = importlib.util.spec_from_file_location(name, ROOT / "docs" / f"{name}.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_what_is_generated_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "docs")  # as `python docs/generate.py` has it
    module = beside_the_pages("generate")
    for path, text in module.pages().items():
        assert path.read_text("utf-8") == text, f"{path.name}: run python docs/generate.py"


def test_exit_codes_that_are_explained_are_the_programs() -> None:
    from ccdr.model.errors import Exit

    codes = {int(code) for code in re.findall(r"^\| (\d) \|", VERDICTS, re.MULTILINE)}
    assert codes == {int(code) for code in Exit}


PAGES = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]


def anchors(page: Path) -> set[str]:
    """What a link to a heading may say: as forges make them of its words."""
    prose = re.sub(r"```.*?```", "", page.read_text("utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for path, _, anchor in re.findall(r"\]\((?!http)([^)#\s]*)(#([^)\s]+))?\)", page.read_text("utf-8")):
        target = page.parent / path if path else page
        assert target.exists(), path
        assert not anchor or anchor in anchors(target), f"{path}#{anchor}"


def test_the_site_names_each_page() -> None:
    named = re.findall(r": (\S+\.md)$|- (\S+\.md)$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE)
    there = {str(page.relative_to(ROOT / "docs")) for page in (ROOT / "docs").rglob("*.md")}
    assert {one or other for one, other in named} == there


@pytest.mark.parametrize(
    ("text", "is_outside"),
    [
        ('<a href="https://restic.net">a link that somebody follows</a><img src="images/report.png">', False),
        ('<link rel="stylesheet" href="assets/a.css"><script src="assets/a.js"></script>', False),
        ('<img src="https://example.com/a.png">', True),
        ('<script src="//example.com/a.js"></script>', True),
        ('<link rel="stylesheet" href="https://example.com/a.css">', True),
        ("<style>@import 'https://example.com/a.css'</style>", True),
        ('<p style="background: url(https://example.com/a.png)">', True),
    ],
)
def test_a_site_that_loads_from_elsewhere_is_told(tmp_path: Path, text: str, is_outside: bool) -> None:
    (tmp_path / "page.html").write_text(text)
    assert bool(beside_the_pages("as_site").outside(tmp_path)) is is_outside


@pytest.mark.parametrize(
    ("text", "as_wrapped"),
    [
        (f"{'word ' * 30}`a span of code that stays whole`\n", f"{'word ' * 19}word\n{'word ' * 10}`a span of code that stays whole`\n"),
        (f"1. {'word ' * 30}\n", f"1. {'word ' * 18}word\n   {'word ' * 10}word\n"),
        (f"{'word ' * 19}half - a\n", f"{'word ' * 19}\nhalf - a\n".replace(" \n", "\n")),  # no list begins there
        ("a\nparagraph\n\n- item\n- item\n", "a paragraph\n\n- item\n- item\n"),
        (f"| {'word ' * 30}|\n```sh\n{'word ' * 30}\n```\n", f"| {'word ' * 30}|\n```sh\n{'word ' * 30}\n```\n"),
    ],
)  # fmt: skip
def test_a_page_is_wrapped_without_a_change_of_what_it_says(text: str, as_wrapped: str) -> None:
    wrap = beside_the_pages("wrap")
    assert wrap.wrapped(text) == as_wrapped
    assert wrap.wrapped(as_wrapped) == as_wrapped


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_pages_speak_of_who_does_what(page: Path) -> None:
    """Some turns that a reader whose first language is not English reads twice."""
    if page.name not in ("cli.md", "records.md", "keys.md", "CHANGELOG.md"):  # made of what the program says
        prose = re.sub(r"```.*?```|`[^`]*`|^\|.*?$", "", page.read_text("utf-8"), flags=re.DOTALL | re.MULTILINE)
        turns = r"\b(?:is|are|was|were|be) told\b|\b(?:can|could)(?:not)? be had\b|\bto be had\b|\bhave \w+ \w+ be\b"
        assert not (found := re.findall(turns, prose)), found


def test_hints_name_pages_and_headings_that_there_are() -> None:
    """`docs/how-to/recover.md, By hand`, in an error's hint or beside a finding, may stand over two lines of the source."""
    for file in [*(ROOT / "src").rglob("*.py"), *(ROOT / "deploy").rglob("*"), *(ROOT / "bench").rglob("*.py")]:
        if file.is_file():
            for page in re.findall(r"docs/[\w/-]+\.md", file.read_text("utf-8", "replace")):
                assert (ROOT / page).exists(), f"{file} names {page}"
    text = "\n".join(file.read_text("utf-8") for file in (ROOT / "src").rglob("*.py"))
    named = re.findall(r'(docs/[\w/-]+\.md)(?:,|:)[ "\n]+([A-Z][\w\' ]+)', text)
    assert len(named) >= 8
    for page, words in named:
        heading = re.sub(r"[^\w\- ]", "", words.lower())
        assert any(heading.replace(" ", "-").startswith(a) for a in anchors(ROOT / page)), (page, words)


def test_examples_are_right(tmp_path: Path) -> None:
    """The plan and restore tests that ship are well-formed; only their secrets are missing."""
    site = Site(tmp_path)
    for name in ("plans", "restore_tests"):
        shutil.copytree(ROOT / name, tmp_path / name, dirs_exist_ok=True)
    done = site.run("plan", "check")
    assert done.code == 0, done
    assert all("secrets/" in line for line in done.json["lint"]), done.json["lint"]


@pytest.fixture
def own(tmp_path: Path, source: Source) -> Iterator[Site]:
    """A user's directory, made by the steps 1 to 4 of docs/how-to/write-a-plan.md; only addresses are one's own."""
    site = Site(tmp_path)
    (tmp_path / "plans" / "key").unlink()
    source.psql("create database readme template template0")
    source.psql(
        "create table customer (id int primary key); insert into customer select generate_series(1, 50);"
        "create table call (id serial, customer_id int, started_at timestamptz default now());"
        "insert into call (customer_id) select 1 + g % 50 from generate_series(1, 2000) g; select lo_create(4711)",
        "readme",
    )
    source.psql(blocks("sql", POSTGRES)[0].replace("'…'", "'secret'"), "readme")
    secrets = blocks("sh")[0].replace("cat > plans/secrets/crm.pw", "echo secret > plans/secrets/crm.pw")
    subprocess.run(["bash", "-euc", secrets], cwd=tmp_path, check=True)
    new_repository(tmp_path / "repo", (tmp_path / "plans/secrets/mine.key").read_text().strip())
    plan, mine, audio = blocks("yaml")
    (more,) = blocks("yaml", KEYS)
    place(SOUNDS, tmp_path / "recordings", first=1, count=5, day=date(2026, 1, 2))
    plan = plan.replace("/mnt/backup/mine", str(tmp_path / "repo")).replace(
        "/var/spool/recordings", str(tmp_path / "recordings")
    )
    plan = plan.replace("host: 127.0.0.1", f"host: {source.sockets}").replace("database: crm", "database: readme")
    more = re.sub(r"notify:.*\n", "", more)  # its addresses are nobody's
    site.write("plans/mine.yaml", plan + more)
    site.write("restore_tests/mine.yaml", mine)
    site.write("restore_tests/audio.yaml", audio)
    yield site
    source.psql("drop database readme with (force)")
    source.psql("drop role ccdr_backup")


def test_from_a_plan_by_hand_to_a_proven_restore(own: Site) -> None:
    for line in blocks("sh")[1].splitlines():
        command = shlex.split(line, comments=True)
        done = own.run(*command[1:])
        assert done.code == 0, (line, str(done))
    assets = done.json["plans"][0]["assets"]
    assert {a["asset"]: a["last_test"]["verdict"] for a in assets} == {"crm": "PASS", "recordings": "PASS"}
