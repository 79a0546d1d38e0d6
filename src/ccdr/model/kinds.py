"""The closed kinds of values that records and what they are made of take.

A description goes into the published schema, units with it. A `pattern` is checked by whoever writes: a reader looks at
types and lengths only, since patterns would be half of its time, and the chain says that nobody has changed a line.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

from msgspec import Meta, Struct


def about(text: str) -> Meta:
    """What a value means, for the schema."""
    return Meta(description=text)


def like(pattern: str, text: str) -> dict[str, Any]:
    return {"pattern": pattern, "description": text}


class NotToldHere(ValueError):
    """What this machine lacks something for: another one may tell it."""


Digest = Annotated[
    str,
    Meta(min_length=64, max_length=64, extra_json_schema=like("^[0-9a-f]{64}$", "a SHA-256, or a snapshot's full id")),
]
Word = Annotated[str, Meta(min_length=1, extra_json_schema=like(r"^[A-Za-z0-9_.+-]+$", "one word, a name of ours"))]
Time = Annotated[
    datetime, Meta(tz=True, extra_json_schema=like("Z$", "RFC 3339, UTC, microseconds only where there are any"))
]
Count = Annotated[int, Meta(ge=0)]
Bytes = Annotated[int, Meta(ge=0, description="bytes")]
Seconds = Annotated[float, Meta(ge=0, description="seconds")]
Owner = Annotated[
    str,
    Meta(
        max_length=128,
        extra_json_schema={
            "pattern": r"^[A-Za-z0-9][A-Za-z0-9_.+@-]{0,127}$",
            "examples": ["dba@callcentre.example"],
            "description": "who answers for it: a name or an address of work",
        },
    ),
]


class Value(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, gc=False):
    """Anything that is made of several values."""
