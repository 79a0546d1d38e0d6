"""Decodes audio files in a sandbox: what `decodable` and `reconcile` share."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ccdr.checks import decoder
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.ports.place import Place

NO_DECODER = 3


@dataclass(frozen=True)
class Decoded:
    """`bad` is (position among the names, why); `silent` counts good files without a frame."""

    bad: list[tuple[int, str]]
    silent: int


def decode(box: Place, names: Sequence[str]) -> Decoded:
    """Every named file (as the box names it) is decoded to its end. TestBroken where the image cannot."""
    argv = ["python3", "-I", "-c", Path(decoder.__file__).read_text("utf-8")]
    output = box.run(argv, stdin="\0".join(names), what="decoding", ok=(0, NO_DECODER, 127))
    if output.code != 0:
        raise TestBroken(
            "the image has no audio decoder (python3 with the soundfile module)",
            hint="use ccdr-sandbox/files:1 (`make images`), or an image that has both",
        )
    answer = json.loads(output.stdout)
    if answer["seen"] != len(names):
        raise CommandFailed(["decoder"], 0, f"it looked at {answer['seen']} of {len(names)} files")
    return Decoded([(number, why) for number, why in answer["bad"]], answer["empty"])
