"""`integrity`."""

from __future__ import annotations

from typing import Literal

from ccdr.checks.base import CheckConfig


class Integrity(CheckConfig):
    kind: Literal["integrity"]
