"""`decodable`: audio opens and decodes to its end, through libsndfile, in the sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar, Literal

from pydantic import Field

from ccdr.checks.base import CheckConfig
from ccdr.checks.decoding import Decoded, decode
from ccdr.engines.files import LISTING, matching
from ccdr.model.schema import Text
from ccdr.model.values import CheckResult, so_many
from ccdr.ports.check import CheckContext
from ccdr.ports.restored import Restored

NAMED = 20
AT_ONCE = 20_000  # files that one decoder is given


class Decodable(CheckConfig):
    engines: ClassVar[tuple[str, ...]] = ("files",)
    needs_sandbox: ClassVar[bool] = True
    floors: ClassVar[tuple[str, ...]] = ("at_least",)

    kind: Literal["decodable"]
    match: tuple[Text, ...] = Field(
        ("*.wav", "*.mp3", "*.ogg", "*.opus", "*.flac", "*.aiff", "*.au"),
        min_length=1,
        description="shell patterns of file names that hold audio",
    )
    at_least: int = Field(1, ge=1, description="fewer matching files than this is a FAIL")

    def run(self, engine: Restored, context: CheckContext) -> Iterator[CheckResult]:
        audio = [entry.path for entry in matching(context.restored / LISTING, self.match)]
        expected = f"at least {so_many(self.at_least, 'file')}, all decodable"
        if len(audio) < self.at_least:
            count = so_many(len(audio), "file matches", "files match")
            yield self.result(False, expected, f"{count} its patterns")  # which may quote somebody
            return
        decoded = self._decoded(context, audio)
        bad = decoded.bad
        silent = decoded.silent == len(audio)  # every single one: the recorder records nothing
        empty = f", {decoded.silent} of them without sound" if decoded.silent else ""
        actual = (
            f"{len(bad)} of {len(audio)} files do not decode"
            if bad
            else f"{so_many(len(audio), 'file decodes', 'files decode')}{empty}"
        )
        detail = "\n".join(f"{audio[n]}: {why}" for n, why in bad[:NAMED]) or None
        yield self.result(not bad and not silent, expected, actual, detail)

    @staticmethod
    def _decoded(context: CheckContext, audio: list[str]) -> Decoded:
        """Some thousands at a time: there may be very many."""
        base = context.sandbox.path(context.fetched)
        bad: list[tuple[int, str]] = []
        silent = 0
        for first in range(0, len(audio), AT_ONCE):
            decoded = decode(context.sandbox, [f"{base}{path}" for path in audio[first : first + AT_ONCE]])
            bad += [(first + n, why) for n, why in decoded.bad]
            silent += decoded.silent
        return Decoded(bad, silent)
