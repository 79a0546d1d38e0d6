"""`identical`."""

from __future__ import annotations

from typing import Literal

from ccdr.checks.base import CheckConfig


class Identical(CheckConfig):
    kind: Literal["identical"]
