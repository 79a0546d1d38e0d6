"""What bounds restic, and what its settings do about it: by hand over one directory, the same for each setting."""

from __future__ import annotations

import shlex
import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from machine import timed
from rounds import say
from sides import Restic
from source import tree_bytes


@dataclass(frozen=True)
class Setting:
    text: str
    words: Sequence[str] = ()  # of `restic backup`
    env: dict[str, str] = field(default_factory=dict)  # of both ways
    streams: int = 1  # backups side by side, each of a share of the files


SETTINGS = (
    Setting("as it comes"),
    Setting("`GOGC=200`", env={"GOGC": "200"}),
    Setting("`GOGC=400`", env={"GOGC": "400"}),
    Setting("`--pack-size 64`", ["--pack-size", "64"]),
    Setting("`--pack-size 128`", ["--pack-size", "128"]),
    Setting("`--read-concurrency 1`", ["--read-concurrency", "1"]),
    Setting("`--read-concurrency 4`", ["--read-concurrency", "4"]),
    Setting("`--read-concurrency 8`", ["--read-concurrency", "8"]),
    Setting("`--compression off`", ["--compression", "off"]),
    Setting("`--compression max`", ["--compression", "max"]),
    Setting("`--no-scan`", ["--no-scan"]),
    Setting("two streams", streams=2),
)


@dataclass(frozen=True)
class Sample:
    """Seconds and bytes; what is left out of several streams is None."""

    backup: float
    stored: int
    restore: float | None = None
    peak: int | None = None


def tuned(directory: Path, work: Path, rounds: int) -> str:
    """The table, as Markdown."""
    found: dict[str, list[Sample]] = {setting.text: [] for setting in SETTINGS}
    for number in range(1, rounds + 1):
        for setting in SETTINGS if number % 2 else reversed(SETTINGS):
            sample = _sample(setting, directory, work / "tune")
            found[setting.text].append(sample)
            say(f"{setting.text}: {sample.backup:.2f} s")
    plain, middle = found[SETTINGS[0].text], statistics.median
    lines = [f"{tree_bytes(directory) / 1e9:.2f} GB, {rounds} rounds", ""]
    lines += ["| restic | backup | of as it comes | restore | stored | peak memory |", "|---|---|---|---|---|---|"]
    for text, samples in found.items():
        ratio = middle(a.backup / b.backup for a, b in zip(samples, plain, strict=True))
        restores, peaks = [s.restore for s in samples if s.restore], [s.peak for s in samples if s.peak]
        cells = [text, f"{middle(s.backup for s in samples):.1f} s", f"{ratio:.2f}"]
        cells += [f"{middle(restores):.1f} s" if restores else "", f"{middle(s.stored for s in samples) / 1e6:.1f} MB"]
        cells += [f"{max(peaks) / 1e6:.0f} MB" if peaks else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _sample(setting: Setting, directory: Path, root: Path) -> Sample:
    repository, target = Restic(root), root / "restored"
    env = {**repository.opening, **setting.env}
    backup = ["restic", "backup", "--quiet", *setting.words]
    if setting.streams == 1:
        done = timed([*backup, str(directory)], env=env)
        back = timed(["restic", "restore", "--quiet", "latest", "--target", str(target)], env=env)
        found = Sample(done.seconds, repository.stored(), back.seconds, done.peak_bytes)
    else:
        shares = _shares(directory, root, setting.streams)
        each = [f"{shlex.join([*backup, '--files-from-verbatim', str(share)])} & jobs+=($!)" for share in shares]
        done = timed(["bash", "-euc", "\n".join([*each, 'for job in "${jobs[@]}"; do wait "$job"; done'])], env=env)
        found = Sample(done.seconds, repository.stored())
    repository.close()
    return found


def _shares(directory: Path, at: Path, streams: int) -> list[Path]:
    """The directory's files, parted by size into as many lists."""
    files = sorted((p for p in directory.rglob("*") if p.is_file()), key=lambda p: -p.stat().st_size)
    lists = [at / f"share{n}" for n in range(streams)]
    for n, path in enumerate(lists):
        path.write_text("".join(f"{file}\n" for file in files[n::streams]), "utf-8")
    return lists
