"""`ccdr demo`."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.output import print_json, table, word
from ccdr.cli.progress import progress
from ccdr.cli.restore_test_told import tell
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit
from ccdr.model.values import Achieved, Verdict, human_bytes, human_seconds, so_many

if TYPE_CHECKING:
    from ccdr.demo.show import Shown
    from ccdr.engines import AnyEngine
    from ccdr.jobs.restore_test import RestoreTest

WORK = Path(".demo")
SHOWN_PHASES = {"provision": "sandbox", "fetch": "fetch", "load": "load", "check": "check"}  # and what they are called


@verb(short_help="The main job on a sample contact centre.")
@click.option("--keep", is_flag=True, help="Leave the servers running, to try ccdr on (4 hours).")
@click.option("--clean", is_flag=True, help="Stop the demo's servers, remove ./.demo, and do nothing else.")
@click.option("--recover", is_flag=True, help="Lose the centre and the host, and bring it back from its repository.")
def demo(keep: bool, clean: bool, recover: bool) -> Exit:
    """The main job on a sample contact centre, with nothing to configure.

    Starts a CRM (PostgreSQL), a dialler (MariaDB), queues (Redis), a switchboard (SQLite and a tree of
    configuration), recordings, and an S3 server to back them up to. Backs all of it up by one plan, twice with
    changes between, restores it into sandboxes, checks what came back, and compares calls with recordings. Then
    it flips one byte in a copy of the repository, and shows the test of that going red, and damages a restored
    copy, which its test must find. Works in ./.demo, afresh
    each time, and leaves plans, state and repository there, for you to look at.

    \b
    Examples:
      ccdr demo
      ccdr demo -v        every check of every test, too
      ccdr demo --keep    then, for example: ccdr --plans .demo/plans --restore-tests .demo/restore_tests
                          --state .demo/state status
      ccdr demo --recover  all of it is lost, and comes back: what somebody on call would type
      ccdr demo --clean
    """
    from ccdr.demo.show import clean as clean_up
    from ccdr.demo.show import show

    options = settings()
    if clean:
        removed = clean_up(WORK)
        click.echo(f"removed {WORK}" if removed else f"there is no {WORK}")
        return Exit.OK
    if recover:
        return _recover()
    with progress() as watched:
        shown = show(WORK, watched, keep=keep)
    if options.json:
        print_json(_document(shown))
    else:
        _tell(shown, verbose=options.verbose)
    return shown.exit_code


def _recover() -> Exit:
    from ccdr.demo.lost import lose_and_recover

    with progress() as watched:
        lost = lose_and_recover(WORK, watched)
    if settings().json:
        commands = [{"command": t.line, "exit": int(t.code), "seconds": round(t.seconds, 1)} for t in lost.typed]
        print_json({"commands": commands, "back_s": round(lost.back_s, 1), "exit": int(lost.exit_code)})
        return lost.exit_code
    click.echo("Everything was lost but the repository, its password and the store's credentials. Typed after that:")
    for typed in lost.typed:
        click.echo(f"\n{click.style(f'$ {typed.line}', bold=True)}\n{typed.said}")
    word_ = "back and checked" if lost.exit_code is Exit.OK else "NOT all back"
    click.echo(
        f"\n{word_}, {human_seconds(lost.back_s)} after the loss, by {len(lost.typed)} commands; "
        f"the whole demo took {human_seconds(lost.seconds)}"
    )
    return lost.exit_code


def _document(shown: Shown) -> dict[str, object]:
    return {
        "backups": [b.as_json() for round_ in shown.rounds for b in round_],
        "group": shown.group and shown.group.as_json(),
        "tests": [t.as_json() for t in shown.tests],
        "damaged_copy": shown.damaged and shown.damaged.as_json(),
        "negative_control": shown.control and shown.control.as_json(),
        "stores": [_store(shown, test) for test in shown.tests],
        "seconds": round(shown.seconds, 1),
        "package": shown.audited and shown.audited.as_json(),
        "exit": int(shown.exit_code),
    }


def _store(shown: Shown, test: RestoreTest) -> dict[str, object]:
    """One line of the table."""
    engine = shown.loaded.plan.assets[test.asset]
    return {
        "asset": test.asset,
        "engine": engine.engine_name,
        "method": engine.method,
        "log_shipped": engine.shipping is not None,
        "verdict": test.verdict.value,
        "compared": shown.held[test.asset],
        "checks": len(test.checks),
        "rpo": test.rpo and test.rpo.as_json(),
        "rto": test.rto and test.rto.as_json(),
        "phases": {name: round(seconds, 3) for name, seconds in test.phases.items()},
        "added_bytes": [b.added for round_ in shown.rounds for b in round_ if b.asset == test.asset],
    }


def _tell(shown: Shown, *, verbose: bool) -> None:
    for test in shown.tests:
        if verbose or test.verdict is not Verdict.PASS:
            tell(test)
    if shown.damaged is not None:
        click.echo("A copy of the repository with one byte flipped:\n")
        tell(shown.damaged)
    if (control := shown.control) is not None:
        found = control.damaged is not None and control.damaged.verdict is Verdict.FAIL
        then = "its test FAILed it, as it must" if found else f"and {control.reason}"
        click.echo(f"{word(control.result)}  a restored copy of {control.asset} was damaged ({control.what}): {then}\n")
    _tell_erased(shown)
    _tell_together(shown)
    table(
        ("asset", "store and method", "verdict", "came back, and compared", "RPO", "RTO", *SHOWN_PHASES.values()),
        [_row(shown, test) for test in shown.tests] + ([] if shown.damaged is None else [_damaged(shown.damaged)]),
    )
    _tell_end(shown)


def _tell_erased(shown: Shown) -> None:
    for test in shown.tests:
        if (outcome := test.erasure) is not None:
            people = so_many(outcome.entries, "entry", "entries")
            click.echo(f"{word(outcome.result)}  {people} of the register: erased again in the restored {test.asset}\n")


def _tell_together(shown: Shown) -> None:
    """What was captured at one instant, and whether it fits."""
    if shown.group is not None:
        assets = " and ".join(shown.group.group.assets)
        click.echo(f"captured together: {assets}, their consistent points {human_seconds(shown.group.skew)} apart")
    for check in (c for test in shown.tests for c in test.checks if c.kind == "reconcile"):
        click.echo(f"{word(check.status)}  {check.name}: {check.actual}")
    click.echo()


def _row(shown: Shown, test: RestoreTest) -> tuple[str, ...]:
    held = ", ".join(f"{count} {what}" for what, count in shown.held[test.asset].items())
    came = held + (" + log" if test.recovery is not None else "") if test.verdict is Verdict.PASS else "-"
    phases = (f"{test.phases[name]:4.1f} s" for name in SHOWN_PHASES)
    how = _how(shown.loaded.plan.assets[test.asset])
    return (test.asset, how, word(test.verdict), came, _achieved(test.rpo), _achieved(test.rto), *phases)


def _damaged(test: RestoreTest) -> tuple[str, ...]:
    nothing = ["-" for _ in SHOWN_PHASES]
    measured = (_achieved(test.rpo), _achieved(test.rto))
    return (f"{test.asset}, damaged", "one byte was flipped", word(test.verdict), "-", *measured, *nothing)


def _how(engine: AnyEngine) -> str:
    return f"{engine.engine_name}, {engine.method}" + (" + log" if engine.shipping is not None else "")


def _achieved(achieved: Achieved | None) -> str:
    if achieved is None or achieved.achieved_s is None:
        return word(achieved.verdict) if achieved else "-"
    return f"{word(achieved.verdict)} {human_seconds(achieved.achieved_s)}"


def _called() -> str:
    """How whoever reads this called ccdr: by its name where that leads here, by its path otherwise."""
    called = Path(sys.argv[0])
    on_path = shutil.which(called.name)
    return called.name if on_path and Path(on_path).resolve() == called.resolve() else str(called)


def _tell_end(shown: Shown) -> None:
    plan, where = shown.loaded.plan, shown.work
    own = [
        f"{name}'s RPO {human_seconds(asset.objectives.rpo)}"
        for name, asset in plan.assets.items()
        if asset.objectives.rpo is not None
    ]
    wanted = [f"RPO {human_seconds(plan.objectives.rpo)}", f"RTO {human_seconds(plan.objectives.rto)}", *own]
    stored = [human_bytes(sum(b.added for b in round_)) for round_ in shown.rounds]
    click.echo(f"\nThe objectives: {', '.join(wanted)}. Tests ran side by side: each alone would be quicker.")
    click.echo(f"The first backups stored {stored[0]}, the second ones {stored[-1]}.")
    if (package := shown.audited) is not None:
        said = f"up to record {package.record} of {package.records}, by {package.anchor}"
        click.echo(f"\n{word('PASS')}  the package in {package.package}: {package.says}, {said}")
    good = shown.exit_code is Exit.OK
    click.echo(f"\n{'as it should be' if good else 'NOT as it should be'}, in {human_seconds(shown.seconds)}")
    for note in shown.notes:
        click.echo(f"NOT done: {note}")
    click.echo(f"look around: {_called()} --plans {where}/plans --state {where}/state status")
    if package is not None:
        click.echo(f"verify the package: {_called()} {' '.join(package.command)}")
    click.echo(f"the twelve measures: {_called()} --plans {where}/plans --state {where}/state controls")
    if not shown.kept:
        click.echo("its servers have ended; `ccdr demo --keep` leaves them running, to back up and test yourself")
    else:
        click.echo("still running: PostgreSQL, MariaDB, Redis and the S3 server; `ccdr demo --clean` stops them")
