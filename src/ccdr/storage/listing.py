"""What restic lists: its snapshots, its locks, and what one backup stored."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from ccdr.model.answers import NO_WORDS, FreeText
from ccdr.model.leaps import Growth

# A tag of all that we store; its number is raised when an earlier ccdr would misread what bears it. OF_BEFORE was that
# of before the first release: such snapshots are listed as that, and are nothing else to us.
OURS, OF_BEFORE = "ccdr-3", "ccdr"


@dataclass(frozen=True)
class RepoSnapshot:
    """One line of `restic snapshots`. `time` is when its backup began, `finished` when it was stored; `tags` are
    as we set them (`key=value`). `bytes` is what it holds; 0 where an older restic did not say."""

    id: str
    time: datetime
    finished: datetime
    paths: tuple[str, ...]
    tags: tuple[str, ...]
    bytes: int = 0
    # Its ids in the repository, where these are others: of a copy, whose `id` is that of what it was copied from. More
    # than one where it was copied twice.
    held_as: tuple[str, ...] = ()

    def tag(self, key: str) -> str | None:
        """The value of `key=value`, None where the tag is not there."""
        return next((t.removeprefix(f"{key}=") for t in self.tags if t.startswith(f"{key}=")), None)


@dataclass(frozen=True)
class RepoLock:
    """A lock that a program holds, or left. restic renews a live one's time every five minutes."""

    id: str
    time: datetime
    exclusive: bool
    holder: str


@dataclass(frozen=True)
class Stored:
    """What one backup stored. `warning` is set where restic could not read everything: never a good backup. `words` are
    restic's own of that."""

    id: str
    bytes: int
    added: int
    warning: str | None = None
    words: FreeText = NO_WORDS
    growth: Growth | None = None  # as restic counted it


def nanoseconds(text: str) -> int:
    """RFC 3339 with up to nine digits of a second, since the epoch."""
    date_time, _, rest = text.partition(".")
    digits = re.match(r"\d*", rest)
    zone = rest[len(digits[0]) :] if digits and rest else date_time[19:]
    whole = datetime.fromisoformat(f"{date_time[:19]}{'+00:00' if zone in ('', 'Z') else zone}")
    seconds = int((whole - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds())
    return seconds * 10**9 + int((digits[0] if digits and rest else "0").ljust(9, "0"))
