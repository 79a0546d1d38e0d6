"""Names and values of the world as plan files spell them, and numbers as people read them."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Collection
from pathlib import Path

import yaml

from ccdr.model import values as model

LONGEST = 63  # of a plan's, an asset's or a restore test's name
_PLAIN = re.compile(r"[A-Za-z/][A-Za-z0-9_./@+-]*", re.ASCII)
_WORDS = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"}  # what some reader takes for something else


def name_from(text: str, taken: Collection[str] = (), *, otherwise: str = "data") -> str:
    """A name like `text` that plans accept and that is not taken: small letters, digits, `-` and `_`."""
    folded = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode("ascii").lower()
    base = re.sub(r"[^a-z0-9_-]+", "-", folded).strip("-_")[:LONGEST].rstrip("-_") or otherwise
    name, n = base, 1
    while name in taken:
        n += 1
        name = f"{base[: LONGEST - len(str(n)) - 1]}-{n}"
    return name


def scalar(text: str | int | Path) -> str:
    """A value as YAML, quoted unless no reader could take it for anything else."""
    if isinstance(text, int):
        return str(text)
    text = str(text)
    if _PLAIN.fullmatch(text) and text.lower() not in _WORDS:
        return text
    if '"' in text and text.isprintable():
        return "'" + text.replace("'", "''") + "'"
    return str(yaml.safe_dump(text, default_style='"', allow_unicode=True, width=2**20)).rstrip("\n")


def remark(text: str, comment: str, *, column: int = 37) -> str:
    """A line with a comment behind it, in its column where the text leaves room."""
    return f"{text.ljust(column - 2)}  # {comment}"


def so_many(count: int, one: str) -> str:
    """As `model.so_many`, its thousands told apart."""
    return model.so_many(count, one, form=",")
