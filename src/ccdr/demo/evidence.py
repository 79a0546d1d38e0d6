"""What the demo adds for the twelve measures: each thing is done as a user does it, and true of the sample.

One person has all keys here, so its approvals show how that is done, and nothing of the sample's people.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from ccdr.demo.centre import CALLER, NOBODY
from ccdr.evidence.records.statements import APPROVE_PLAN
from ccdr.evidence.statements import Operation
from ccdr.host.processes import Host
from ccdr.host.signatures import sign, trusted_signers
from ccdr.jobs.approvals import NOTHING, Given, Wanted, approve, request, to_approve
from ccdr.jobs.attest.comparison import compare_due
from ccdr.jobs.attesting import attest, to_attest
from ccdr.jobs.daily_verification import verify_now
from ccdr.jobs.erasure.entries import Asked, add
from ccdr.jobs.examining import examine
from ccdr.jobs.plan_in_repository import store
from ccdr.jobs.services import Services, Trigger
from ccdr.jobs.upkeep import check, prune
from ccdr.model.erasure import Rows, Selector
from ccdr.model.errors import CommandFailed, UsageProblem
from ccdr.plans import LoadedPlan
from ccdr.ports.place import Progress

APPROVER, REQUESTER = "approver@demo", "requester@demo"
ASSET, TABLE, COLUMN = "cdr", "cdr", "src"
HOLDS, HOUR = timedelta(days=30), timedelta(hours=1)
SAYS = "the sample's callers and cards are made up by ccdr, and no security code is among them"


@dataclass(frozen=True)
class Approver:
    """Keys made for this demo, and the file in which their owners stand: who may approve, and who asks for it."""

    key: Path
    requester: Path
    signers: Path

    @property
    def block(self) -> str:
        """For the plan."""
        return f"approval: {{signers: {self.signers}}}"


def approver(work: Path) -> Approver | None:
    """None where nobody can approve here: there is no ssh-keygen, or others than root could write who may."""
    where = work.absolute()
    made = Approver(where / "approver", where / "requester", where / "allowed_signers")
    with contextlib.suppress(CommandFailed, UsageProblem, OSError):
        lines = [_signer(name, key) for name, key in ((APPROVER, made.key), (REQUESTER, made.requester))]
        made.signers.write_text("".join(lines), "ascii")
        made.signers.chmod(0o644)
        trusted_signers(made.signers)
        return made
    return None


def _signer(name: str, key: Path) -> str:
    """A new key, and its line of the file of signers."""
    Host().run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", str(key)], what="ssh-keygen")
    return f"{name} {key.with_suffix('.pub').read_text('ascii').rsplit(' ', 1)[0]}\n"


def approved(loaded: LoadedPlan, own: Services, by: Approver | None) -> None:
    """The plan's version, where it is to be; and what is true of the sample is attested."""
    evidence = Path(__file__).parent / "data.sql"
    until = own.clock.now().replace(microsecond=0) + HOLDS
    given = to_attest("card-data", None, SAYS, [evidence], until, own)
    signature = None
    if by is not None:
        text = to_approve(loaded, own).text()
        approve(loaded, own, text, sign(text, by.key, APPROVE_PLAN.namespace, own.host))
        signature = sign(given.text(), by.key, given.row.namespace, own.host)
    attest(given, own, signature, by.signers if by is not None else Path("/nonexistent"), [loaded])


def erased(loaded: LoadedPlan, own: Services, planted: datetime, by: Approver | None) -> None:
    """A caller is in the register who is in the newest snapshot still, and a canary that is in each since `planted`.
    Where the plan wants it, somebody else has approved each entry."""
    for number, at, canary in ((NOBODY, planted, True), (CALLER, own.clock.now(), False)):
        asked = Asked(Selector(ASSET, rows=(Rows(TABLE, ((COLUMN, number),)),)), at, canary)
        about = add(loaded, asked, own, dry_run=True).about
        given = NOTHING if by is None or about is None else _given(Wanted(Operation.REGISTER, loaded, about), own, by)
        add(loaded, asked, own, given)


def _given(wanted: Wanted, own: Services, by: Approver) -> Given:
    asked, requested = request(wanted, own, by.requester, HOUR, ())
    return Given(asked.text(), requested, sign(asked.text(), by.key, asked.row.namespace, own.host))


def looked_after(loaded: LoadedPlan, own: Services, progress: Progress) -> Iterator[str]:
    """What `ccdr run` does each day or night, once; sentences on what could not be done. While the store answers."""
    yield from store([loaded], own)
    prune(loaded, own, progress, trigger=Trigger(own.clock.now(), 1))
    check(loaded, own, progress)
    yield from compare_due([loaded], own, [loaded.plan.plan])
    verify_now(own)
    examine([loaded], [loaded], own)
