"""What msgspec knows of a type it builds when that is first used, and lets other threads use half built: they crash, in
C (msgspec 0.22). So it is built by one thread at a time, before anything is made of it."""

from __future__ import annotations

import os
from functools import cache
from threading import RLock
from typing import TypeVar

import msgspec
from msgspec import inspect

T = TypeVar("T")
_BUILDING, _BUILT = RLock(), set[object]()
# Who forks meanwhile would have it half built for good.
os.register_at_fork(before=_BUILDING.acquire, after_in_parent=_BUILDING.release, after_in_child=_BUILDING.release)


def built(of: type[T]) -> type[T]:
    """The same, for whatever is given to msgspec to decode or convert to."""
    if of not in _BUILT:
        with _BUILDING:
            msgspec.json.Decoder(of)
            _BUILT.add(of)
    return of


@cache
def fields_of(of: type) -> inspect.StructType:
    """What msgspec knows of a struct: to ask takes a millisecond."""
    found = inspect.type_info(built(of))
    assert isinstance(found, inspect.StructType)
    return found
