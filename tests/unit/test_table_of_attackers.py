"""Three pages say what an attacker or a careless hand can and cannot do: each sentence names a test that there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "docs/explanation" / f"{name}.md"
    for name in ("attacker-backup-credential", "attacker-root", "careless-administrator")
]
TEST = r"`(?P<file>[\w/]+\.py)::(?P<name>test_\w+)`"
ROW = re.compile(rf"\| (?P<claim>[^|]+?) \| {TEST} \|")
HEAD = re.compile(r"\| [^|]+ \| shown by \|")
ENDS = re.compile(r"[.?!](?= |$)")
ABBREVIATED = re.compile(r"\be\.g\.|\bi\.e\.")


def claims(page: Path) -> list[re.Match[str]]:
    """The rows of a page's tables. AssertionError names the lines that are no claim with its test."""
    lines = [line for line in page.read_text("utf-8").splitlines() if line.startswith("|")]
    lines = [line for line in lines if not HEAD.fullmatch(line) and line != "|---|---|"]
    found = [ROW.fullmatch(line) for line in lines]
    assert all(found), [line for line, match in zip(lines, found, strict=True) if not match]
    return [match for match in found if match]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_sentence_names_a_test_that_there_is(page: Path) -> None:
    for claim in claims(page):
        file = ROOT / "tests" / claim["file"]
        assert file.is_file(), claim["file"]
        assert re.search(rf"^def {claim['name']}\(", file.read_text("utf-8"), re.MULTILINE), claim["name"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_claim_is_one_sentence(page: Path) -> None:
    """So that none hides behind the test of another."""
    told = [claim["claim"] for claim in claims(page)]
    assert not [one for one in told if len(ENDS.findall(one)) != 1 or not one.endswith(".")]
    assert not ABBREVIATED.search("".join(told))
    assert len(set(told)) == len(told)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_each_page_says_both_what_can_be_done_and_what_cannot(page: Path) -> None:
    sections = re.split(r"^## ", page.read_text("utf-8"), flags=re.MULTILINE)[1:]
    with_claims = [section for section in sections if "| shown by |" in section]
    assert len(with_claims) >= 2
    stray = [line for section in with_claims for line in section.splitlines()[1:] if line and not line.startswith("|")]
    assert not stray, f"a sentence without a test: {stray}"
