"""The sheets as one HTML file that needs nothing but itself: a page of A4 each."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from importlib.resources import files

from ccdr import __version__
from ccdr.model.values import rfc3339
from ccdr.telling.kit.sheet import Sheet
from ccdr.telling.pages import environment


def html(sheets: Sequence[Sheet], host: str, now: datetime) -> str:
    template = environment().from_string(files(__package__).joinpath("page.html").read_text("utf-8"))
    day = f"{now:%Y-%m-%d}"
    return template.render(sheets=sheets, host=host, day=day, stamp=rfc3339(now), version=__version__)
