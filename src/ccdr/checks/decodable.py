"""`decodable`: audio opens and decodes to its end, through libsndfile, in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.checks.decoding import decode
from ccdr.engines.files import LISTING, matching
from ccdr.interfaces import Bench, Restored
from ccdr.model import CheckResult
from ccdr.schema import Text

NAMED = 20


class Decodable(CheckConfig):
    engines: ClassVar[tuple[str, ...]] = ("files",)
    needs_sandbox: ClassVar[bool] = True

    kind: Literal["decodable"]
    match: tuple[Text, ...] = Field(
        ("*.wav", "*.mp3", "*.ogg", "*.opus", "*.flac", "*.aiff", "*.au"),
        min_length=1,
        description="shell patterns of file names that hold audio",
    )
    at_least: int = Field(1, ge=1, description="fewer matching files than this is a FAIL")

    def run(self, engine: Restored, bench: Bench) -> Iterator[CheckResult]:
        audio = list(matching(bench.restored / LISTING, self.match))
        base = bench.sandbox.path(bench.fetched)
        expected = f"at least {self.at_least} files, all decodable"
        if len(audio) < self.at_least:
            yield self.result(False, expected, f"{len(audio)} files match {' '.join(self.match)}")
            return
        found = decode(bench.sandbox, [f"{base}{entry.path}" for entry in audio])
        bad = found.bad
        silent = found.silent == len(audio)  # every single one: the recorder records nothing
        empty = f", {found.silent} of them without sound" if found.silent else ""
        actual = f"{len(bad)} of {len(audio)} files do not decode" if bad else f"{len(audio)} files decode{empty}"
        detail = "\n".join(f"{audio[n].path}: {why}" for n, why in bad[:NAMED]) or None
        yield self.result(not bad and not silent, expected, actual, detail)
