"""What the published documents are made of: the base, the words for values, and what a record's definition gives."""

from __future__ import annotations

from typing import Annotated, Any, get_type_hints

import msgspec
from msgspec import NODEFAULT, Meta, Struct, structs

from ccdr.evidence.records.registry import KINDS
from ccdr.evidence.records.values import BESIDE
from ccdr.evidence.records.writing import SEAL
from ccdr.model.kinds import about

Map = dict[str, Any]
Text = str | None
Time = Annotated[str, about("RFC 3339, UTC")]


class Doc(Struct, kw_only=True, forbid_unknown_fields=True):
    """A JSON object whose keys are all known."""


def document_of(name: str, kind: str, **beside: Any) -> type[Struct]:
    """What a run's end record holds, but for what the ledger gives it, and what is told beside it."""
    definition = KINDS[kind]
    hints = get_type_hints(definition, include_extras=True)
    held = [(name, hints[name]) for name in definition.__struct_fields__ if name not in {*SEAL, *BESIDE, *beside}]
    return _defined(name, definition, [*held, *beside.items()])


def record_of(name: str, kind: str, **more: Any) -> type[Struct]:
    """The end record of this kind as the ledger has it, in today's version, with what a command says beside it; whose
    `ledger` it is of, where that is not ours."""
    definition = KINDS[kind]
    hints = get_type_hints(definition, include_extras=True)
    fields: list[Any] = []
    for field in structs.fields(definition):
        if field.name in {*BESIDE, *more}:
            continue
        lacks = field.default is not NODEFAULT or field.default_factory is not NODEFAULT
        fields.append((field.name, hints[field.name] | None, None) if lacks else (field.name, hints[field.name]))
    return _defined(name, definition, [*fields, *more.items(), ("ledger", Text, None)])


def _defined(name: str, definition: type[Struct], fields: list[Any]) -> type[Struct]:
    doc = (definition.__doc__ or "").strip()
    return msgspec.defstruct(
        name, fields, frozen=True, kw_only=True, forbid_unknown_fields=True, namespace={"__doc__": doc}
    )


def list_of(*types: type[Struct]) -> Any:
    """A list of any of these."""
    refs = [{"$ref": f"#/$defs/{one.__name__}"} for one in types]
    return Annotated[list[Any], Meta(extra_json_schema={"items": refs[0] if len(refs) == 1 else {"anyOf": refs}})]
