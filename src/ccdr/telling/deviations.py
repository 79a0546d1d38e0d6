"""The deviations that there are, for whoever shows them, with what people wrote."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from ccdr.evidence.deviations.standing import deviations_of, unrecorded
from ccdr.evidence.deviations.values import Deviation, Said, State
from ccdr.evidence.history.asset_history import Histories
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.payloads import GONE, payload
from ccdr.host.state import State as StateDirectory
from ccdr.jobs.deviations import checked
from ccdr.jobs.services import Services
from ccdr.model.values import rfc3339
from ccdr.plans import LoadedPlan
from ccdr.telling.status import status


@dataclass(frozen=True)
class Told:
    """A deviation as it stands at a moment, with what people wrote; None where that was taken back."""

    deviation: Deviation
    now: datetime
    words: Mapping[str, str | None]  # by digest

    @property
    def state(self) -> State:
        return self.deviation.state(self.now)

    @property
    def overdue(self) -> bool:
        return self.deviation.overdue(self.now)

    @property
    def word(self) -> str:
        """How it stands, for people."""
        one = self.deviation
        if one.retest is not None:
            return "closed"
        accepted = one.acceptance(self.now)
        if accepted is not None:
            return f"accepted until {accepted.until:%Y-%m-%d}{'' if accepted.by.state else ', not verified'}"
        return "OVERDUE" if self.overdue else "open"

    @property
    def cause(self) -> str | None:
        return self.newest(self.deviation.cause)

    @property
    def action(self) -> str | None:
        return self.newest(self.deviation.action)

    def newest(self, said: Sequence[Said]) -> str | None:
        """The words that count: the newest; None where nobody wrote any."""
        return None if not said else self.words.get(said[-1].words or "") or GONE

    @property
    def retest(self) -> str:
        """What ended it, or why nothing did yet."""
        one = self.deviation
        if one.retest is not None:
            return f"record {one.retest.record}, {one.retest.at:%Y-%m-%d %H:%M}"
        if one.unchecked is not None:
            return f"none: record {one.unchecked.record} is good by fewer or weaker checks"
        return "none yet"

    def as_json(self) -> dict[str, object]:
        one = self.deviation
        return {
            **one.as_json(self.now),
            "cause": self.newest(one.cause),
            "action": self.newest(one.action),
            "said": [
                {"at": rfc3339(said.at), "record": said.record, "by": said.actor, "what": what,
                 "text": None if said.words is None else self.words.get(said.words)}
                for said, what in self.said()
            ],
        }  # fmt: skip

    def said(self) -> list[tuple[Said, str]]:
        """All that people said, in order."""
        one = self.deviation
        kinds = (("cause", one.cause), ("action", one.action), ("note", one.notes))
        every = [(Said(a.record, a.at, a.actor, None), "assigned") for a in one.assigned]
        every += [(said, what) for what, each in kinds for said in each]
        every += [(Said(a.number, a.at, a.record.actor, a.record.words_sha256), "accepted") for a in one.accepted]
        return sorted(every, key=lambda pair: pair[0].record)


def told(deviations: Iterable[Deviation], state: StateDirectory, now: datetime, *, words: bool = True) -> list[Told]:
    """`words`: with what people wrote, which is kept apart from the records."""
    return [Told(one, now, dict(_words(one, state)) if words else {}) for one in deviations]


def _words(one: Deviation, state: StateDirectory) -> Iterator[tuple[str, str | None]]:
    for said, _ in Told(one, one.last, {}).said():
        if said.words is not None:
            yield said.words, payload(state, said.words)


def standing(plans: Sequence[LoadedPlan], services: Services) -> list[Deviation]:
    """Those of these plans, of plans without a file, and of the ledger: open ones, and the newest that ended, by what
    is kept of the ledger. CcdrError where that cannot be read."""
    histories, now = services.histories(), services.clock.now()
    return every(plans, status(plans, services, histories), histories, services, now)


def every(
    plans: Sequence[LoadedPlan],
    judged: Iterable[AssetStatus],
    histories: Histories,
    services: Services,
    now: datetime,
    names: Collection[str | None] | None = None,
    *,
    verify: bool = True,
) -> list[Deviation]:
    """At that time. `names`: of these plans only, None is the ledger's own. `verify`: acceptances, by this host's
    files of who may approve."""
    found = [*deviations_of(histories, names), *unrecorded(judged, histories, now)]
    return checked(sorted(found, key=lambda one: one.opened_at), services, plans if verify else None, now)
