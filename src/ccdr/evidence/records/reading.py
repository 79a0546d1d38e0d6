"""A line becomes a typed record. One that this ccdr cannot know whole is `Unread`, which no reader may pass over."""

from __future__ import annotations

import json
import re
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
from ccdr.model.kinds import NotToldHere
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
            if version in line and not beyond(line):
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


_BEYOND = re.compile(rb'"(?:0001|9999)-[0-9-]{5}[Tt ][0-9:.]+[+-][0-9:]+"')


def beyond(line: bytes) -> bool:
    """Has it a time that no UTC holds, as it is of the first or the last day there is, elsewhere?"""
    return (b'"0001-' in line or b'"9999-' in line) and _BEYOND.search(line) is not None


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
    time, version, told = envelope(record), record.get("version"), not unknown(record)
    if told and BESIDE.keys().isdisjoint(record):
        try:
            made: Record = msgspec.convert(record, built(KINDS[record["kind"]]))
            if not beyond(json.dumps(record).encode()):
                return made
        except msgspec.ValidationError as error:
            told = not isinstance(error.__cause__, NotToldHere)
    about = {key: record[key] for key in _ENVELOPE} | {"time": time}
    return Unread(**about, version=version if type(version) is int else 0, unknown=not told)
