"""A run's end: what is news goes out, what got there is stamped, a run in which all went well is pinged. A runbook that
waits for a person is told at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from ccdr.evidence.history.asset_history import AssetHistory
from ccdr.evidence.judgement.asset_status import AssetStatus
from ccdr.evidence.judgement.upkeep import judge_runbook
from ccdr.host.state import State
from ccdr.jobs.services import Services
from ccdr.model.errors import CcdrError
from ccdr.model.trouble import Problem, Trouble
from ccdr.model.values import ObjectiveVerdict, rfc3339
from ccdr.plans import LoadedPlan
from ccdr.telling.notify.concerns import Concern, Key, RunAttempt, concerns_of
from ccdr.telling.notify.message import Message, compose, one_line, trial
from ccdr.telling.notify.state import News, NotificationState, load, save
from ccdr.telling.notify.targets import (
    PING,
    PING_SECONDS,
    SECONDS,
    URLS,
    MessageTarget,
    at_once,
    ping,
    read_ping,
    read_targets,
    refuse_unknown,
    send,
)

SOON = timedelta(minutes=1)


@dataclass(frozen=True)
class SentMessage:
    """A message that an address has taken (or, as `would_tell` has it, would be sent)."""

    plan: str
    to: str
    subject: str
    body: str

    def as_json(self) -> dict[str, object]:
        return {"plan": self.plan, "to": self.to, "subject": self.subject}


@dataclass
class Telling:
    """What was told. `failures` are sentences by plan: told themselves the next time. `wakes` is when there is
    something to tell again, if nothing else happens until then."""

    sent: list[SentMessage] = field(default_factory=list)
    failures: dict[str, list[str]] = field(default_factory=dict)
    new_failures: list[str] = field(default_factory=list)  # of addresses that were well before
    pinged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    wakes: datetime | None = None
    busy: bool = False  # another run is telling; it may know less than this one, so look again soon

    def as_json(self) -> dict[str, object]:
        return {
            "sent": [s.as_json() for s in self.sent],
            "failures": self.failures,
            "pinged": self.pinged,
            "notes": self.notes,
        }


@dataclass
class _Plan:
    """One plan's part of a telling. `targets` is None where the addresses could not be read."""

    loaded: LoadedPlan
    state: NotificationState
    targets: list[MessageTarget] | None
    well: bool

    @property
    def name(self) -> str:
        return self.loaded.plan.plan

    @property
    def remind(self) -> timedelta:
        return timedelta(seconds=self.loaded.plan.notify.remind)

    def messages(self, now: datetime) -> Iterator[tuple[MessageTarget, list[News], Message]]:
        """What each address is to be sent. One that could not be reached is tried again, with news or without."""
        for target in self.targets or ():
            news, unreached = self.state.news(target.id, now, self.remind), self.state.failures.get(target.id)
            if news or unreached:
                there = sum(e.gone is None and not e.passing for e in self.state.entries.values())
                among = sum(n.entry.gone is None and not n.entry.passing for n in news)
                own = Trouble.UNTOLD.value
                itself = (None, own, target.id) in self.state.entries
                others = max(0, there - among - itself)
                yield (
                    target,
                    news,
                    compose(
                        self.loaded, news, now, others=others, unreached=unreached, known=self.state.entries.values()
                    ),
                )


def after_run(
    plans: Sequence[LoadedPlan],
    services: Services,
    assets: Sequence[AssetStatus],
    upkeep: Mapping[str, Sequence[Problem]],
    *,
    elsewhere: Collection[tuple[str, Key]] = (),
    attempts: Collection[RunAttempt] = (),
    extra: Iterable[Concern] = (),
    failed: Collection[str] = (),
    lasting: Collection[tuple[str, str]] = (),
    whole: bool = True,
    seconds: float = SECONDS,
) -> Telling:
    """Tell each plan's people what is news to them, in `seconds` at most, then ping where all is well.

    `assets` and `upkeep` are what `status` says now; `elsewhere` the concerns (by plan) that are another host's to
    tell; `attempts` what this run took on; `extra` what else there is to
    tell (`missed`, `ledger_broken`). Plans in `failed` are not pinged. Assets in `lasting` (plan and name) are looked
    at by others before their RPO is breached: `wakes` leaves that out. With `whole` false (status could not be had)
    nothing counts as over because it is not in `assets`. An address that cannot be reached is no error: it is in the
    result, and told the next time. Raises CcdrError where a newer ccdr wrote the state, and, after all has been told,
    where what was told cannot be written down.
    """
    result, now = Telling(), services.clock.now()
    notified = [p for p in plans if p.plan.notify.urls_file or p.plan.notify.ping_file]
    if not notified:
        return result
    with services.state.turn("told") as mine:
        if not mine:
            result.busy, result.wakes = True, now + SOON
            return result
        states, note = load(state_file(services.state))
        if note:
            result.notes.append(note)
        concerns = [*concerns_of(assets, upkeep), *extra, *(c for a in attempts if (c := a.concern()))]
        parts = [_begin(p, states, concerns, failed, now, whole=whole, elsewhere=elsewhere) for p in notified]
        try:
            _tell(parts, now, seconds, result)
            _ping(parts, now, result)
        finally:
            for part in parts:
                if part.targets is not None:
                    part.state.tidy({t.id for t in part.targets}, now, part.remind)
            save(state_file(services.state), states)
    _take_failures(parts, result)
    moments = [m for p in parts for m in p.state.wakes(p.remind)]
    result.wakes = min((m for m in [*moments, *_breaching(assets, lasting, now)] if m > now), default=None)
    return result


def would_tell(
    loaded: LoadedPlan,
    services: Services,
    assets: Sequence[AssetStatus],
    upkeep: Mapping[str, Sequence[Problem]],
    elsewhere: Collection[tuple[str, Key]] = (),
) -> list[SentMessage]:
    """What the next run would tell, as things stand. Nothing is sent or stamped. UsageProblem where the addresses
    cannot be read."""
    now, states = services.clock.now(), load(state_file(services.state))[0]
    if loaded.plan.notify.urls_file is not None:
        read_targets(loaded.plan.notify.urls_file)
    part = _begin(loaded, states, list(concerns_of(assets, upkeep)), (), now, whole=True, elsewhere=elsewhere)
    return [SentMessage(part.name, t.name, m.subject, m.body) for t, _, m in part.messages(now)]


def send_test(loaded: LoadedPlan, services: Services) -> list[tuple[MessageTarget, str | None]]:
    """Send a test message to every address of the plan; with each, why it was not taken, None where it was.
    UsageProblem, and nothing sent, where the file names what is no address."""
    targets, message = _tested(loaded), trial(loaded, services.clock.now())
    answers = at_once({t: partial(send, t.url, message) for t in targets}, SECONDS)
    return list(answers.items())


def would_test(loaded: LoadedPlan, services: Services) -> list[SentMessage]:
    """What `send_test` would send; nothing is sent. UsageProblem as there."""
    message = trial(loaded, services.clock.now())
    return [SentMessage(loaded.plan.plan, t.name, message.subject, message.body) for t in _tested(loaded)]


def _tested(loaded: LoadedPlan) -> list[MessageTarget]:
    path = loaded.plan.notify.urls_file
    targets = [] if path is None else read_targets(path)
    refuse_unknown(targets)
    return targets


def untold(state: State, plans: Iterable[str]) -> dict[str, list[str]]:
    """By plan: addresses that could not be reached the last time, as sentences. For `status` and metrics, which must
    answer whatever the file is like."""
    try:
        states, _ = load(state_file(state))
    except CcdrError as error:
        return {plan: [str(error)] for plan in plans}
    return {plan: lines for plan in plans if plan in states and (lines := failure_lines(states[plan]))}


def state_file(state: State) -> Path:
    return state.root / "told.json"


def failure_lines(state: NotificationState) -> list[str]:
    return [
        f"{f.name} {f.reason} (since {rfc3339(f.since)}, tried {f.tries} time{'s' if f.tries > 1 else ''})"
        for f in state.failures.values()
    ]


def _begin(
    loaded: LoadedPlan,
    states: dict[str, NotificationState],
    concerns: Sequence[Concern],
    failed: Collection[str],
    now: datetime,
    *,
    whole: bool,
    elsewhere: Collection[tuple[str, Key]],
) -> _Plan:
    name, settings = loaded.plan.plan, loaded.plan.notify
    state = states.setdefault(name, NotificationState())
    mine = [*(c for c in concerns if c.plan == name), *state.untold(name)]
    others = [key for plan, key in elsewhere if plan == name]
    state.observe(mine, list(loaded.plan.assets), now, whole=whole, elsewhere=others)
    targets: list[MessageTarget] | None = []
    if settings.urls_file is not None:
        try:
            targets = read_targets(settings.urls_file)
            state.failures.pop(URLS, None)
        except CcdrError as error:
            targets = None
            state.fail(URLS, "the addresses", f"could not be read: {one_line(str(error))}", now)
    if targets is not None:  # those that are no longer named need not be reached any more
        known = {t.id for t in targets} | {URLS, PING}
        state.failures = {a: f for a, f in state.failures.items() if a in known}
    trouble = any(e.trouble.row.run_fails and e.gone is None for e in state.entries.values())
    return _Plan(loaded, state, targets, well=name not in failed and not trouble and whole)


def _tell(parts: Sequence[_Plan], now: datetime, seconds: float, result: Telling) -> None:
    letters = {
        (n, target.id): (part, target, news, message)
        for n, part in enumerate(parts)
        for target, news, message in part.messages(now)
    }
    if not letters:
        return
    calls: dict[tuple[int, str], Callable[[], str | None]] = {
        key: partial(send, target.url, message) for key, (_, target, _, message) in letters.items()
    }
    for key, refused in at_once(calls, seconds).items():
        part, target, news, message = letters[key]
        if refused is None:
            part.state.accept(target.id, news, now)
            part.state.failures.pop(target.id, None)
            result.sent.append(SentMessage(part.name, target.name, message.subject, message.body))
        else:
            part.state.owe(target.id, news, now)
            part.state.fail(target.id, target.name, refused, now)


def _ping(parts: Sequence[_Plan], now: datetime, result: Telling) -> None:
    """A ping says that all went well, telling included: so that silence of everything else is noticed."""
    calls: dict[int, Callable[[], str | None]] = {}
    for number, part in enumerate(parts):
        path = part.loaded.plan.notify.ping_file
        if path is None:
            part.state.failures.pop(PING, None)
        elif part.well and not part.state.failures.keys() - {PING}:
            try:
                calls[number] = partial(ping, read_ping(path))
            except CcdrError as error:
                part.state.fail(PING, "the ping", f"could not be sent: {one_line(str(error))}", now)
    for number, refused in at_once(calls, PING_SECONDS + 1).items() if calls else ():
        if refused is None:
            parts[number].state.failures.pop(PING, None)
            result.pinged.append(parts[number].name)
        else:
            parts[number].state.fail(PING, "the ping", refused, now)


def _take_failures(parts: Sequence[_Plan], result: Telling) -> None:
    result.failures = {p.name: lines for p in parts if (lines := failure_lines(p.state))}
    result.new_failures = [
        f"plan {p.name}: {f.name} {f.reason}" for p in parts for f in p.state.failures.values() if f.tries == 1
    ]


def _breaching(
    assets: Sequence[AssetStatus], lasting: Collection[tuple[str, str]], now: datetime
) -> Iterator[datetime]:
    """When an objective that is met will be breached if nothing is done."""
    for status in (s for s in assets if (s.plan, s.asset) not in lasting):
        if status.rpo.verdict is ObjectiveVerdict.MET and status.rpo.achieved_s is not None:
            yield now + timedelta(seconds=status.rpo.objective_s - status.rpo.achieved_s + 1)


# A runbook that waits for a person, or stands at a step that failed, is told at once: once, and not by each run.


def tell(loaded: LoadedPlan, services: Services, step: str) -> bool:
    """By the ledger as it is now, so that `ccdr run` later knows it for what was told; True where somebody was told.
    CcdrError where what was told cannot be written down."""
    plan = loaded.plan.plan
    history = services.histories().get((plan, None), AssetHistory())
    wrong = [problem for problem in judge_runbook(plan, history, services.clock.now()) if problem.about == step]
    if not wrong:
        return False
    told = after_run([loaded], services, (), {}, extra=concerns_of((), {plan: wrong}), whole=False)
    return bool(told.sent)
