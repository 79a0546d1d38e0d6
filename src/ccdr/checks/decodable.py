"""`decodable`: audio opens and decodes to its end, through libsndfile, in the sandbox."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.checks import decoder
from ccdr.checks.base import CheckConfig
from ccdr.engines.files import LISTING, matching
from ccdr.errors import CommandFailed, TestBroken
from ccdr.interfaces import Bench, Restored
from ccdr.model import CheckResult
from ccdr.schema import Text

NAMED = 20
NO_DECODER = 3


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
        names = "\0".join(f"{base}{entry.path}" for entry in audio)
        script = Path(decoder.__file__).read_text("utf-8")
        expected = f"at least {self.at_least} files, all decodable"
        if len(audio) < self.at_least:
            yield self.result(False, expected, f"{len(audio)} files match {' '.join(self.match)}")
            return
        argv = ["python3", "-I", "-c", script]
        said = bench.sandbox.run(argv, stdin=names, what="decoding", ok=(0, NO_DECODER, 127))
        if said.code != 0:
            raise TestBroken(
                "the image has no audio decoder (python3 with the soundfile module)",
                hint="use ccdr-sandbox/files:1 (`make images`), or an image that has both",
            )
        found = json.loads(said.stdout)
        if found["seen"] != len(audio):
            raise CommandFailed(["decoder"], 0, f"it looked at {found['seen']} of {len(audio)} files")
        bad = found["bad"]
        silent = found["empty"] == len(audio)  # every single one: the recorder records nothing
        empty = f", {found['empty']} of them without sound" if found["empty"] else ""
        actual = f"{len(bad)} of {len(audio)} files do not decode" if bad else f"{len(audio)} files decode{empty}"
        detail = "\n".join(f"{audio[n].path}: {why}" for n, why in bad[:NAMED]) or None
        yield self.result(not bad and not silent, expected, actual, detail)
