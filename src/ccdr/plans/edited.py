"""A plan file with some of its values changed, and everything else, comments too, as somebody wrote it."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import yaml

from ccdr.plans.yamlfile import parse

Path = tuple[str, ...]
_PLAIN = re.compile(r"[A-Za-z0-9/_][A-Za-z0-9/_.-]*")
SHARED = "one value stands for several places of it (an anchor, &name), and not all of them change alike"
UNSURE = "ccdr cannot be sure of what it would write there"
_WORDS = frozenset(("true", "false", "null", "yes", "no", "on", "off"))


@dataclass(frozen=True)
class _Change:
    start: int
    end: int
    text: str


class ByHand(Exception):
    """A person has to do it; says why, as half a sentence."""


def edited(raw: bytes, values: Mapping[Path, str | None]) -> str:
    """Each path (the names of keys) with its new value; None removes the key. ByHand where that cannot be done and be
    sure of it: a path that leads nowhere, a value that stands for several places which are not all to change."""
    text = raw.decode("utf-8")
    document, _ = parse(raw)
    if document is None:
        raise ByHand("it is no YAML that ccdr reads")
    root = yaml.compose(text, Loader=yaml.SafeLoader)  # its depth is bounded: it was parsed
    for one in _changes(text, root, values):
        text = text[: one.start] + one.text + text[one.end :]
    after, problems = parse(text.encode("utf-8"))
    if after is None or problems:
        raise ByHand(UNSURE)
    _require_only(values, document.data, after.data)
    return text


def _changes(text: str, root: yaml.Node | None, values: Mapping[Path, str | None]) -> list[_Change]:
    """The last one first. Places that one value stands for, and that change alike, are changed once."""
    found: set[_Change] = set()
    for path, value in values.items():
        change = _change(text, root, path, value)
        if change is None:
            raise ByHand(f"ccdr cannot tell how to write {'.'.join(path)} there")
        found.add(change)
    changes = sorted(found, key=lambda one: (one.start, one.end), reverse=True)
    if any(one.end > later.start for later, one in pairwise(changes)):
        raise ByHand(SHARED)
    return changes


def _require_only(values: Mapping[Path, str | None], before: Any, after: Any) -> None:
    """All of these are as they are to be, and nothing else is otherwise: what one value stands for changes with it."""
    for path, value in values.items():
        now = _taken(after, path)
        _taken(before, path)
        if (None if now is None else str(now)) != value:
            raise ByHand(UNSURE)
    if before != after:
        raise ByHand(SHARED)


def _taken(data: Any, path: Path) -> Any:
    """The value at this path, which is left out from there on."""
    for name in path[:-1]:
        data = data.get(name) if isinstance(data, dict) else None
    return data.pop(path[-1], None) if isinstance(data, dict) else None


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
