"""What others read of ccdr is as it lies in tests/corpus/, byte for byte."""

from __future__ import annotations

import re
from difflib import unified_diff
from functools import cache

import pytest
from tests.corpus.make import kept, made

from ccdr.evidence.records import KINDS

made = cache(made)


def changes() -> str:
    """From what is kept to what is made now."""
    old, new = kept(), made()
    apart = (name for name in sorted(old.keys() | new.keys()) if old.get(name) != new.get(name))
    return "\n".join(line for name in apart for line in _diff(name, old.get(name), new.get(name)))


def _diff(name: str, old: bytes | None, new: bytes | None) -> list[str]:
    before, after = ([] if one is None else _lines(one) for one in (old, new))
    return list(unified_diff(before, after, f"kept/{name}", f"made/{name}", n=1, lineterm=""))


def _lines(contents: bytes) -> list[str]:
    """What is one long line of JSON, a key a line."""
    text = contents.decode("utf-8", "replace")
    return re.split(r'(?<=[,{\[])(?=["{])', text) if text.startswith('{"') else text.splitlines()


def test_what_others_read_is_as_the_corpus_has_it() -> None:
    if found := changes():
        how = "Whoever reads ccdr's files has to follow this. Is it meant? docs/extending.md, What others read"
        pytest.fail(f"{found}\n\n{how}", pytrace=False)


def test_every_kind_of_record_is_there() -> None:
    assert {name for name in kept() if name.startswith("records/")} == {f"records/{kind}.jsonl" for kind in KINDS}
