"""A time as files of ours have it: with its zone."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from msgspec import Meta

Instant = Annotated[datetime, Meta(tz=True)]
