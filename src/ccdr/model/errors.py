"""Errors that a person can act on. Each owns its exit code and says what to do next.

House rule for texts: what was tried, what the program answered, what to do. A message may be recorded and mailed, so it
holds no program's own words: they are `words`, of a type that has no text in a sentence (answers.py).
"""

from __future__ import annotations

import errno
import os
import re
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import ClassVar, Literal

from ccdr.model.answers import FreeText, words_of

_Repository = Literal["missing", "closed", "unavailable", "damaged"]


class Exit(IntEnum):
    """The contract's exit codes."""

    OK = 0
    FINDING = 1
    USAGE = 2
    NOT_CARRIED_OUT = 3
    LEFT_BEHIND = 4
    LOCKED = 5


# Where several apply, the first of these that does.
PRECEDENCE = (Exit.USAGE, Exit.LOCKED, Exit.FINDING, Exit.NOT_CARRIED_OUT, Exit.LEFT_BEHIND)


def worst(codes: Sequence[Exit]) -> Exit:
    """The exit code for several outcomes, by the contract's order."""
    return next((code for code in PRECEDENCE if code in codes), Exit.OK)


class CcdrError(Exception):
    """Something that a person should read. `hint` is the next step, `words` a program's own, for a person's eyes."""

    exit_code: Exit = Exit.NOT_CARRIED_OUT
    repository: ClassVar[_Repository | None] = (
        None  # for records: how it stood with the repository, where that was the trouble
    )

    def __init__(self, message: str, *, hint: str | None = None, words: FreeText | None = None) -> None:
        super().__init__(message)
        self.hint, self.words = hint, words


class UsageProblem(CcdrError):
    """The command line or a file is wrong; nothing was done."""

    exit_code = Exit.USAGE


@dataclass(frozen=True)
class FileProblem:
    """One mistake in a file: `file:line: path: what is wrong, what is expected`."""

    file: str
    line: int
    path: str
    message: str

    def __str__(self) -> str:
        where = f"{self.path}: " if self.path else ""
        return f"{self.file}:{self.line}: {where}{self.message}"


class PlanInvalid(UsageProblem):
    """A plan or restore-test file is wrong; carries every problem found, in file order."""

    def __init__(self, problems: Sequence[FileProblem], *, hint: str | None = None) -> None:
        super().__init__("\n".join(str(p) for p in problems), hint=hint)
        self.problems = tuple(problems)


class Locked(CcdrError):
    """Another run of ours holds the lock."""

    exit_code = Exit.LOCKED


class BackupFailed(CcdrError):
    """A capture or its upload failed; the previous good snapshot stands."""

    exit_code = Exit.FINDING


class SourceAway(BackupFailed):
    """What is to be captured is not where the plan says, or is damaged there."""


class BackupBad(CcdrError):
    """A restore test has shown that the backup is bad, or is not what it claims: FAIL."""

    exit_code = Exit.FINDING


class LogBad(BackupBad):
    """The shipped log is bad, or led to something bad: that says nothing of the base it was applied to."""


@contextmanager
def blaming_the_log() -> Iterator[None]:
    """Whatever is found bad in here is the log's fault."""
    try:
        yield
    except BackupBad as error:
        raise LogBad(str(error), hint=error.hint) from None


class TestBroken(CcdrError):
    """The restore test itself could not be carried out: INCONCLUSIVE."""

    exit_code = Exit.NOT_CARRIED_OUT
    __test__ = False  # its name must not make pytest collect it


class LogStops(TestBroken):
    """The log holds what cannot be applied, or nobody can tell whether it does the same again. Nothing of it counts for
    a base that it would lead on from: only a newer base does, or a recovery that goes as far."""


class LogNotYet(TestBroken):
    """No log that is stored leads on from the base: the next part of it may."""


class TwoBranches(TestBroken):
    """A time may mean either of two branches of a log: only a person can say which."""

    def __init__(self, message: str, branches: tuple[int, int], *, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.branches = branches


class WrittenByNewer(TestBroken):
    """What is there was written by a newer ccdr: it says nothing against the backup, and this one cannot tell more."""

    def __init__(self, what: str, written: int, known: int) -> None:
        self.written, self.known = written, known
        super().__init__(
            f"{what} is of format {written}, and was written by a newer ccdr; this one reads formats up to {known}",
            hint="upgrade ccdr on this host: docs/how-to/upgrade.md, Which hosts go first",
        )


class OfBefore(TestBroken):
    """What is there is of before the first release: nobody reads it but the ccdr that wrote it."""

    def __init__(self, what: str, written: int, known: int) -> None:
        super().__init__(
            f"{what} is of format {written}, of before the first release; ccdr reads format {known} and later",
            hint="the ccdr that wrote it reads it; else begin anew: docs/how-to/upgrade.md",
        )


def require_format(what: str, written: object, known: int) -> None:
    """ValueError where it is no number; WrittenByNewer and OfBefore where another ccdr wrote it."""
    if type(written) is not int or written < 1:
        raise ValueError("its format is no number")
    if written != known:
        raise (WrittenByNewer if written > known else OfBefore)(what, written, known)


class PlanNewer(TestBroken):
    """A newer ccdr stored this plan, and this one does not understand all of it: it guesses nothing."""

    def __init__(self, plan: str, by: str | None, ours: str, why: str) -> None:
        stored = f"ccdr {by}" if by else "a newer ccdr"
        super().__init__(
            f"{stored} stored the plan {plan}, and this is ccdr {ours}, which does not understand all of it: {why}",
            hint=f"install {f'ccdr {by}, or a later one' if by else 'a later ccdr'}, on this host: "
            "docs/how-to/upgrade.md",
        )


class PlanUnconfirmed(CcdrError):
    """A command of a plan that came from a repository was to run, and nobody has confirmed it here: nothing was begun.
    `where` says which keys of the plan name them."""

    def __init__(self, plan: str, where: Sequence[str]) -> None:
        self.where = tuple(where)
        names = ", ".join(self.where)
        super().__init__(
            f"the plan {plan} came from a repository, and nobody has confirmed the command that it names: {names}",
            hint=f"`ccdr plan trust {plan}` shows it, and asks; nothing was begun",
        )


class RepositoryMissing(CcdrError):
    """There is no repository at the plan's URL: a disk that is not mounted proves nothing about the backups on it."""

    repository = "missing"


class RepositoryUnavailable(CcdrError):
    """The repository did not answer, or did not open: proves nothing about its contents."""

    repository: ClassVar[_Repository | None] = "unavailable"


class RepositoryClosed(RepositoryUnavailable):
    """It answered, and does not open with the plan's password."""

    repository = "closed"


class RepositoryDamaged(BackupBad):
    """Its data is there, and what opens it is gone or is not what was stored: nothing in it can be restored."""

    repository = "damaged"


class RepositoryLocked(RepositoryUnavailable):
    """Another program holds an exclusive lock on the repository."""

    repository = None  # it is there


class LedgerBroken(CcdrError):
    """The ledger does not verify."""

    exit_code = Exit.FINDING


class CommandFailed(CcdrError):
    """A program ended otherwise than it should have.

    `code` is its exit status (negative: the signal that ended it), `words` why: a sentence of ours, or the tail of what
    the program said, secrets masked, of which the message holds the closed `answer` alone. `stderr` is either, to be
    searched. `stalled` is true where our no-progress watchdog ended it. `image` is that of the container it ran in.
    """

    def __init__(
        self,
        argv: Sequence[str],
        code: int,
        words: str | FreeText,
        *,
        stalled: bool = False,
        what: str | None = None,
        image: str = "",
    ) -> None:
        program = what or argv[0]
        how = "made no progress and was stopped" if stalled else _how(code)
        ours = isinstance(words, str)
        why = words.strip() if isinstance(words, str) else words.answer
        self.stderr = FreeText(words) if isinstance(words, str) else words
        super().__init__(f"{program} {how}" + (f": {why}" if why else ""), words=None if ours else self.stderr)
        self.argv, self.code, self.stalled = tuple(argv), code, stalled
        self.what, self.image = program, image

    @property
    def the_image(self) -> str:
        """For a sentence about what it lacks."""
        return f"the image {self.image}".rstrip()


class OutputTooLong(CcdrError):
    """A program wrote more than anybody may want of it, and was stopped."""

    def __init__(self, argv: Sequence[str], most: int, *, what: str | None = None) -> None:
        super().__init__(f"{what or argv[0]} wrote more than {most} bytes, and was stopped")


_OF_A_PLAN = re.compile(r"(`ccdr \w+) PLAN\b")


def for_plan(hint: str | None, plan: str) -> str | None:
    """A next step with the plan's name: an engine that advises `ccdr ship PLAN` does not know whose it is."""
    return hint and _OF_A_PLAN.sub(lambda match: f"{match[1]} {plan}", hint)


# What the operating system refuses whoever asks, and what to do: none of it is a defect of ccdr's.
ROOM = "make room there (`df -h`, `df -i`; a quota?), or name another directory with --state; then run it again"
_RIGHTS = "see its owner and mode with `ls -ld`, and run ccdr as a user who may"
_REFUSED = {
    errno.ENOSPC: ROOM,
    errno.EDQUOT: ROOM,
    errno.EROFS: "it is mounted read-only: see `findmnt` and `dmesg` for why, or name another directory with --state",
    errno.EACCES: _RIGHTS,
    errno.EPERM: _RIGHTS,
    errno.EIO: "the disk or the network to it fails: read `dmesg` before you write anything else there",
    errno.EMFILE: "raise the limit of open files (`ulimit -n`), and run it again",
    errno.ENFILE: "too many files are open on this host: see what holds them, and run it again",
    errno.ENOMEM: "free memory on this host, and run it again",
}


def own_error(error: Exception) -> tuple[str, str]:
    """A sentence and a next step for what nobody foresaw: the system's refusal, or a defect of ccdr itself."""
    if isinstance(error, OSError) and (hint := _REFUSED.get(error.errno or 0)):
        file, why = _ours(_file_of(error)), error.strerror or os.strerror(error.errno or 0)
        return f"{file}: {why}" if file else why, hint
    where = traceback.extract_tb(error.__traceback__)[-1]
    place = f"{Path(where.filename).name}:{where.lineno}"
    return (  # its kind alone: what it says may quote whatever was read
        f"an error of ccdr's own, at {place}: {type(error).__name__}",
        "run it again with -v and report what it prints",
    )


@dataclass(frozen=True)
class AttemptFailure:
    """What became of an attempt: a sentence and a next step, which may be recorded, and what programs said on the way,
    which may not."""

    reason: str
    hint: str | None
    words: FreeText


def failure_of(error: Exception) -> AttemptFailure:
    """Of whatever has ended an attempt."""
    if isinstance(error, CcdrError):
        return AttemptFailure(str(error), error.hint, words_of(error))
    reason, hint = own_error(error)
    return AttemptFailure(reason, hint, FreeText(f"{type(error).__name__}: {error}") + words_of(error))


def _file_of(error: OSError) -> str | None:
    """Which file it was about. Writing to one that is open names none: the path that was asked to write does."""
    if error.filename is not None:
        return os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else str(error.filename)
    asked = [frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__)]
    return next((str(path) for path in reversed(asked) if isinstance(path, Path)), None)


# Below these are a customer's own names: what was fetched, captured, or made ready beside a restore's target.
_THEIRS = re.compile(r"fetched|ccdr-capture|\..*\.ccdr-restore-.*|\.ccdr-restore-.*")


def _ours(file: str | None) -> str | None:
    """Of a file's path, what we have named ourselves."""
    parts = Path(file).parts if file is not None else ()
    for number, part in enumerate(parts):
        if _THEIRS.fullmatch(part):
            return str(Path(*parts[: number + 1]))
    return file


def _how(code: int) -> str:
    return f"was ended by signal {-code}" if code < 0 else f"exited with {code}"
