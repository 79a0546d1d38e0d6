"""Positions in the write-ahead log, as PostgreSQL writes them."""

from __future__ import annotations


def number(position: str) -> int:
    """`16/B374D848` as bytes since the log began."""
    high, _, low = position.partition("/")
    return (int(high, 16) << 32) + int(low, 16)


def lsn(position: int) -> str:
    return f"{position >> 32:X}/{position & 0xFFFFFFFF:X}"
