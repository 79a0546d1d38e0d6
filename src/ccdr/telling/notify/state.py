"""Who was told what: STATE/told.json. What is news to an address follows from it.

A concern is told to each address once when it comes, again after `remind` for as long as it stays, and once when it
is over. One that comes back soon after that is flapping: it is told once more, and then over only when it has stayed
away for as long as `remind`. An address that could not be reached is owed whatever it was not told.

A file that is lost or damaged makes everything news again: rather told twice than never.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path

import msgspec

from ccdr.host.state_files import StateDamaged, StateFile, read_state, write_state
from ccdr.model.instant import Instant
from ccdr.model.trouble import Trouble
from ccdr.telling.notify.concerns import Concern, Key

OWED_FOR = timedelta(days=7)  # what is over by then is not told any more to an address that is down
RETRY_FIRST, RETRY_LONGEST = timedelta(minutes=5), timedelta(hours=1)

# What we know of ourselves, however little is known of the assets.
OUR_OWN = (Trouble.UNTOLD,)


class As(StrEnum):
    """What an address knows of a concern."""

    OWED = "owed"  # nothing yet: it could not be reached
    OPEN = "open"
    FLAPPING = "flapping"
    FIXED = "fixed"


class Kind(StrEnum):
    """Why something is told now."""

    NEW = "new"
    AGAIN = "again"
    STILL = "still"
    FIXED = "fixed"


@dataclass
class Entry:
    """One concern, from when it was first seen until everybody knows that it is over; `text` and `step` as they are by
    now; `private` and `why` as seen now, and not kept. `by_address`: what each was last told, and when."""

    asset: str | None
    trouble: Trouble
    about: str
    text: str
    since: Instant
    passing: bool = False
    step: str | None = None
    noted: Instant | None = None  # until when it is acknowledged: seen anew by each run, never kept
    gone: Instant | None = None
    returns: int = 0
    by_address: dict[str, tuple[As, Instant]] = field(default_factory=dict)
    private: tuple[str, ...] = ()
    why: str = ""
    because: Trouble | None = None

    @property
    def key(self) -> Key:
        return self.asset, self.trouble.value, self.about


@dataclass(frozen=True)
class News:
    kind: Kind
    entry: Entry


@dataclass
class Failure:
    """An address that could not be told (or could not be read, or pinged). `since` the first try, `last` the newest."""

    name: str
    reason: str
    since: Instant
    last: Instant
    tries: int = 1

    def retry_at(self) -> datetime:
        wait: timedelta = RETRY_FIRST * 2 ** min(self.tries - 1, 10)
        return self.last + min(wait, RETRY_LONGEST)


@dataclass
class NotificationState:
    """What one plan's people were told."""

    entries: dict[Key, Entry] = field(default_factory=dict)
    failures: dict[str, Failure] = field(default_factory=dict)  # by address

    def observe(
        self,
        concerns: Iterable[Concern],
        assets: Collection[str],
        now: datetime,
        *,
        whole: bool,
        elsewhere: Collection[Key] = (),
    ) -> None:
        """Take in what is wrong now. `whole`: all that is wrong was looked for, so what is not among it is over. What
        is `elsewhere` another host's to tell by now is not over: nothing more is said of it."""
        present = set()
        for key in elsewhere:
            self.entries.pop(key, None)
        for concern in concerns:
            same, noted = concern.key in present, concern.acknowledged
            present.add(concern.key)
            entry = self.entries.get(concern.key)
            if entry is None:
                since = min(concern.since or now, now)
                entry = Entry(concern.asset, concern.trouble, concern.about, concern.text, since, concern.passing)
                self.entries[concern.key] = entry
            if same:  # where two are told as one, both must be acknowledged
                noted = min(noted, entry.noted) if noted and entry.noted else None
            entry.text, entry.step, entry.private = concern.text, concern.step, concern.private
            entry.noted, entry.why, entry.because = noted, concern.why, concern.because
            if entry.gone is not None:
                entry.gone, entry.returns = None, entry.returns + 1
        for entry in self.entries.values():
            if entry.gone is not None or entry.passing or entry.key in present:
                continue
            if _is_over(entry, assets, whole=whole):
                entry.gone = now
        self._drop_replaced()

    def _drop_replaced(self) -> None:
        there = {(e.asset, e.trouble.name) for e in self.entries.values() if e.gone is None}
        for key, entry in list(self.entries.items()):
            worse = entry.trouble.row.replaced_by
            if entry.gone is not None and any((entry.asset, w) in there for w in worse):
                del self.entries[key]

    def news(self, address: str, now: datetime, remind: timedelta) -> list[News]:
        """What this address does not know yet, or has to be reminded of, the worst first. One reminder takes along
        the others that would follow it soon."""
        due, soon = [], []
        for entry in self.open_and_gone():
            if entry.trouble is Trouble.UNTOLD and entry.about == address:
                continue  # whoever reads it has been reached
            kind = _kind(entry, address, now, remind)
            if kind is not None:
                due.append(News(kind, entry))
            elif _kind(entry, address, now, remind / 2) is Kind.STILL:
                soon.append(News(Kind.STILL, entry))
        if any(n.kind is Kind.STILL for n in due):
            due += soon
        return sorted(due, key=lambda n: _rank(n.entry))

    def open_and_gone(self) -> list[Entry]:
        return sorted(self.entries.values(), key=_rank)

    def accept(self, address: str, news: Iterable[News], now: datetime) -> None:
        """The address has taken this in."""
        for one in news:
            before = one.entry.by_address.get(address)
            if one.kind is Kind.STILL and before is not None:
                one.entry.by_address[address] = (before[0], now)
            else:
                word = {Kind.AGAIN: As.FLAPPING, Kind.FIXED: As.FIXED}.get(one.kind, As.OPEN)
                one.entry.by_address[address] = (word, now)

    def owe(self, address: str, news: Iterable[News], now: datetime) -> None:
        """The address could not be reached: what it has never heard of, it is told even when that is over."""
        for one in news:
            one.entry.by_address.setdefault(address, (As.OWED, now))

    def fail(self, address: str, name: str, reason: str, now: datetime) -> None:
        before = self.failures.get(address)
        if before is None:
            self.failures[address] = Failure(name, reason, now, now)
        else:
            self.failures[address] = Failure(name, reason, before.since, now, before.tries + 1)

    def untold(self, plan: str) -> list[Concern]:
        """The failures to tell, to be told themselves."""
        return [
            Concern(plan, None, Trouble.UNTOLD, f"{f.name} {f.reason}", f.since, about=address)
            for address, f in self.failures.items()
        ]

    def tidy(self, addresses: Collection[str], now: datetime, remind: timedelta) -> None:
        """Forget addresses that are no more, and what everybody knows to be over."""
        for entry in self.entries.values():
            entry.by_address = {a: word for a, word in entry.by_address.items() if a in addresses}
        self.entries = {k: e for k, e in self.entries.items() if not _done(e, addresses, now, remind)}

    def wakes(self, remind: timedelta) -> Iterator[datetime]:
        """When there is something to tell again, if nothing changes."""
        for entry in self.entries.values():
            for knows, at in entry.by_address.values():
                if not entry.passing and knows in (As.OPEN, As.FLAPPING):
                    yield max((entry.gone or at) + remind, entry.noted or at)
        for failure in self.failures.values():
            yield failure.retry_at()


def _is_over(entry: Entry, assets: Collection[str], *, whole: bool) -> bool:
    if entry.asset is not None and entry.asset not in assets:
        return True  # no longer in the plan
    return whole or entry.trouble in OUR_OWN


def _kind(entry: Entry, address: str, now: datetime, remind: timedelta) -> Kind | None:
    word = entry.by_address.get(address)
    if entry.gone is not None:
        if word is None or word[0] is As.FIXED:
            return None
        quiet = word[0] is not As.FLAPPING or _elapsed(entry.gone, now) >= remind
        return Kind.FIXED if quiet else None
    if word is None or word[0] is As.OWED:
        return Kind.NEW
    if entry.passing:
        return None
    if word[0] is As.FIXED:
        return Kind.AGAIN
    if entry.noted is not None and now < entry.noted:  # who has said that it is known need not be reminded
        return None
    return Kind.STILL if _elapsed(word[1], now) >= remind else None


def _done(entry: Entry, addresses: Collection[str], now: datetime, remind: timedelta) -> bool:
    if entry.passing:
        everybody = all(entry.by_address.get(a, (As.OWED, now))[0] is not As.OWED for a in addresses)
        return everybody or _elapsed(entry.since, now) >= OWED_FOR
    if entry.gone is None:
        return False
    return _elapsed(entry.gone, now) >= max(OWED_FOR, remind) or all(
        knows is As.FIXED and _elapsed(at, now) >= remind for knows, at in entry.by_address.values()
    )


def _elapsed(at: datetime, now: datetime) -> timedelta:
    """A clock that was set back must not silence anything."""
    return abs(now - at)


def _rank(entry: Entry) -> tuple[bool, int, bool, str, str]:
    """The worst first; what only follows from something else is behind that."""
    rank, of_plan = list(Trouble).index(entry.trouble), entry.asset is None
    return entry.because is not None, rank, of_plan, entry.asset or "", entry.about


# --- the file ------------------------------------------------------------------------------------------------


class PlanTold(msgspec.Struct, frozen=True):
    """What one plan's people were told, as it is kept."""

    entries: tuple[Entry, ...]
    failures: dict[str, Failure]


class AllTold(StateFile, frozen=True, tag_field="format", tag=2):
    """told.json, by plan."""

    plans: dict[str, PlanTold]


def load(path: Path) -> tuple[dict[str, NotificationState], str | None]:
    """By plan; and a sentence where the file could not be read. CcdrError where another ccdr has written it."""
    try:
        kept = read_state(path, AllTold) or AllTold({})
    except StateDamaged as error:
        return {}, f"{error}, so ccdr sends every open problem again"
    return {p: NotificationState({e.key: e for e in one.entries}, one.failures) for p, one in kept.plans.items()}, None


def save(path: Path, states: dict[str, NotificationState]) -> None:
    """CcdrError where the disk refuses."""

    def kept(state: NotificationState) -> PlanTold:
        entries = (replace(one, noted=None, private=(), why="") for one in state.entries.values())
        return PlanTold(tuple(entries), state.failures)

    write_state(path, AllTold({plan: kept(state) for plan, state in states.items()}))
