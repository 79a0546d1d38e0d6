"""Rows matched with files, without a database and without Docker."""

from __future__ import annotations

import io

from hypothesis import given
from hypothesis import strategies as st

from ccdr.checks.reconcile.rows import read_rows

VALUE = st.none() | st.binary(max_size=12) | st.sampled_from([b"\\N", b"\\", b"\t", b"\n", b"\r\n", b"\xff", b""])
SHORT = {b"\\": b"\\\\", b"\t": b"\\t", b"\n": b"\\n", b"\r": b"\\r", b"\b": b"\\b", b"\f": b"\\f", b"\v": b"\\v"}


def as_copy_writes(value: bytes | None) -> bytes:
    if value is None:
        return b"\\N"
    return b"".join(SHORT.get(bytes([byte]), bytes([byte])) for byte in value)


@given(st.integers(1, 4).flatmap(lambda n: st.lists(st.lists(VALUE, min_size=n, max_size=n))))
def test_rows_are_read_as_they_were_written(rows: list[list[bytes | None]]) -> None:
    text = b"".join(b"\t".join(map(as_copy_writes, row)) + b"\n" for row in rows)
    assert list(read_rows(io.BytesIO(text))) == rows
