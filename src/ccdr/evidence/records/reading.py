"""A line becomes a typed record. One that this ccdr cannot know whole is `Unread`, which no reader may pass over."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from functools import cache
from typing import Any

import msgspec
from msgspec import UNSET

from ccdr.evidence.records.registry import KINDS, VERSIONS
from ccdr.evidence.records.statements import StatementRecord
from ccdr.evidence.records.strict import strictly
from ccdr.evidence.records.values import BESIDE, Record, Unread
from ccdr.host.built import built
from ccdr.model.values import utc

_KIND = b'","kind":"'  # behind `actor`, a text; no text can hold it, since its quotes would be escaped


@cache
def _decoder(kind: bytes) -> tuple[Callable[[bytes], Record], bytes] | None:
    """How a kind is decoded, and how its version stands in the envelope; None where this ccdr does not know it."""
    name = kind.decode("ascii", "replace")
    if name not in KINDS:
        return None
    return msgspec.json.Decoder(built(KINDS[name])).decode, b',"version":%d,' % VERSIONS[name]


_encode = msgspec.json.Encoder().encode
_ENVELOPE = ("seq", "prev", "time", "host", "actor", "kind", "plan", "asset", "run")
_TEXT_OR_NULL = frozenset((str, type(None)))


def decode(line: bytes) -> Record:
    """A whole line, newline included, as a typed record, or as `Unread`. ValueError for what is no record: it says
    what is wrong, without quoting data.

    One that is written back byte for byte gives no key twice. Any other is read with care.
    """
    at = line.find(_KIND) + len(_KIND)
    known = _decoder(line[at : line.find(b'"', at)])
    if known is not None:
        decoder, version = known
        try:
            if version in line:
                record: Record = decoder(line)
                if says_of_itself(record):
                    raise msgspec.ValidationError
                encoded = _encode(record)
                if len(encoded) + 1 == len(line) and line.startswith(encoded) and line.endswith(b"\n"):
                    return record
        except (msgspec.MsgspecError, UnicodeError):
            pass
    if not line.endswith(b"\n"):
        raise ValueError("cut off: it does not end in a newline")
    return of_mapping(strictly(line))


def says_of_itself(record: Record) -> bool:
    """What only whoever reads it may say."""
    verified = isinstance(record, StatementRecord) and record.verified is not UNSET
    return verified or record.told_by is not UNSET


def unknown(record: Mapping[str, Any]) -> bool:
    """Is it of a version or a kind that this ccdr does not read?"""
    version = record.get("version")
    return type(version) is not int or version != VERSIONS.get(record["kind"])


def envelope(record: Any) -> datetime:
    """The time of a mapping that has a whole envelope; ValueError for any other."""
    try:
        seq, prev, time, host, actor, kind, plan, asset, run = (record[key] for key in _ENVELOPE)
    except (KeyError, TypeError, IndexError):
        raise ValueError("not a record: its envelope is incomplete") from None
    right = type(seq) is int and type(prev) is type(time) is type(host) is type(actor) is type(kind) is str
    if not right or not {type(plan), type(asset), type(run)} <= _TEXT_OR_NULL:
        raise ValueError("not a record: something in its envelope has the wrong type")
    try:
        return utc(time)
    except (ValueError, OverflowError):
        raise ValueError("not a record: its time is none") from None


def of_mapping(record: Any) -> Record:
    """The same of a line that was read already."""
    time, version = envelope(record), record.get("version")
    if not unknown(record) and BESIDE.keys().isdisjoint(record):
        try:
            return msgspec.convert(record, built(KINDS[record["kind"]]))
        except msgspec.ValidationError:
            pass
    about = {key: record[key] for key in _ENVELOPE} | {"time": time}
    return Unread(**about, version=version if type(version) is int else 0, unknown=unknown(record))
