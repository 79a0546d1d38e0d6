"""Who is told what, and when: a fake clock, no network."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.model.errors import CcdrError
from ccdr.model.trouble import Trouble
from ccdr.telling.notify.concerns import Concern, RunAttempt
from ccdr.telling.notify.state import As, Kind, NotificationState, load, save

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
FAILED = Concern("p", "crm", Trouble.BACKUP_FAILED, "the backup failed: disk full")
TEST = Concern("p", "crm", Trouble.TEST_FAILED, "its last restore test is FAIL")
ASSETS = ("crm", "tree")


class People:
    """Addresses, one book, and a clock that only goes when told to. `told` is what each address took."""

    def __init__(self, *addresses: str) -> None:
        self.state, self.now = NotificationState(), NOW
        self.addresses = addresses or ("mail",)
        self.down: set[str] = set()
        self.told: list[tuple[str, str, str]] = []
        self.tries = 0

    def run(
        self,
        *concerns: Concern,
        after: timedelta = MINUTE,
        attempts: tuple[RunAttempt, ...] = (),
        whole: bool = True,
        elsewhere: tuple[Concern, ...] = (),
    ) -> list[str]:
        """One run's telling, as `telling.py` goes about it; what was told, as `new backup_failed`."""
        self.now += after
        before = len(self.told)
        everything = [*concerns, *self.state.untold("p")]
        self.state.observe(everything, ASSETS, self.now, whole=whole, elsewhere=[c.key for c in elsewhere])
        for address in self.addresses:
            news = self.state.news(address, self.now, DAY)
            if not news and address not in self.state.failures:
                continue
            self.tries += 1
            if address in self.down:
                self.state.owe(address, news, self.now)
                self.state.fail(address, address, "is down", self.now)
                continue
            self.state.accept(address, news, self.now)
            self.state.failures.pop(address, None)
            self.told += [(address, n.kind.value, n.entry.trouble.value) for n in news]
        self.state.tidy(self.addresses, self.now, DAY)
        return [f"{kind} {trouble}" for _, kind, trouble in self.told[before:]]


def test_told_once_per_state_and_not_per_run() -> None:
    people = People()
    assert people.run(FAILED) == ["new backup_failed"]
    for _ in range(100):
        assert people.run(FAILED) == []
    assert people.run(FAILED, TEST) == ["new test_failed"]


def test_another_text_of_the_same_state_is_no_news() -> None:
    people = People()
    people.run(FAILED)
    assert people.run(replace(FAILED, text="the backup failed: no route to host", step="look at the cable")) == []
    (entry,) = people.state.entries.values()
    assert (entry.text, entry.step) == ("the backup failed: no route to host", "look at the cable")


def test_reminded_after_a_while_all_in_one() -> None:
    people = People()
    people.run(FAILED)
    people.run(FAILED, TEST, after=11 * HOUR)
    assert people.run(FAILED, TEST, after=12 * HOUR + 59 * MINUTE) == []
    assert people.run(FAILED, TEST, after=MINUTE) == ["still test_failed", "still backup_failed"]
    assert people.run(FAILED, TEST) == []


def test_what_is_acknowledged_is_told_and_over_and_not_reminded_of_until_that_ends() -> None:
    people = People()
    noted = replace(FAILED, acknowledged=NOW + 10 * DAY)
    assert people.run(noted) == ["new backup_failed"], "who has not heard of it is told"
    assert people.run(noted, after=3 * DAY) == []
    assert people.run(noted, TEST, after=3 * DAY) == ["new test_failed"]
    assert people.run(noted, TEST, after=DAY) == ["still test_failed"]
    assert min(people.state.wakes(DAY)) < NOW + 10 * DAY <= max(people.state.wakes(DAY))
    assert people.run(FAILED, after=4 * DAY) == ["fixed test_failed", "still backup_failed"]
    assert people.run(noted, after=DAY) == ["still backup_failed"], "it has ended, whatever is written there"
    assert people.run() == ["fixed backup_failed"]


def test_of_two_that_are_told_as_one_both_must_be_acknowledged() -> None:
    noted = replace(FAILED, acknowledged=NOW + 10 * DAY)
    for both in ((noted, FAILED), (FAILED, noted)):
        people = People()
        people.run(*both)
        assert people.run(*both, after=2 * DAY) == ["still backup_failed"]
    people = People()
    people.run(noted, replace(noted, acknowledged=NOW + DAY))
    assert people.run(noted, replace(noted, acknowledged=NOW + DAY), after=2 * DAY) == ["still backup_failed"]


def test_over_is_told_once_and_how_long_it_lasted() -> None:
    people = People()
    people.run(FAILED)
    assert people.run(FAILED, after=HOUR) == []
    assert people.run(after=HOUR) == ["fixed backup_failed"]
    (entry,) = people.state.entries.values()
    assert entry.gone and entry.gone - entry.since == 2 * HOUR
    assert [people.run() for _ in range(3)] == [[], [], []]
    people.run(after=DAY)
    assert people.state.entries == {}
    assert people.run(FAILED) == ["new backup_failed"]


def test_what_was_wrong_before_it_was_seen_lasted_as_long() -> None:
    people = People()
    people.run(replace(FAILED, since=NOW - 3 * HOUR))
    (entry,) = people.state.entries.values()
    assert entry.since == NOW - 3 * HOUR
    ahead = People()
    ahead.run(replace(FAILED, since=NOW + DAY))
    assert next(iter(ahead.state.entries.values())).since == ahead.now


def test_flapping_does_not_spam() -> None:
    """Wrong and right in turn, every five minutes for three days."""
    people = People()
    said = [s for n in range(3 * 288) for s in people.run(*([FAILED] if n % 2 == 0 else []), after=5 * MINUTE)]
    assert said[:3] == ["new backup_failed", "fixed backup_failed", "again backup_failed"]
    assert said[3:] == ["still backup_failed"] * 2  # one reminder a day
    quiet = [s for _ in range(2 * 288) for s in people.run(after=5 * MINUTE)]
    assert quiet == ["fixed backup_failed"]
    assert people.state.entries == {}


def test_something_worse_in_its_place_is_no_fix() -> None:
    people = People()
    broke = Concern("p", "crm", Trouble.TEST_INCONCLUSIVE, "it broke")
    people.run(broke)
    assert people.run(TEST) == ["new test_failed"]
    assert people.run() == ["fixed test_failed"]
    people.run(broke)
    other = replace(TEST, asset="tree")
    assert people.run(other) == ["new test_failed", "fixed test_inconclusive"]  # another asset's replaces nothing


def test_what_is_not_known_is_not_over() -> None:
    people = People()
    people.run(FAILED)
    assert people.run(whole=False) == []
    assert people.run() == ["fixed backup_failed"]


def test_what_could_not_begin_is_over_when_status_says_so() -> None:
    people = People()
    attempt = RunAttempt("p", "crm", "backup", "there is no password")
    concern = attempt.concern()
    assert concern is not None
    assert people.run(concern, attempts=(attempt,)) == ["new not_begun"]
    assert people.run(concern) == []  # as status has it from the ledger, until it has begun
    assert people.run(whole=False) == []
    assert people.run() == ["fixed not_begun"]


def test_what_happened_is_told_once_and_never_over() -> None:
    people = People()
    missed = Concern("p", "crm", Trouble.MISSED, "missed", about="backup 1", passing=True)
    assert people.run(missed) == ["new missed"]
    assert people.run() == [] and people.state.entries == {}
    assert people.run(replace(missed, about="backup 2")) == ["new missed"]


def test_an_asset_that_left_the_plan() -> None:
    people = People()
    people.run(replace(FAILED, asset="gone"))
    assert people.run(whole=False) == ["fixed backup_failed"]


# --- addresses that are down -----------------------------------------------------------------------------------


def test_one_that_was_down_gets_it_later_and_the_others_hear_of_it() -> None:
    people = People("mail", "chat")
    people.down = {"chat"}
    people.run(FAILED)
    assert people.told == [("mail", "new", "backup_failed")]
    people.run(FAILED)
    assert people.told[1:] == [("mail", "new", "untold")]
    people.run(FAILED)
    people.down = set()
    people.run(FAILED)
    assert people.told[2:] == [("chat", "new", "backup_failed")]
    people.run(FAILED)
    assert people.told[3:] == [("mail", "fixed", "untold")] and people.state.failures == {}
    people.run(FAILED)
    assert len(people.told) == 4


def test_one_that_was_down_all_the_while_still_hears_of_it() -> None:
    people = People("mail")
    people.down = {"mail"}
    people.run(FAILED)
    people.run()
    people.down = set()
    assert people.run() == ["fixed backup_failed"]
    assert people.run() == []


def test_what_happened_while_an_address_was_down_is_told_to_it_later() -> None:
    """It is never over, and so nothing else would ever tell of it."""
    people = People("mail", "chat")
    people.down = {"chat"}
    missed = Concern("p", "crm", Trouble.MISSED, "missed", about="backup 1", passing=True)
    people.run(missed)
    people.run()
    people.down = set()
    people.run()
    told = [one for one in people.told if one[2] == "missed"]
    assert told == [("mail", "new", "missed"), ("chat", "new", "missed")]


def test_one_that_was_down_when_it_was_to_be_reminded_is_not_told_it_as_new() -> None:
    people = People("mail")
    people.run(FAILED)
    people.down = {"mail"}
    people.run(FAILED, after=DAY)
    people.down = set()
    assert people.run(FAILED) == ["still backup_failed"]


def test_a_down_address_is_never_owed_more_than_a_week() -> None:
    people = People("mail")
    people.down = {"mail"}
    for n in range(200):
        people.run(Concern("p", "crm", Trouble.MISSED, "missed", about=f"backup {n}", passing=True), after=HOUR)
        people.run(Concern("p", "crm", Trouble.FINDING, "found", about=f"{n}"), after=HOUR)
    assert len(people.state.entries) < 2 * 7 * 24


def test_an_address_that_is_no_more_is_forgotten() -> None:
    people = People("mail", "chat")
    people.run(FAILED)
    people.addresses = ("chat",)
    people.run(FAILED)
    (entry,) = people.state.entries.values()
    assert set(entry.by_address) == {"chat"}


def test_a_new_address_is_told_all_that_is_wrong() -> None:
    people = People("mail")
    people.run(FAILED, TEST)
    people.addresses = ("mail", "pager")
    assert people.run(FAILED, TEST) == ["new test_failed", "new backup_failed"]


def test_a_clock_that_was_set_back_silences_nothing() -> None:
    people = People()
    people.run(FAILED)
    assert people.run(FAILED, after=-30 * DAY) == ["still backup_failed"]
    assert people.run(FAILED) == []
    assert people.run(FAILED, after=DAY) == ["still backup_failed"]
    assert people.run() == ["fixed backup_failed"]


def test_when_there_is_something_to_tell_again() -> None:
    people = People("mail")
    people.run(FAILED)
    assert list(people.state.wakes(DAY)) == [people.now + DAY]
    people.down = {"mail"}
    people.run(FAILED, TEST)
    waits = []
    for _ in range(6):
        people.run(FAILED, TEST)
        waits.append(min(people.state.wakes(DAY)) - people.now)
    assert waits == [10 * MINUTE, 20 * MINUTE, 40 * MINUTE, HOUR, HOUR, HOUR]


CONCERNS = (FAILED, TEST, Concern("p", "tree", Trouble.BREACH_RPO, "breached"), Concern("p", None, Trouble.UNTOLD, "x"))
steps = st.lists(
    st.tuples(st.sets(st.sampled_from(CONCERNS[:3])), st.sets(st.sampled_from(["mail", "chat"])), st.integers(1, 2000)),
    max_size=30,
)


@given(steps)
def test_whatever_happens_everybody_knows_the_truth_in_the_end(
    happened: list[tuple[set[Concern], set[str], int]],
) -> None:
    """After any course of troubles, downs and restarts, and two quiet weeks: nobody believes that anything is wrong,
    nothing is kept, and nobody was told of the end of something that he was not told of."""
    people = People("mail", "chat")
    for concerns, down, minutes in happened:
        people.down = down
        people.run(*concerns, after=minutes * MINUTE)
        assert len(people.told) <= 1000
    people.down = set()
    for _ in range(14):
        people.run(after=DAY)
    assert people.state == NotificationState()
    for address in people.addresses:
        known: dict[str, str] = {}
        for who, kind, trouble in people.told:
            if who == address:
                if kind in ("still", "again"):
                    assert trouble in known
                known[trouble] = kind
        assert all(kind == "fixed" for kind in known.values()), known


# --- the file ---------------------------------------------------------------------------------------------------


def test_what_is_written_is_what_is_read(tmp_path: Path) -> None:
    people = People("mail", "chat")
    people.down = {"chat"}
    people.run(FAILED, Concern("p", None, Trouble.MISSED, "ț missed", about="check 1", passing=True))
    people.run(replace(TEST, step="wait"))
    path = tmp_path / "state" / "told.json"
    save(path, {"p": people.state})
    assert load(path) == ({"p": people.state}, None)
    assert path.stat().st_mode & 0o777 == 0o600
    assert {w[0] for e in people.state.entries.values() for w in e.by_address.values()} >= {As.OPEN, As.OWED, As.FIXED}


def test_no_file_is_no_news_yet(tmp_path: Path) -> None:
    assert load(tmp_path / "told.json") == ({}, None)


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "null", "{}", '{"format": "1", "plans": {}}', '{"format": 2}', '{"format": 2, "plans": []}',
     '{"format": 2, "plans": {"p": {"entries": [{}], "failures": {}}}}', '{"format": 2, "plans": {"p": 3}}',
     '{"format": 2, "plans": {"p": {"entries": [], "failures": {"x": {"name": 1}}}}}', "\x00\x01"],
)  # fmt: skip
def test_a_damaged_file_makes_all_of_it_news_again(tmp_path: Path, text: str) -> None:
    path = tmp_path / "told.json"
    path.write_text(text)
    books, note = load(path)
    assert books == {} and note and "sends every open problem again" in note


def test_every_cut_of_a_file_is_read_or_noticed(tmp_path: Path) -> None:
    people = People()
    people.run(FAILED)
    path = tmp_path / "told.json"
    save(path, {"p": people.state})
    whole = path.read_bytes()
    for length in range(len(whole) - 2):
        path.write_bytes(whole[:length])
        books, note = load(path)
        assert books == {} and note
    path.write_bytes(b"\xff\xfe" + whole)
    assert load(path)[1]


@pytest.mark.parametrize(("format_", "said"), [(3, "newer ccdr"), (1, "before the first release")])
def test_a_file_of_another_ccdr_is_left_alone(tmp_path: Path, format_: int, said: str) -> None:
    path = tmp_path / "told.json"
    path.write_text(json.dumps({"format": format_, "plans": {}}))
    with pytest.raises(CcdrError, match=said) as raised:
        load(path)
    assert raised.value.hint
    assert json.loads(path.read_text())["format"] == format_


def test_overdue_upkeep_is_told_once_and_is_over_once() -> None:
    people, late = People(), Concern("p", None, Trouble.PRUNE_LATE, "overdue")
    assert people.run(late) == ["new prune_late"] and people.run(late) == []
    assert people.run() == ["fixed prune_late"] and people.run() == []
    failed = Concern("p", None, Trouble.PRUNE_FAILED, "it failed")
    assert people.run(late) == ["again prune_late"]
    assert people.run(failed) == ["new prune_failed"], "what is worse took its place: that is not fixed"


def test_what_is_another_hosts_by_now_is_neither_fixed_nor_reminded_of() -> None:
    people = People()
    assert people.run(FAILED, TEST) == ["new test_failed", "new backup_failed"]
    assert people.run(TEST, elsewhere=(FAILED,)) == []
    assert people.run(TEST, after=2 * DAY, elsewhere=(FAILED,)) == ["still test_failed"]
    assert people.run(TEST, FAILED) == ["new backup_failed"], "it is this host's again"


def test_kinds_and_troubles_all_have_words() -> None:
    from ccdr.model.trouble import next_step
    from ccdr.telling.notify.message import SECTIONS

    assert len({t.row.heading for t in Trouble}) == len(Trouble) and set(SECTIONS) == set(Kind)
    assert {t for t in Trouble if next_step(t, "p", "crm") is None} == {Trouble.MISSED}
