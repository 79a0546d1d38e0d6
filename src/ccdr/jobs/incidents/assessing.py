"""What people say of an incident's weight: what was breached, whether it is a risk to anybody and why, how many persons
and records it concerns. GDPR 33(5) wants these facts documented, and no record of a backup knows them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ccdr.evidence.incidents import NOTED, begun_by
from ccdr.evidence.payloads import keep_payload
from ccdr.evidence.verdicts import Record
from ccdr.jobs.incidents.facts import Known
from ccdr.jobs.incidents.opening import after_filing, as_it_counts, recorded_clocks
from ccdr.jobs.services import Services
from ccdr.model.errors import UsageProblem
from ccdr.plans.incident_clocks import LoadedClocks, load_clocks

# By the record's key: what it is called in the register.
SAID = {"risk_sha256": "risk_why", "persons_sha256": "persons_concerned", "records_sha256": "records_concerned"}


@dataclass(frozen=True)
class Assessment:
    """As a person says it, in their words; None, or no kinds, for what they did not say. `risk` by GDPR 33(1) and
    34(1): `unlikely`, `risk` or `high`; it comes with its reason."""

    risk: str | None = None
    risk_why: str | None = None
    persons: str | None = None
    records: str | None = None
    kinds: Sequence[str] = ()

    def __bool__(self) -> bool:
        return any((self.risk, self.persons, self.records, self.kinds))

    def kept(self, services: Services) -> dict[str, Any]:
        """A record's keys: the words are kept apart."""
        words = {"risk_sha256": self.risk_why, "persons_sha256": self.persons, "records_sha256": self.records}
        digests = {key: None if text is None else keep_payload(services.state, text) for key, text in words.items()}
        return {"what": "assessed", "risk": self.risk, "kinds": list(self.kinds), **digests}


def begun(one: Known, risk: str | None, clocks: LoadedClocks) -> list[dict[str, object]]:
    """The clocks that such a risk lets count from now on, as a record has them: by the incident's own records, or by
    `clocks`, or where they lack one by ccdr's own. UsageProblem where it lets one count and the incident is closed."""
    names = begun_by(one.incident, risk)
    if names and not one.incident.open:
        raise UsageProblem(
            f"{one.name} is closed, by record {one.incident.closed}, and a risk noted as {risk} lets "
            f"{', '.join(names)} count",
            hint=f'`ccdr incident reopen {one.name} --why "…"` opens it once more; then note the risk',
        )
    found, zone = [], one.timezone
    for name in names:
        used = clocks if name in clocks.value.clocks else load_clocks(None)
        every = recorded_clocks(used, [name], one.incident.aware_at, zone)
        mine = (as_it_counts(one.entry, clock) for clock in every if clock["clock"] == name)
        found += [after_filing(one.incident, clock, zone) for clock in mine]
    return found


def assessed(records: Sequence[Record]) -> dict[str, Any]:
    """What was said last of each: `risk`, and digests by the record's keys."""
    return dict(_said(records))


def _said(records: Sequence[Record]) -> Iterator[tuple[str, Any]]:
    for record in records:
        if record["kind"] == NOTED:
            yield from ((key, value) for key in ("risk", *SAID) if (value := record.get(key)) is not None)
