"""A model's JSON Schema laid over a file's data: which keys are known at a path, and what is expected there."""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from pydantic import BaseModel, TypeAdapter

from ccdr.model.schema import Name
from ccdr.plans.yamlfile import Where

Schema = dict[str, Any]

_NAME = TypeAdapter(Name).json_schema()["pattern"]


def is_name(text: str) -> bool:
    """A name that a plan, an asset or a restore test may have."""
    return re.search(_NAME, text, re.ASCII) is not None and not text.endswith("\n")


def listed(words: Sequence[str], last: str = "or") -> str:
    """`a, b or c`."""
    head = ", ".join(words[:-1])
    return f"{head} {last} {words[-1]}" if head else "".join(words)


@lru_cache
def _schema(model: type[BaseModel]) -> Schema:
    return model.model_json_schema()


def editor_schema(model: type[BaseModel]) -> Schema:
    """The model's JSON Schema for editors, in which keys that are no names are mistakes too."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **_closed(_schema(model))}


def _closed(value: Any) -> Any:
    if isinstance(value, list):
        return [_closed(entry) for entry in value]
    if not isinstance(value, dict):
        return value
    closed = {key: _closed(entry) for key, entry in value.items()}
    return {"additionalProperties": False, **closed} if "patternProperties" in closed else closed


class Shape:
    """`model` says what `data` may hold. Where the data has no such path, the schema alone answers."""

    def __init__(self, model: type[BaseModel], data: Any) -> None:
        self._root, self._data = _schema(model), data

    def locate(self, loc: Sequence[str | int]) -> Where:
        """Pydantic's location as a path of the file: without the labels of unions that it puts between."""
        where: list[str | int] = []
        schemas, data, label = [self._root], self._data, None
        for part in loc:
            if part == label or not _has(data, part):
                label = None
                continue
            where.append(part)
            schemas, data = self._children(schemas, data, part), data[part]
            union = self._union(schemas)
            label = data.get(union[0]) if union and isinstance(data, dict) else None
        return tuple(where)

    def keys(self, where: Where) -> list[str]:
        """The keys that a mapping at this path may have."""
        return list(dict.fromkeys(key for schema in self._at(where) for key in schema.get("properties", {})))

    def branches(self, where: Where) -> tuple[str, dict[str, list[str]]] | None:
        """Where a key tells kinds of mappings apart: that key, and the keys that each kind may have."""
        union = self._union(self._walk(where)[0])
        return union and (union[0], {tag: list(schema["properties"]) for tag, schema in union[1].items()})

    def words(self, where: Where) -> list[str]:
        """The words that may stand at this path, where only some may."""
        known = (s.get("enum", [s["const"]] if "const" in s else []) for s in self._at(where))
        return list(dict.fromkeys(str(word) for words in known for word in words))

    def expected(self, where: Where) -> str:
        """What may stand at this path, for people."""
        if words := self.words(where):
            return words[0] if len(words) == 1 else f"one of {', '.join(words)}"
        phrases = dict.fromkeys(phrase for schema in self._at(where) if (phrase := _phrase(schema)))
        return listed(list(phrases)) or "a value"

    def described(self, where: Where) -> str:
        """The field's own description, or nothing."""
        return next((s["description"] for s in self._walk(where)[0] if "description" in s), "")

    def _at(self, where: Where) -> list[Schema]:
        return self._flat(*self._walk(where))

    def _walk(self, where: Where) -> tuple[list[Schema], Any]:
        """The schemas that hold for a path, and the data there (None where there is none)."""
        schemas, data = [self._root], self._data
        for part in where:
            schemas, data = self._children(schemas, data, part), data[part] if _has(data, part) else None
        return schemas, data

    def _children(self, schemas: list[Schema], data: Any, part: str | int) -> list[Schema]:
        parts: list[Schema] = []
        for schema in self._flat(schemas, data):
            if isinstance(part, int):
                parts.append(schema.get("items", {}))
            elif part in schema.get("properties", {}):
                parts.append(schema["properties"][part])
            else:
                parts += schema.get("patternProperties", {}).values()
                parts.append(schema.get("additionalProperties", {}))
        return [schema for schema in parts if isinstance(schema, dict)]

    def _flat(self, schemas: list[Schema], data: Any) -> list[Schema]:
        """Without references and unions; of a union told apart by a key only the branch that `data` names."""
        flat: list[Schema] = []
        for schema in schemas:
            if "$ref" in schema:
                flat += self._flat([self._ref(schema)], data)
            elif (union := self._union([schema])) and isinstance(data, dict):
                tag = data.get(union[0])
                one = union[1].get(tag) if isinstance(tag, str) else None
                flat += [one] if one else union[1].values()
            elif branches := schema.get("anyOf") or schema.get("oneOf") or schema.get("allOf"):
                flat += self._flat(branches, data)
            else:
                flat.append(schema)
        return flat

    def _ref(self, schema: Schema) -> Schema:
        definition: Schema = self._root["$defs"][schema["$ref"].rpartition("/")[2]]
        return definition

    def _union(self, schemas: list[Schema]) -> tuple[str, dict[str, Schema]] | None:
        for schema in schemas:
            if (discriminator := schema.get("discriminator")) and "mapping" in discriminator:
                mapping = {tag: self._ref({"$ref": ref}) for tag, ref in discriminator["mapping"].items()}
                return discriminator["propertyName"], mapping
        return None


def _has(data: Any, part: str | int) -> bool:
    if isinstance(data, dict):
        return part in data
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _phrase(schema: Schema) -> str:
    """What one branch of a schema stands for; nothing for null, which is how a plan leaves a value out."""
    kind = schema.get("type")
    if kind == "string":
        if examples := schema.get("examples"):
            return f"text like {listed(examples)}"
        if schema.get("pattern") == _NAME:
            return "a name of small letters, digits, - and _"
        return "a path" if schema.get("format") == "path" else "text"
    if kind in ("integer", "number"):
        return ("a whole number" if kind == "integer" else "a number") + _bounds(schema)
    if kind == "array":
        return "a list" + (" with at least one entry" if schema.get("minItems") else "")
    return {"boolean": "true or false", "object": "a mapping"}.get(str(kind), "")


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f" from {low} to {high}"
    if low is not None:
        return f" of at least {low}"
    return f" of at most {high}" if high is not None else ""
