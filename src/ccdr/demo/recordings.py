"""Real voice files for the sample contact centre, and the SQL that makes call rows refer to them.

The voices are Debian's `asterisk-core-sounds-en-wav`: 16-bit mono WAV at 8 kHz, as a recorder writes them.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from ccdr.model.errors import CcdrError

SOUNDS = Path("/usr/share/asterisk/sounds")
PACKAGE = "asterisk-core-sounds-en-wav"

# Older than any settle time a plan is likely to ask for: these recordings are finished.
AGE_S = 300.0


@dataclass(frozen=True)
class Recording:
    """A placed file: `path` is relative to the recordings directory, as call rows hold it."""

    path: str
    bytes: int
    sha256: str


def place(sounds: Path, into: Path, *, first: int, count: int, day: date) -> list[Recording]:
    """Copy `count` voice files to `into`/YYYY/MM/DD/NNNN-name.wav, numbered from `first`.

    The same arguments give the same names and contents: sources are taken in sorted order, the one numbered 1
    first, over again from the start when they run out. Modification times lie five minutes back and rise with
    the number. Raises CcdrError where `sounds` holds no WAV file.
    """
    sources = sorted(sounds.rglob("*.wav"), key=lambda path: path.relative_to(sounds).as_posix())
    if not sources:
        raise CcdrError(f"no voice recordings (*.wav) below {sounds}", hint=f"install them: apt-get install {PACKAGE}")
    folder = into / f"{day:%Y/%m/%d}"
    folder.mkdir(parents=True, exist_ok=True)
    newest = time.time() - AGE_S
    placed = []
    for number in range(first, first + count):
        source = sources[(number - 1) % len(sources)]
        target = folder / f"{number:04d}-{source.stem}.wav"
        shutil.copyfile(source, target)
        modified = newest - 0.01 * (first + count - number)
        os.utime(target, (modified, modified))
        content = target.read_bytes()
        placed.append(Recording(target.relative_to(into).as_posix(), len(content), hashlib.sha256(content).hexdigest()))
    return placed


def attach_sql(recordings: Sequence[Recording]) -> str:
    """SQL for psql: the newest answered calls without a recording refer to `recordings`, in order of time.

    It fails, and changes nothing, where there are fewer such calls than recordings.
    """
    rows = "".join(
        f"{number}\t{_copy_text(r.path)}\t{r.bytes}\t{_copy_text(r.sha256)}\n"
        for number, r in enumerate(recordings, start=1)
    )
    return _ATTACH.replace("@rows@", rows)


def _copy_text(text: str) -> str:
    r"""`text` as COPY's text format has it: a name may hold a tab, a newline or a backslash."""
    for plain, escaped in (("\\", r"\\"), ("\t", r"\t"), ("\n", r"\n"), ("\r", r"\r")):
        text = text.replace(plain, escaped)
    return text


_ATTACH = r"""\set QUIET on
\set ON_ERROR_STOP on
BEGIN;
CREATE TEMPORARY TABLE placed (
    n bigint PRIMARY KEY, path text NOT NULL, bytes bigint NOT NULL, sha256 text NOT NULL
) ON COMMIT DROP;
COPY placed FROM stdin;
@rows@\.
CREATE TEMPORARY TABLE chosen ON COMMIT DROP AS
    SELECT id, started_at, row_number() OVER (ORDER BY started_at, id) AS n
    FROM (SELECT id, started_at FROM public.call
          WHERE answered_at IS NOT NULL AND recording_path IS NULL
          ORDER BY started_at DESC, id DESC LIMIT (SELECT count(*) FROM placed)) AS newest;
DO $$
BEGIN
    IF (SELECT count(*) FROM chosen) < (SELECT count(*) FROM placed) THEN
        RAISE EXCEPTION 'fewer answered calls without a recording than recordings';
    END IF;
END
$$;
UPDATE public.call SET recording_path = path, recording_bytes = bytes, recording_sha256 = sha256
FROM placed JOIN chosen USING (n)
WHERE call.id = chosen.id AND call.started_at = chosen.started_at;
COMMIT;
"""
