"""How far a plan's register of erasures went, by all that says so beside it: the ledger, the manifests and tags of
backups. A register that is shorter, or another, is not the one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence

from ccdr.evidence.history.kinds import ERASURE_ADD
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.host.state_files import made_of
from ccdr.jobs.erasure.register import ERASURES, FROM_ELSEWHERE, Register, RegisterBad, head_of, stored_register
from ccdr.model.erasure import RegisterHead
from ccdr.model.errors import CcdrError
from ccdr.model.values import Manifest
from ccdr.storage.listing import RepoSnapshot
from ccdr.storage.restic import Restic


def vouched_for(ledger: Ledger, repo: Restic, listed: Sequence[RepoSnapshot], plan: str) -> RegisterHead | None:
    """How far a backup says that the register went; None where there never was one. What neither this host's ledger nor
    an earlier backup tells of is looked at first: a withdrawal that nobody else tells of is not vouched for."""
    backups = [s for s in listed if s.tag("kind") != ERASURES]
    known = _furthest(anchored(ledger, backups, plan))
    there = _furthest(anchored(ledger, listed, plan))
    if there is None or (known is not None and known.entries >= there.entries):
        return known
    with contextlib.suppress(CcdrError):
        register = stored_register(repo, listed, plan)
        require_agreement(register, anchored(ledger, listed, plan), plan)
        require_known_withdrawals(register, ledger, listed, plan, None)
        return there
    return known


def _furthest(heads: Sequence[RegisterHead]) -> RegisterHead | None:
    return max(heads, key=lambda head: head.entries, default=None)


def recorded_heads(ledger: Ledger, plan: str) -> Iterator[RegisterHead]:
    """The newest that this host's ledger tells of. Searched for from its end."""
    for record in ledger.newest(ERASURE_ADD):
        if record["plan"] == plan:
            with contextlib.suppress(ValueError):
                yield made_of(record.get("head"), RegisterHead)
                return


def anchored(
    ledger: Ledger, listed: Sequence[RepoSnapshot], plan: str, manifest: Manifest | None = None
) -> list[RegisterHead]:
    """All heads that a register of the plan must agree with."""
    heads = [head for s in listed if s.tag("plan") == plan and (head := head_of(s)) is not None]
    heads += recorded_heads(ledger, plan)
    if manifest is not None and manifest.erasures is not None:
        heads.append(manifest.erasures)
    return list(dict.fromkeys(heads))


def require_known_withdrawals(
    register: Register | None, ledger: Ledger, listed: Sequence[RepoSnapshot], plan: str, manifest: Manifest | None
) -> None:
    """RegisterBad where an entry is withdrawn that nothing but the register itself says was: whoever holds the
    repository's password could bring people back so."""
    last = max((n for n, one in enumerate(register.entries, 1) if one.withdraws), default=0) if register else 0
    backups = [s for s in listed if s.tag("kind") != ERASURES]
    known = max((head.entries for head in anchored(ledger, backups, plan, manifest)), default=0)
    if last > known:
        raise RegisterBad(
            f"entries of the register of erasures of {plan} are withdrawn, and neither this host's ledger nor a backup "
            "tells of that",
            hint=f"restore on the host that withdrew them, or back up there first: `ccdr backup {plan}`",
        )


def require_agreement(register: Register | None, heads: Sequence[RegisterHead], plan: str) -> None:
    """RegisterBad where the register is missing, another, or older than its last anchored head."""
    most = max(heads, key=lambda head: head.entries, default=None)
    if most is None or not most.entries:
        return
    if register is None:
        raise RegisterBad(
            f"the register of erasures of {plan} is not in the repository, and had {most.entries} entries",
            hint=FROM_ELSEWHERE,
        )
    if len(register.entries) < most.entries:
        raise RegisterBad(
            f"the register of erasures of {plan} has {len(register.entries)} entries, and had {most.entries}: it is "
            "older than its last anchored head",
            hint=FROM_ELSEWHERE,
        )
    if not all(register.agrees(head) for head in heads):
        raise RegisterBad(
            f"the register of erasures of {plan} is another than the ledger or a backup tells of", hint=FROM_ELSEWHERE
        )
