"""`ccdr demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from ccdr.cli.shell import print_json, progress, settings, table, verb, word
from ccdr.cli.test import tell
from ccdr.errors import Exit
from ccdr.model import Achieved, human_bytes, human_seconds

if TYPE_CHECKING:
    from ccdr.demo.show import Shown

WORK = Path(".demo")


@verb()
@click.option("--keep", is_flag=True, help="Leave the database and S3 servers running, to try ccdr on (4 hours).")
@click.option("--clean", is_flag=True, help="Remove ./.demo and what still runs of it, and do nothing else.")
def demo(keep: bool, clean: bool) -> Exit:
    """The main job on a sample contact centre, with nothing to configure.

    Starts a PostgreSQL server and an S3 server, fills them, backs up twice with changes between, restores the
    newest backup into sandboxes and checks it. Then it damages a copy of the repository, and shows the test
    of it going red. Works in ./.demo, afresh each time, and leaves plans, state and repository there to look
    around in.

    \b
    Examples:
      ccdr demo
      ccdr demo --keep    then, for example: ccdr --plans .demo/plans --restore-tests .demo/restore_tests
                          --state .demo/state status
      ccdr demo --clean
    """
    from ccdr.demo.show import clean as clean_up
    from ccdr.demo.show import show

    options = settings()
    if clean:
        removed = clean_up(WORK)
        click.echo(f"removed {WORK}" if removed else f"there is no {WORK}")
        return Exit.OK
    with progress() as watched:
        shown = show(WORK, watched, keep=keep)
    if options.json:
        print_json(_document(shown))
    else:
        _tell(shown)
    return shown.exit_code


def _document(shown: Shown) -> dict[str, object]:
    return {
        "backups": [b.as_json() for b in shown.backups],
        "tests": [t.as_json() for t in shown.tests],
        "damaged_copy": shown.damaged and shown.damaged.as_json(),
        "seconds": round(shown.seconds, 1),
        "exit": int(shown.exit_code),
    }


def _tell(shown: Shown) -> None:
    for done in shown.tests:
        tell(done)
    click.echo("And a copy of the repository with one byte flipped:\n")
    if shown.damaged is not None:
        tell(shown.damaged)
    click.echo("backups")
    half = len(shown.backups) // 2
    table(
        ("asset", "captured", "first backup stored", "second backup stored"),
        [
            (
                one.asset,
                human_bytes(two.snapshot.bytes if two.snapshot else 0),
                human_bytes(one.added),
                human_bytes(two.added),
            )
            for one, two in zip(shown.backups[:half], shown.backups[half:], strict=True)
        ],
    )
    click.echo("\nrestore tests")
    rows = [(t.asset, word(t.verdict), _objective(t.rpo), _objective(t.rto)) for t in shown.tests]
    if shown.damaged is not None:
        d = shown.damaged
        rows.append((f"{d.asset}, damaged copy", word(d.verdict), _objective(d.rpo), _objective(d.rto)))
    table(("asset", "verdict", "RPO", "RTO"), rows)
    where = shown.work
    good = shown.exit_code is Exit.OK
    click.echo(f"\n{'as it should be' if good else 'NOT as it should be'}, in {human_seconds(shown.seconds)}")
    click.echo(f"look around: .venv/bin/ccdr --plans {where}/plans --state {where}/state ledger show")
    if not shown.kept:
        click.echo("its servers have ended; `ccdr demo --keep` leaves them running, to back up and test yourself")
    else:
        click.echo("still running: the database and the S3 server; `ccdr demo --clean` stops them")


def _objective(achieved: Achieved | None) -> str:
    if achieved is None:
        return "-"
    return f"{word(achieved.verdict)}  {human_seconds(achieved.achieved_s)} of {human_seconds(achieved.objective_s)}"
