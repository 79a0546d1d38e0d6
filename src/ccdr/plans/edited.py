"""A plan file with some of its values changed, and everything else, comments too, as somebody wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise

import yaml

from ccdr.plans.yamlfile import parse

Path = tuple[str, ...]
_PLAIN = re.compile(r"[A-Za-z0-9/_][A-Za-z0-9/_.-]*")
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off"))


@dataclass(frozen=True)
class _Change:
    start: int
    end: int
    text: str


def edited(raw: bytes, values: Mapping[Path, str | None]) -> str | None:
    """Each path (the names of keys) with its new value; None removes the key. None where that cannot be done and be
    sure of it: a path that leads nowhere, a value that several places share."""
    text = raw.decode("utf-8")
    if parse(raw)[0] is None:
        return None
    root = yaml.compose(text, Loader=yaml.SafeLoader)  # its depth is bounded: it was parsed
    changes = []
    for path, value in values.items():
        change = _change(text, root, path, value)
        if change is None:
            return None
        changes.append(change)
    changes.sort(key=lambda one: (one.start, one.end), reverse=True)
    for later, one in pairwise(changes):
        if one.end > later.start:  # an anchor's value, or one key named twice
            return None
    for one in changes:
        text = text[: one.start] + one.text + text[one.end :]
    return text if _is(text, values) else None


def _is(text: str, values: Mapping[Path, str | None]) -> bool:
    document, problems = parse(text.encode("utf-8"))
    if document is None or problems:
        return False
    for path, value in values.items():
        found = document.data
        for name in path:
            found = found.get(name) if isinstance(found, dict) else None
        if (None if found is None else str(found)) != value:
            return False
    return True


def _change(text: str, node: yaml.Node | None, path: Path, value: str | None) -> _Change | None:
    for name in path[:-1]:
        node = next((v for k, v in _pairs(node) if k.value == name), None)
    if not isinstance(node, yaml.MappingNode) or not node.value:
        return None
    pairs, name = _pairs(node), path[-1]
    number = next((n for n, (key, _) in enumerate(pairs) if key.value == name), None)
    if number is None:
        return None if value is None else _added(text, node, name, value)
    if value is None:
        return _removed(text, node, number)
    old = pairs[number][1]
    if not isinstance(old, yaml.ScalarNode) or old.style in ("|", ">"):
        return None
    return _Change(old.start_mark.index, old.end_mark.index, _scalar(value))


def _pairs(node: yaml.Node | None) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if not isinstance(node, yaml.MappingNode):
        return []
    return [(key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]


def _added(text: str, node: yaml.MappingNode, name: str, value: str) -> _Change:
    """Before the first key that is there."""
    first = node.value[0][0].start_mark
    after = ", " if node.flow_style else "\n" + " " * first.column
    return _Change(first.index, first.index, f"{name}: {_scalar(value)}{after}")


def _removed(text: str, node: yaml.MappingNode, number: int) -> _Change | None:
    if len(node.value) == 1:
        return None
    key, value = node.value[number]
    if node.flow_style:
        if number + 1 < len(node.value):
            return _Change(key.start_mark.index, node.value[number + 1][0].start_mark.index, "")
        return _Change(node.value[number - 1][1].end_mark.index, value.end_mark.index, "")
    begin = text.rfind("\n", 0, key.start_mark.index) + 1
    if text[begin : key.start_mark.index].strip() or not isinstance(value, yaml.ScalarNode):
        return None  # it shares its line with what it belongs to
    end = text.find("\n", value.end_mark.index)
    return _Change(begin, len(text) if end < 0 else end + 1, "")


def _scalar(value: str) -> str:
    plain = _PLAIN.fullmatch(value) and value.lower() not in _WORDS
    return value if plain else json.dumps(value, ensure_ascii=False)
