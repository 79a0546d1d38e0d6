"""A key for journals' seals, where no repository's password is at hand."""

from __future__ import annotations


def a_key() -> bytes:
    return b"a key"
