"""`decodable`: audio opens and decodes to its end."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.schema import Text


class Decodable(CheckConfig):
    kind: Literal["decodable"]
    match: tuple[Text, ...] = Field(
        ("*.wav", "*.mp3", "*.ogg", "*.opus", "*.flac", "*.gsm"),
        min_length=1,
        description="shell patterns of file names that hold audio",
    )
    at_least: int = Field(1, ge=1, description="fewer matching files than this is a FAIL")
