"""`ccdr ledger collect`: other hosts' ledgers, taken in."""

from __future__ import annotations

from pathlib import Path

import click

from ccdr.cli.ledger.taken import brought, taken
from ccdr.cli.settings import settings
from ccdr.cli.verbs import verb
from ccdr.model.errors import Exit, UsageProblem


@verb(short_help="Take in the ledgers of other hosts.")
@click.argument("sources", metavar="DIR|BUCKET...", nargs=-1, required=True)
@click.option(
    "--env-file",
    metavar="FILE",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="NAME=value lines: the credential that may read BUCKET (AWS_ACCESS_KEY_ID=…).",
)
def collect(sources: tuple[str, ...], env_file: Path | None) -> Exit:
    """Take in the ledgers of other hosts: copies of their state directories, of `ledger/` in them, or packages of all
    of it (`ccdr ledger export`); or all that an evidence bucket holds (s3:https://HOST/BUCKET), to which hosts put
    their ledgers and checkpoints.

    Each is verified, compared with what the snapshots known here attest of it, and kept read-only in STATE/ledgers/ID.
    From then on every command reads it with this host's as one population. One that does not verify, is shorter than
    what is here of it, or another chain under the same id, is refused: exit 1.

    Of each object in a bucket the oldest version counts. Another one over it (FORK), a delete marker (REMOVED), and
    lines that lack (SEGMENT_MISSING) are findings: exit 1. Its checkpoints lie in STATE/checkpoints/ID: `ccdr ledger
    verify --ledger ID --pin KEY` takes them as anchors. Only what is new there is fetched. Where the host puts its
    plans there, too, they come to STATE/collected/ID, and it says by which options a report judges by them.

    \b
    Examples:
      ccdr ledger collect /mnt/db1/var/lib/ccdr /mnt/db2/var/lib/ccdr
      ccdr ledger collect s3:https://s3.example/evidence --env-file auditor.env
    """
    from ccdr.host.secrets import env_file as read_env
    from ccdr.jobs.attest.beside import collect as take_in
    from ccdr.jobs.attest.from_bucket import collect_bucket
    from ccdr.storage.evidence_bucket import EvidenceBucket

    services = settings().services()
    buckets = [one for one in sources if one.startswith("s3:")]
    directories = [Path(one) for one in sources if one not in buckets]
    for directory in directories:
        if not directory.is_dir():
            raise UsageProblem(f"there is no directory {directory}")
    if env_file is not None and not buckets:
        raise UsageProblem("--env-file is of a bucket, and none is named", hint="name one: s3:https://HOST/BUCKET")
    env = read_env(env_file) if env_file is not None else {}
    stores = [EvidenceBucket.of(url, env) for url in buckets]
    of_directories = [take_in(directory, services) for directory in directories]
    if not stores:
        return taken(of_directories)
    return brought(of_directories, [one for store in stores for one in collect_bucket(store, services)])
