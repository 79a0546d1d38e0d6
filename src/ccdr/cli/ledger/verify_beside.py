"""`ccdr ledger verify --ledger ID`: one that was collected, and lies beside ours."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ccdr.cli.ledger.verified import Verified
from ccdr.cli.output import print_json
from ccdr.cli.settings import settings
from ccdr.model.errors import Exit, UsageProblem
from ccdr.model.values import so_many

if TYPE_CHECKING:
    from ccdr.jobs.checkpoints.held_to import Brought


def verify_beside(said: str, brought: Brought, signers: str | None) -> Exit:
    from ccdr.evidence.ledger.verification import verify as verify_ledger
    from ccdr.evidence.lineage.beside import misnamed
    from ccdr.evidence.statements import signed_in
    from ccdr.jobs.attest.beside import others
    from ccdr.jobs.checkpoints.held_to import of_beside
    from ccdr.jobs.statements import verified_by

    services = settings().services()
    named = [(name, path) for name, path in others(services.state) if name.startswith(said.lower())]
    if len(named) != 1:
        problem = f"{so_many(len(named), 'ledger')} here {'begins' if len(named) == 1 else 'begin'} with {said}"
        raise UsageProblem(problem, hint="`ls STATE/ledgers` names them; `ccdr ledger collect` takes one in")
    ((name, path),) = named
    chain = next((one for one in services.population().chains if one.ledger == name), None)
    verification = verify_ledger(path)
    problems = (*verification.problems, *(misnamed(path) if verification.ok else ()))
    if not problems and chain is None:
        problems = (
            "it is not as it was taken in, or no record of ours tells of it: move its directory away, and take it in "
            "anew from its evidence bucket (`ccdr ledger collect`)",
        )
    checked = of_beside(services, name, brought)
    statements, held = verified_by(signed_in(path), signers), checked.signed or brought.anything
    verified = Verified(verification, problems, checked=checked, held=held, statements=statements)
    if settings().json:
        print_json({**verified.as_json(), "ledger": name})
    else:
        verified.tell()
    return verified.exit_code
