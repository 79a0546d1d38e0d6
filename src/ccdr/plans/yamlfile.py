"""YAML text → plain data, with the line of every path and every problem of the text.

Works on the parser's events instead of on PyYAML's composer, whose recursion a deep file exhausts. Every
bound (bytes, depth, values) is checked before the value is built, so neither a bomb of aliases nor an
endless bracket costs more than a moment.

Values are JSON's: null, true, false, decimal numbers, text, lists, mappings with text keys. What YAML 1.1
and 1.2 read differently (`010`, `1_000`, `.nan`) is a problem instead of a guess; `yes`, `1:00:00` and
`2026-01-01` are text. Tags are refused. Anchors and aliases work; merge keys are refused, since they hide
from a reader what an asset says.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ccdr.model.errors import UsageProblem

MAX_BYTES = 1 << 20
MAX_DEPTH = 50
MAX_VALUES = 100_000
_TOO_DEEP = f"is nested deeper than {MAX_DEPTH} levels, expected a few"

Where = tuple[str | int, ...]
Scalar = str | int | float | bool | None

# libyaml's parser gives the same events about ten times faster; PyYAML's wheels bring it along.
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_WORDS: dict[str, Scalar] = {"": None, "~": None}
for _word, _value in (("null", None), ("true", True), ("false", False)):
    _WORDS |= {_word: _value, _word.title(): _value, _word.upper(): _value}

_INTEGER = re.compile(r"-?(0|[1-9][0-9]*)", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][-+]?[0-9]+)?", re.ASCII)
_DISPUTED = re.compile(
    r"[-+]?(0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|\.inf|\.nan"
    r"|([0-9][0-9_]*(\.[0-9_]*)?|\.[0-9][0-9_]*)([eE][-+]?[0-9]+)?)",
    re.ASCII | re.IGNORECASE,
)
# What YAML does not let through unescaped, and in an escaped form nothing here has a use for either.
_FORBIDDEN = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff]")


@dataclass(frozen=True)
class YamlProblem:
    """A problem of the text itself: what is wrong at this path, what is expected."""

    line: int
    where: Where
    message: str


@dataclass(slots=True)
class Node:
    """A value and where it stands: for an entry of a mapping the line of its key. Lines count from 1."""

    line: int
    value: Scalar | list[Node] | dict[str, Node]
    size: int = 1
    height: int = 1


@dataclass(frozen=True)
class Document:
    """A file's content. `untrusted` are paths whose value was replaced, since the text was at fault."""

    root: Node
    untrusted: frozenset[Where]

    @property
    def data(self) -> Any:
        return _plain(self.root)

    def line(self, where: Where) -> int:
        """The line of a path, or of the nearest enclosing one that the file has."""
        node = self.root
        for part in where:
            child: Node | None = None
            if isinstance(node.value, dict):
                child = node.value.get(str(part))
            elif isinstance(node.value, list) and isinstance(part, int) and part < len(node.value):
                child = node.value[part]
            if child is None:
                break
            node = child
        return node.line


def _plain(node: Node) -> Any:
    value = node.value
    if isinstance(value, dict):
        return {key: _plain(child) for key, child in value.items()}
    if isinstance(value, list):
        return [_plain(child) for child in value]
    return value


def value_at(data: Any, *where: str | int) -> Any:
    """What a file has there; None where the way to it leads through what is no mapping."""
    for part in where:
        data = data.get(part) if isinstance(data, dict) else None
    return data


def mapping_at(data: Any, *where: str | int) -> dict[str, Any]:
    """The same of a mapping; an empty one where there is none."""
    value = value_at(data, *where)
    return value if isinstance(value, dict) else {}


def dotted(where: Where) -> str:
    """`assets.crm.paths[0]`, as people read a path; odd keys are quoted and cut short."""
    text = ""
    for part in where:
        if isinstance(part, int):
            text += f"[{part}]"
            continue
        shown = part if re.fullmatch(r"[\w-]{1,64}", part) else ascii(part[:40])
        text += f".{shown}" if text else shown
    return text


def read_bytes(path: Path) -> bytes:
    """A regular file's bytes, at most one more than MAX_BYTES; UsageProblem where it cannot be read."""
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # a pipe would block for ever
            raise UsageProblem(f"{path} is not a file")
        with path.open("rb") as file:
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise UsageProblem(f"{path} does not exist") from None
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        raise UsageProblem(f"{path} cannot be read: {getattr(error, 'strerror', None) or error}") from None


def parse(raw: bytes) -> tuple[Document | None, list[YamlProblem]]:
    """The document and every problem of its text; no document where the text could not be followed."""
    composer = _Composer()
    try:
        text = _decode(raw)
        composer.compose(text)
    except _Stop as stop:
        return None, [*composer.findings, stop.finding]
    root = composer.root or Node(1, None)
    return Document(root, frozenset(composer.untrusted)), composer.findings


class _Stop(Exception):
    """The text cannot be followed any further."""

    def __init__(self, line: int, message: str, where: Where = ()) -> None:
        super().__init__(message)
        self.finding = YamlProblem(line, where, message)


def _decode(raw: bytes) -> str:
    if len(raw) > MAX_BYTES:
        raise _Stop(1, f"is larger than {MAX_BYTES >> 20} MiB, expected a file that people write")
    if raw.startswith((b"\xff\xfe", b"\xfe\xff", b"\xef\xbb\xbf")):
        raise _Stop(1, "starts with a byte order mark, expected plain UTF-8: save the file as UTF-8 without one")
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _Stop(line, f"has the byte 0x{raw[error.start]:02x}, expected UTF-8 text") from None
    if bad := _FORBIDDEN.search(text):
        line = text.count("\n", 0, bad.start()) + 1
        raise _Stop(line, f"has the control character U+{ord(bad[0]):04X}, expected printable text")
    return text


def _resolve(text: str) -> Scalar:
    """A plain scalar's value; ValueError says why it has none."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        if len(text.removeprefix("-")) > 18:
            raise ValueError("is too large a number, expected at most 18 digits, or quotes around it for text")
        return int(text)
    if _NUMBER.fullmatch(text):
        if not math.isfinite(number := float(text)):
            raise ValueError("is too large a number, expected one that fits a double")
        return number
    if _DISPUTED.fullmatch(text):
        raise ValueError(
            "is a number that YAML readers disagree on, expected decimal digits, or quotes around it for text"
        )
    return text


@dataclass(slots=True)
class _Open:
    """A list or mapping that is being read. `key` is the key whose value comes next."""

    node: Node
    anchor: str | None
    keyed: bool
    key: str | None = None
    key_line: int | None = None  # None: a key comes next

    @property
    def wants_key(self) -> bool:
        return self.keyed and self.key_line is None


@dataclass
class _Composer:
    findings: list[YamlProblem] = field(default_factory=list)
    untrusted: set[Where] = field(default_factory=set)
    root: Node | None = None
    anchors: dict[str, Node] = field(default_factory=dict)
    open: list[_Open] = field(default_factory=list)
    values: int = 0

    def compose(self, text: str) -> None:
        documents = 0
        for event in _events(text):
            line = event.start_mark.line + 1 if event.start_mark else 1
            if isinstance(event, yaml.DocumentStartEvent):
                documents += 1
                if documents > 1:
                    raise _Stop(line, "starts a second document, expected one document in a file")
            elif isinstance(event, yaml.NodeEvent):
                self._node(event, line)
            elif isinstance(event, yaml.CollectionEndEvent):
                done = self.open.pop()
                if done.anchor:
                    self.anchors[done.anchor] = done.node
                self._add(done.node)

    def _node(self, event: yaml.NodeEvent, line: int) -> None:
        if isinstance(event, yaml.AliasEvent):
            self._add(self._alias(str(event.anchor), line))
            return
        self._count(1, 1, line)
        if (tag := getattr(event, "tag", None)) is not None:
            self._find(line, f"has the tag {str(tag)[:60]!a}, expected a value without a tag", bad=True)
        if isinstance(event, yaml.ScalarEvent):
            node = Node(line, event.value if tag is not None else self._scalar(event, line))
            if event.anchor:
                self.anchors[str(event.anchor)] = node
            self._add(node, merge=event.value == "<<" and bool(event.implicit[0]))
            return
        keyed = isinstance(event, yaml.MappingStartEvent)
        if event.anchor:  # until it is complete the name must not mean an earlier value
            self.anchors.pop(str(event.anchor), None)
        self.open.append(_Open(Node(line, {} if keyed else []), event.anchor, keyed))

    def _scalar(self, event: yaml.ScalarEvent, line: int) -> Scalar:
        text: str = event.value
        if bad := _FORBIDDEN.search(text):  # written as an escape
            self._find(line, f"has the control character U+{ord(bad[0]):04X}, expected printable text", bad=True)
            return ""
        if not event.implicit[0]:
            return text
        try:
            return _resolve(text)
        except ValueError as error:
            self._find(line, str(error), bad=True)
            return text

    def _alias(self, name: str, line: int) -> Node:
        node = self.anchors.get(name)
        if node is not None:
            self._count(node.size, node.height, line)
            return Node(line, node.value, node.size, node.height)
        inside = any(opened.anchor == name for opened in self.open)
        shown = ascii(name[:40])
        fault = "inside that anchor itself" if inside else "and no such anchor stands before it"
        self._find(line, f"refers to the anchor {shown} {fault}, expected a value", bad=True)
        return Node(line, None)

    def _add(self, node: Node, *, merge: bool = False) -> None:
        """Put a complete node where it belongs: into its parent, as a key, or as the whole document."""
        if not self.open:
            self.root = node
            return
        parent = self.open[-1]
        if parent.wants_key:
            parent.key, parent.key_line = self._key(parent, node, merge), node.line
            return
        into = parent.node
        into.size += node.size
        into.height = max(into.height, node.height + 1)
        if isinstance(into.value, list):
            into.value.append(node)
        elif isinstance(into.value, dict):
            if parent.key is not None and parent.key_line is not None:
                # A new node, since an anchored one stands at several lines.
                into.value[parent.key] = Node(parent.key_line, node.value, node.size, node.height)
            parent.key = parent.key_line = None

    def _key(self, parent: _Open, node: Node, merge: bool) -> str | None:
        """The key's text; None where its value has no place to go."""
        known = parent.node.value
        if merge:
            self._find(node.line, "is a merge key (<<), expected the keys themselves")
            return None
        if isinstance(node.value, list | dict):
            self._find(node.line, "has a key that is a list or a mapping, expected text")
            return None
        key = node.value if isinstance(node.value, str) else str(node.value).lower()
        if not isinstance(node.value, str):
            self._find(node.line, f"has the key {key}, which is not text, expected quotes around it")
        if isinstance(known, dict) and key in known:
            parent.key = key
            first = known[key].line
            self._find(node.line, f"is given twice, first on line {first}, expected one of the two")
            return None
        return key

    def _count(self, size: int, height: int, line: int) -> None:
        self.values += size
        if self.values > MAX_VALUES:
            raise _Stop(line, f"has more than {MAX_VALUES} values, aliases counted by what they stand for")
        if len(self.open) + height > MAX_DEPTH:
            raise _Stop(line, _TOO_DEEP)

    def _find(self, line: int, message: str, *, bad: bool = False) -> None:
        where: list[str | int] = []
        for opened in self.open:
            if isinstance(opened.node.value, list):
                where.append(len(opened.node.value))
            elif opened.key is not None:
                where.append(opened.key)
        self.findings.append(YamlProblem(line, tuple(where), message))
        if bad:
            self.untrusted.add(tuple(where))


def _events(text: str) -> Iterator[yaml.Event]:
    """The parser's events; its complaints as _Stop."""
    try:
        loader = _LOADER(text)
        while loader.check_event():
            yield loader.get_event()
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line if mark else 0
        raise _Stop(line + 1, _complaint(error.problem or error.context or "", text, line)) from None
    except yaml.YAMLError as error:
        raise _Stop(1, _complaint(str(error).partition("\n")[0], text, 0)) from None


def _complaint(complaint: str, text: str, line: int) -> str:
    """The parser's words, except for what it says least helpfully. `line` counts from 0."""
    lines = text.split("\n", line + 1)
    if line < len(lines) and re.match(r" *\t", lines[line]):
        return "is not YAML: it is indented with a tab, expected spaces"
    if "nesting depth" in complaint:  # libyaml's own bound, where it looks further ahead than we do
        return _TOO_DEEP
    return f"is not YAML: {complaint or 'it could not be read'}, expected YAML"
