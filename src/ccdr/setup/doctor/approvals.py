"""Who may approve a plan, and whether the approval that is recorded still holds: its signature is verified again."""

from __future__ import annotations

from collections.abc import Iterator

from ccdr.evidence.history.asset_history import AssetHistory, Histories
from ccdr.evidence.judgement.upkeep import unapproved
from ccdr.host.signatures import trusted_signers
from ccdr.jobs.approvals import PAGE, block_of, holds
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.model.values import Probe, so_many
from ccdr.plans import LoadedPlan

_WHAT = "approval"


def approvals(loaded: LoadedPlan, services: Services, histories: Histories) -> Iterator[Probe]:
    """Nothing where nobody is to approve it."""
    plan = loaded.plan.plan
    history = histories.get((plan, None), AssetHistory())
    approved = history.approval
    try:
        block = block_of(loaded, services)
        if block is None:
            return
        lines = [line for line in trusted_signers(block.signers).splitlines() if line.strip() and line[0] != "#"]
        found = f"{block.signers}: {so_many(len(lines), 'key')}, written by root alone"
        if why := unapproved(loaded, history, services.clock.now()):
            yield Probe.warn(_WHAT, f"{found}; {why}", f"ccdr plan approve {plan}: {PAGE}")
            return
        assert approved is not None, "nothing is wrong with an approval that there is"
        signer = holds(approved, block, services)
    except UsageProblem as error:
        yield Probe.fail(_WHAT, str(error), error.hint or f"read {PAGE}")
        return
    yield Probe.ok(_WHAT, f"{found}; approved by {signer}")
