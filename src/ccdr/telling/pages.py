"""What all pages have in common: how a template is read, and that no value in it is more than text."""

from __future__ import annotations

import re
from typing import Any

from jinja2 import Environment, StrictUndefined

# Controls, and characters that turn the direction of what follows: shown as what they are, something strange.
STRANGE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069\ufffe\uffff]")


def environment() -> Environment:
    """For templates of HTML: every value escaped, and none left out in silence."""
    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=StrictUndefined, finalize=plain)


def plain(value: Any) -> Any:
    return STRANGE.sub("\ufffd", value) if type(value) is str else value
