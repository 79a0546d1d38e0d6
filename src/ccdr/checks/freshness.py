"""`freshness`: the newest row is as new as it should be, measured against the consistent point."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.schema import Duration, Text


class Freshness(CheckConfig):
    kind: Literal["freshness"]
    query: Text = Field(description="one timestamp")
    within: Duration
