"""What pydantic finds in a file, as sentences for people: what is wrong, what is expected, on which line.

What is expected comes from the model's JSON Schema, so a new engine or check is explained without a word
here. No message quotes a value: a secret may stand in the wrong place.
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from ccdr.model.errors import FileProblem
from ccdr.plans.shape import Shape, listed
from ccdr.plans.yamlfile import Document, Where, YamlProblem, dotted

M = TypeVar("M", bound=BaseModel)
V = TypeVar("V")

_NO_SECRET = "holds a secret, and a secret is never a value in a plan: use password_file or password_command"  # noqa: S105
_SECRET_KEY = re.compile(
    r"(.*[_.-])?(password|passwd|passphrase|pwd|pass|secret|token|credential|(api|access|private|secret)_?key)s?",
    re.IGNORECASE,
)
_NO_NAME = "is not a name, expected small letters, digits, - and _, at most 63 of them"
_UNION_ERRORS = ("union_tag_invalid", "union_tag_not_found")
_WRONG = {
    "string_too_short": "is empty",
    "string_too_long": "is too long",
    "too_short": "has too few entries",
    "too_long": "has too many entries",
    "string_pattern_mismatch": "is spelt wrongly",
} | dict.fromkeys(("greater_than", "greater_than_equal", "less_than", "less_than_equal"), "is out of range")


def checked(
    model: type[M], document: Document, base: Path, kinds: Any, implied: Callable[[Any], Any] = lambda data: data
) -> tuple[M | None, list[YamlProblem]]:
    """The file as `model` (None where it is not one), and every problem that its values have.

    `base` is the directory that relative paths in the file are relative to; `kinds` is the union that the
    model holds, to look inside mappings of an unknown kind; `implied` adds to the data what need not be stated.
    """
    data = document.data
    value, errors = _validate(model.model_validate_json, implied(data), base)
    report = _Report(document, data)
    for where in _secrets(data):
        report.add(where, _NO_SECRET)
    if errors:
        shape = Shape(model, data)
        for error in errors:
            report.explain(error, shape)
        inside: TypeAdapter[object] = TypeAdapter(kinds)
        for error in errors:
            if error["type"] in _UNION_ERRORS:
                _look_inside(error["loc"], inside, shape, report, base)
    return value, report.findings


def as_problems(file: Path, findings: Iterable[YamlProblem]) -> list[FileProblem]:
    """In file order, each once."""
    unique = dict.fromkeys(sorted(findings, key=lambda f: f.line))
    return [FileProblem(str(file), f.line, dotted(f.where), f.message) for f in unique]


def did_you_mean(word: object, known: Iterable[str]) -> str | None:
    """The known word that was probably meant."""
    if not isinstance(word, str):
        return None
    near = difflib.get_close_matches(word.lower()[:80], list(known), 1, 0.6)
    return near[0] if near else None


def meant(word: object, known: Iterable[str]) -> str:
    """For the end of a sentence: the word that was probably meant, else all that there are."""
    near = did_you_mean(word, known)
    return f"did you mean {near}?" if near else f"expected one of {listed(sorted(known))}"


def _validate(read: Callable[..., V], data: Any, base: Path) -> tuple[V | None, list[ErrorDetails]]:
    """Strict, as JSON: `port: "5432"` and `keep_last: true` are mistakes, a list for a tuple is none."""
    try:
        return read(json.dumps(data), strict=True, context={"base": base}), []
    except ValidationError as error:
        return None, error.errors(include_url=False, include_input=False)


def _secrets(data: Any, where: Where = ()) -> Iterator[Where]:
    """Values under keys that promise a secret, wherever they stand."""
    entries: Iterable[tuple[str | int, Any]] = ()
    if isinstance(data, dict):
        entries = data.items()
    elif isinstance(data, list):
        entries = enumerate(data)
    for key, value in entries:
        if isinstance(value, dict | list):
            yield from _secrets(value, (*where, key))
        elif isinstance(key, str) and value is not None and _SECRET_KEY.fullmatch(key):
            yield (*where, key)


class _Report:
    """Collects findings: one for each path, none where the text itself was at fault."""

    def __init__(self, document: Document, data: Any) -> None:
        self._document, self._data = document, data
        self._told: set[tuple[Where, bool]] = set()
        self.findings: list[YamlProblem] = []

    def value(self, where: Where) -> Any:
        data = self._data
        for part in where:
            try:
                data = data[part]
            except (KeyError, IndexError, TypeError):
                return None
        return data

    def add(self, where: Where, message: str, *, key: bool = False) -> None:
        """`key`: the message is about the key itself, so another may follow about its value."""
        prefixes = (where[:n] for n in range(len(where) + 1))
        if (where, key) not in self._told and self._document.untrusted.isdisjoint(prefixes):
            self._told.add((where, key))
            self.findings.append(YamlProblem(self._document.line(where), where, message))

    def explain(self, error: ErrorDetails, shape: Shape) -> None:
        kind, loc = error["type"], error["loc"]
        if kind == "missing":
            where = (*shape.locate(loc[:-1]), loc[-1])
            meaning = shape.described(where)
            self.add(where, f"is missing, expected {shape.expected(where)}" + (f": {meaning}" if meaning else ""))
        elif kind == "extra_forbidden":
            where = shape.locate(loc)
            self.unknown_key(where, shape.keys(where[:-1]))
        elif kind in _UNION_ERRORS:
            self._unknown_kind(shape.locate(loc), shape)
        elif loc[-1:] == ("[key]",) and kind == "literal_error":
            words = str(error.get("ctx", {}).get("expected", "")).replace(" or ", ", ").replace("'", "").split(", ")
            self.unknown_key(shape.locate(loc[:-1]), words)
        elif loc[-1:] == ("[key]",):
            self.add(shape.locate(loc[:-1]), _NO_NAME, key=True)
        elif kind in ("value_error", "assertion_error"):
            self.add(shape.locate(loc), str(error.get("ctx", {}).get("error") or error["msg"]))
        elif kind != "too_short" or not self.value(shape.locate(loc)):  # else its entries are wrong, and told
            where = shape.locate(loc)
            self.add(where, f"{_wrong(kind, self.value(where))}, {self._hint(where, shape)}")

    def unknown_key(self, where: Where, known: Sequence[str]) -> None:
        meant = did_you_mean(where[-1], known)
        self.add(where, f"unknown key, did you mean {meant}?" if meant else f"unknown key, {_one_of(known)}")

    def _unknown_kind(self, where: Where, shape: Shape) -> None:
        key, kinds = shape.branches(where) or ("kind", {})
        value = self.value((*where, key))
        if value is None:
            self.add((*where, key), f"is missing, {_one_of(kinds)}")
            return
        meant = did_you_mean(value, kinds)
        hint = f"did you mean {meant}? {_one_of(kinds)}" if meant else _one_of(kinds)
        self.add((*where, key), f"is not a known {key}, {hint}")

    def _hint(self, where: Where, shape: Shape) -> str:
        value, words = self.value(where), shape.words(where)
        expected = f"expected {shape.expected(where)}"
        if meant := did_you_mean(value, words):
            return f"did you mean {meant}? {expected}"
        quoted = isinstance(value, bool | int | float) and expected == "expected text"
        return f"{expected}, in quotes" if quoted else expected


def _look_inside(loc: Where, inside: TypeAdapter[object], shape: Shape, report: _Report, base: Path) -> None:
    """Problems inside a mapping whose engine (or kind of check) is unknown.

    It is read as if it were of each known kind. A near miss is believed in full; otherwise a key's problems
    count where every kind that has the key sees some.
    """
    where = shape.locate(loc)
    mapping, branches = report.value(where), shape.branches(where)
    if branches is None or not isinstance(mapping, dict):
        return
    key, kinds = branches
    meant = did_you_mean(mapping.get(key), kinds)
    seen: dict[str, dict[str | int, list[ErrorDetails]]] = {}
    for kind in [meant] if meant else kinds:
        mapping[key] = kind
        seen[kind] = {}
        for error in _validate(inside.validate_json, mapping, base)[1]:
            error["loc"] = (*loc, *error["loc"])
            seen[kind].setdefault(error["loc"][len(loc) + 1] if len(error["loc"]) > len(loc) + 1 else "", []).append(
                error
            )
    for name in mapping:
        having = [kind for kind in seen if name in kinds[kind]]
        if not having:
            report.unknown_key((*where, name), sorted({key for keys in kinds.values() for key in keys}))
        elif all(name in seen[kind] for kind in having):
            mapping[key] = having[0]
            for error in seen[having[0]][name]:
                report.explain(error, shape)


def _one_of(words: Iterable[str]) -> str:
    return f"expected one of {', '.join(words)}"


def _wrong(kind: str, value: object) -> str:
    if kind in _WRONG:
        return _WRONG[kind]
    if kind in ("literal_error", "enum") and isinstance(value, str):
        return "is not one of the words known here"
    if value is None:
        return "is empty"
    if isinstance(value, bool):
        return f"is {value}".lower()
    names = {int: "a number", float: "a number with decimals", str: "text", list: "a list", dict: "a mapping"}
    return f"is {names.get(type(value), 'something else')}"
