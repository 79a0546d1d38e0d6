"""What of a recovery may be done next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ccdr.jobs.recover.turn import Turn, Turns, Work


def turns(
    after: Mapping[str, Sequence[str]], beside: Mapping[str, Sequence[str]] = {}, whole: Sequence[str] = ()
) -> Turns:
    return Turns(list(after), after, {name: beside.get(name, ()) for name in after}, whole)


def shown(of: Turns) -> list[str]:
    return [f"{turn.work} {turn.asset}" for turn in of.next()]


def do(of: Turns, work: Work, asset: str, *, well: bool = True) -> None:
    assert f"{work} {asset}" in shown(of)
    of.take(Turn(work, asset))
    of.done(Turn(work, asset), well=well)


def test_what_is_independent_begins_at_once_and_what_depends_waits_for_the_checks_alone() -> None:
    of = turns({"crm": [], "cdr": [], "web": ["crm"]})
    assert shown(of) == ["bring crm", "bring cdr"]
    do(of, Work.BRING, "crm")
    assert "bring web" in shown(of), "though crm has no final name yet"


def test_a_failed_one_stops_what_depends_on_it_and_nothing_else() -> None:
    of = turns({"crm": [], "web": ["crm"], "page": ["web"], "cdr": []})
    do(of, Work.BRING, "crm", well=False)
    assert of.stopped == {"web": "crm", "page": "web"}
    do(of, Work.BRING, "cdr")
    do(of, Work.COMPARE, "cdr")
    do(of, Work.FINISH, "cdr")
    assert not of.running and not shown(of) and of.finished == {"cdr"}


def test_nobody_gets_its_final_name_before_all_that_look_at_it_have() -> None:
    of = turns({"crm": [], "recordings": []}, {"crm": ["recordings"]})
    do(of, Work.BRING, "recordings")
    do(of, Work.COMPARE, "recordings")
    assert "finish recordings" not in shown(of)
    do(of, Work.BRING, "crm")
    do(of, Work.COMPARE, "crm")
    assert shown(of) == ["finish crm", "finish recordings"]


def test_who_is_compared_with_what_failed_goes_on_without() -> None:
    of = turns({"crm": [], "recordings": []}, {"crm": ["recordings"]})
    do(of, Work.BRING, "crm")
    assert "compare crm" not in shown(of)
    do(of, Work.BRING, "recordings", well=False)
    do(of, Work.COMPARE, "crm")
    do(of, Work.FINISH, "crm")


def test_comparing_waits_for_nobody_who_waits_for_it() -> None:
    """`recordings` depends on `crm`, which is compared with it."""
    of = turns({"crm": [], "recordings": ["crm"]}, {"crm": ["recordings"]})
    do(of, Work.BRING, "crm")
    do(of, Work.BRING, "recordings")
    do(of, Work.COMPARE, "crm")
    do(of, Work.FINISH, "crm")


def test_one_that_was_brought_before_is_let_be_and_lets_others_begin() -> None:
    of = turns({"crm": [], "web": ["crm"]}, whole=["crm"])
    assert shown(of) == ["bring web"]
