"""Where things stand in a YAML text, and what its plain words mean."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from ccdr.plans import yamlfile
from ccdr.plans.yamlfile import Document, dotted, parse

PARSERS = pytest.mark.parametrize("parser", ["CSafeLoader", "SafeLoader"])

TEXT = """\
# a comment
first: 1
second:
  - a
  -
    deep: {x: 1,
      y: 2}
shared: &s
  inner: 3
again: *s
"""


def read(text: str) -> Document:
    document, findings = parse(text.encode())
    assert document is not None and findings == []
    return document


@PARSERS
@pytest.mark.parametrize(
    ("where", "line"),
    [
        ((), 2),
        (("first",), 2),
        (("second",), 3),
        (("second", 0), 4),
        (("second", 1, "deep"), 6),
        (("second", 1, "deep", "y"), 7),
        (("second", 9), 3),  # not there: where it would be
        (("second", 1, "deep", "z", "zz"), 6),
        (("shared", "inner"), 9),
        (("again",), 10),
        (("again", "inner"), 9),
        (("first", "no"), 2),
    ],
)
def test_the_line_of_a_path(
    monkeypatch: pytest.MonkeyPatch, parser: str, where: tuple[str | int, ...], line: int
) -> None:
    monkeypatch.setattr(yamlfile, "_LOADER", getattr(yaml, parser))
    assert read(TEXT).line(where) == line


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("", None),
        ("~", None),
        ("null", None),
        ("TRUE", True),
        ("False", False),
        ("yes", "yes"),
        ("off", "off"),
        ("0", 0),
        ("-12", -12),
        ("1.50", 1.5),
        ("1e3", 1000.0),
        ("1:00:00", "1:00:00"),
        ("2026-11-24", "2026-11-24"),
        ("127.0.0.1", "127.0.0.1"),
        ("17-bookworm", "17-bookworm"),
        ("'010'", "010"),
        ('"null"', "null"),
        ("=", "="),
        ("'<<'", "<<"),
    ],
)
def test_what_a_plain_word_means(written: str, value: object) -> None:
    (read_value,) = read(f"k: {written}\n").data.values()
    assert read_value == value and type(read_value) is type(value)


@pytest.mark.parametrize("written", ["010", "0x1F", "0o17", "0b11", "1_000", "+5", ".5", "5.", ".inf", "-.INF", ".NaN"])
def test_numbers_that_yaml_versions_read_differently_are_refused(written: str) -> None:
    document, (finding,) = parse(f"k: {written}\n".encode())
    assert document is not None and document.untrusted == {("k",)}
    assert finding.where == ("k",) and "disagree" in finding.message


def test_a_path_as_people_read_it() -> None:
    assert dotted(("assets", "crm", "paths", 0)) == "assets.crm.paths[0]"
    assert dotted((0, "kind")) == "[0].kind"
    assert dotted(("a b", "x\n" * 99)).isprintable()


# `1e5` is text for PyYAML, which writes it bare, and a number for YAML 1.2 and for us.
text = st.text(
    st.characters(exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff\ufffe\uffff"), max_size=10
).filter(lambda t: not re.fullmatch(r"-?[0-9]+[eE][-+]?[0-9]+", t))
json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**17), 10**17) | text,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)


@given(json_like, st.booleans())
def test_what_pyyaml_writes_is_read_back(value: Any, flow: bool) -> None:
    written = yaml.safe_dump(value, default_flow_style=flow, allow_unicode=True, sort_keys=False)
    document, findings = parse(written.encode())
    if not any("disagree" in finding.message for finding in findings):  # 0o17 is text for PyYAML
        assert document is not None and document.data == value and findings == []
