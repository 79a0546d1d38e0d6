"""What will be done with an asset, what is looked at then, and what becomes of a source that still answers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ccdr.checks.command import Command
from ccdr.jobs.recover.doubles import Moved
from ccdr.jobs.recover.states import AssetStep, ChosenState, Instead
from ccdr.jobs.restore.ways import roots_of
from ccdr.model.values import Manifest, human_bytes, human_seconds, rfc3339, so_many
from ccdr.plans.job import Job
from ccdr.plans.targets import Target


def will_of(job: Job, where: Target, state: ChosenState, manifest: Manifest) -> Iterator[str]:
    """In order, each as a phrase that goes on after "it"."""
    snapshot = state.snapshot
    yield f"fetches snapshot {snapshot.short} of {rfc3339(snapshot.consistent_point)}, {human_bytes(snapshot.bytes)}"
    if where.directory is not None:
        if roots := roots_of(manifest.contents):
            yield f"writes {', '.join(map(str, roots))} below {where.shown}, each at its own path"
        else:
            yield f"writes {job.engine.as_files(manifest)} into {where.shown}"
    elif where.new_server is not None:
        yield f"makes a server of it in {where.shown}, and does not open it"
    else:
        yield f"loads it into {where.shown}, under a name of its own until it is checked"
    if state.target is not None:
        size = f", {human_bytes(state.log_bytes)}" if state.log_bytes else ""
        until = (
            f"to {rfc3339(state.target.time)}" if state.target.time else f"to its end ({rfc3339(state.point)} or later)"
        )
        verb = "puts the log beside it" if where.directory is not None else "applies the log"
        yield f"{verb} {until} ({so_many(state.log_snapshots, 'snapshot')} of it{size})"


def checks_of(job: Job, where: Target, assets: Collection[str]) -> tuple[list[str], list[str]]:
    """What is looked at; and what is not, with why."""
    done: list[str] = []
    skipped: list[str] = []
    for check in job.checks:
        why = None
        if where.directory is not None and job.engine.has_server:
            why = "there is no server to ask: the files alone are compared with what was captured"
        elif check.beside is not None and check.beside not in assets:
            why = f"{check.beside} is not recovered with it"
        elif where.server is not None and isinstance(check, Command):
            why = "it is written for the sandbox"
        if why is None:
            done.append(check.label)
        else:
            skipped.append(f"{check.label}: {why}")
    if where.directory is not None and not done:
        done.append("every captured file is as it was")
    return done, skipped


def leaving(step: AssetStep, steps: Sequence[AssetStep]) -> Iterator[str]:
    """Of a source that still answers: what rolling it back loses, and what it means to leave it as it is."""
    others = [other for other in steps if other is not step]
    text = f"{step.asset} still answers: going back to its state loses {human_seconds(step.healthy)} of it"
    if not others:
        yield text
        return
    oldest = min(others, key=lambda other: other.state.point)
    ahead = (step.healthy or 0.0) + (step.state.point - oldest.state.point).total_seconds()
    pairs = sorted(
        {c.beside for c in step.job.checks if c.beside}
        | {o.asset for o in others for c in o.job.checks if c.beside == step.asset}
    )
    told = f"; it is compared with {', '.join(pairs)}, and what that lacks is found then" if pairs else ""
    yield (
        f"{text}; left as it is (`--except {step.asset}`), it is up to {human_seconds(ahead)} ahead of "
        f"{oldest.asset}{told}"
    )


def rather(asset: str, instead: Instead) -> str:
    """Of two that protect one server: from which to recover, and what becomes of the other."""
    first = instead.asset
    text = f"{first} and {asset} protect the same server. Recover from {first}: {instead.why}"
    if instead.at_once_with:
        others = ", ".join(instead.at_once_with)
        text += f" (what it has of later than {asset} has no counterpart in {others}, captured together with {asset})"
    if instead.in_full:
        return (
            f"{text}. {asset} is brought back beside it, as a spare: do not start it while {first} will do "
            f"(`--except {asset}` leaves it out, with its checks)"
        )
    return f"{text}. {asset} has what else was on that server, and an older state of that database: start it beside it"


def moved_of(moved: Sequence[Moved], instead: Mapping[str, Instead]) -> Iterator[str]:
    """Ports that are not as at the source. A spare's is no surprise: nobody goes there."""
    for one in moved:
        other = instead.get(one.asset)
        spare = " (a spare)" if other is not None and other.in_full else ""
        yield (
            f"the new server of {one.asset}{spare} listens at {one.address}:{one.port} once it is started: the port of "
            f"its source, {one.was}, is taken by that of {one.before}, and this is the next one that is free on this "
            "host now. Another `port:` can be given in a file for --to"
        )
