"""Copy snapshots from one repository into another: `restic copy`.

restic keeps a snapshot's time, host, paths, tags and summary, and notes its id as `original`; what has a copy there is
passed over, so that whatever was interrupted goes on, and nothing is there twice. It takes a lock in both repositories.
One process opens both: with one environment.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ccdr.model.errors import CcdrError, CommandFailed, UsageProblem
from ccdr.storage import upkeep
from ccdr.storage.fast_keys import quicken
from ccdr.storage.restic import PROBE_WAIT, Restic
from ccdr.storage.restic_failures import DAMAGE, Said, as_repository_error, readable
from ccdr.storage.s3 import Bucket
from ccdr.storage.s3_bridge import bridged

OnCount = Callable[[int, int, str], None]
_PASSWORD = ("RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND", "RESTIC_KEY_HINT")


def init_like(target: Restic, source: Restic, scratch: Path) -> None:
    """Make `target` so that what is copied into it later shares its data with what is there: with the chunker's
    parameters of `source`."""
    if (bucket_and_prefix := Bucket.of(target.location, target.env)) is not None:
        bucket_and_prefix[0].ensure(lock_days=target.lock_days)
    with _both(target, source, scratch) as (repo, way):
        repo._run(
            ["init", "--from-repo", way, "--copy-chunker-params"], what="creating the copy", within=2 * PROBE_WAIT
        )
    quicken(target)


def copy(
    target: Restic, source: Restic, snapshots: Sequence[str], scratch: Path, on_count: OnCount | None = None
) -> None:
    """Copy these, in this order; what is there already is passed over.

    Raises as every call of `target`; what restic says is of one of the two: both are to be asked.
    """
    ids = [source.held_as(one)[0] for one in snapshots]
    with _both(target, source, scratch) as (repo, way):
        argv = ["copy", "--from-repo", way]
        if target.upload_limit:
            argv += ["--limit-upload", str(max(1, target.upload_limit // 1024))]
        if source.download_limit:
            argv += ["--limit-download", str(max(1, source.download_limit // 1024))]
        for first in range(0, len(ids), upkeep.AT_ONCE):
            some = [*argv, *ids[first : first + upkeep.AT_ONCE]]
            code, stderr = upkeep.counted(repo, some, "copying snapshots", on_count)
            if code != 0:
                raise _failure(repo, code, readable(stderr))


def _failure(repo: Restic, code: int, said: Said) -> CcdrError:
    """Where restic speaks of damage, that is it, whatever else it says: it stops all that it does beside."""
    failed = CommandFailed(["restic", "copy"], code, said, what="copying snapshots (restic copy)")
    if DAMAGE.search(said.plain):
        return failed
    try:
        with as_repository_error(repo):
            raise failed
    except CcdrError as error:
        return error


def unlock(*repos: Restic) -> None:
    """Remove locks whose owners are dead, or that are old."""
    for repo in repos:
        with contextlib.suppress(CcdrError):
            repo._run(["unlock"], what="removing stale locks")


@contextlib.contextmanager
def _both(target: Restic, source: Restic, scratch: Path) -> Iterator[tuple[Restic, str]]:
    """`target` with all that is needed to read `source` too, and where that is."""
    opens = source.call_env
    own = {f"RESTIC_FROM_{key.removeprefix('RESTIC_')}": opens[key] for key in _PASSWORD if opens.get(key)}
    theirs = {key: value for key, value in source.env.items() if key not in _PASSWORD}
    host = target.host.with_(secrets=(*target.host.secrets, *source.host.secrets))
    clash = [key for key, value in theirs.items() if target.env.get(key, value) != value]
    bucket_and_prefix = Bucket.of(source.location, source.env)
    if clash and bucket_and_prefix is not None:
        with bridged(*bucket_and_prefix, scratch) as way:
            yield replace(target, env={**target.env, **own}, host=host), way
    elif clash:
        raise UsageProblem(
            f"restic can be given only one {clash[0]} for both repositories of a copy",
            hint="let the credential of one of them open both, or reach one of them by rclone: with its own "
            "configuration",
        )
    else:
        yield replace(target, env={**theirs, **target.env, **own}, host=host), source.location
