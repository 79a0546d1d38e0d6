"""The report says who has signed its period off, and whether it is the population of today that they signed."""

from __future__ import annotations

import re
import subprocess
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.past import DAY, HOUR, written
from tests.support.records import ENVELOPE, record_in
from tests.support.signed import key, signed, signers
from tests.support.signing_off import NAMESPACE, SignOffRoom
from tests.support.wording import lines_with

from ccdr.evidence.records.statements import SIGN_PERIOD, STATEMENT
from ccdr.evidence.statements import not_known
from ccdr.model.values import rfc3339
from ccdr.telling.report import Report, html, json_lines
from ccdr.telling.report.sign_offs import findings_of
from ccdr.telling.signing_off import to_sign_off


@pytest.fixture
def room(tmp_path: Path) -> SignOffRoom:
    return SignOffRoom(tmp_path)


def wrong(report: Report) -> list[str]:
    """What the findings say of sign-offs."""
    return [f.text for f in report.findings if f.text.startswith("the signature of ")]


def worded(room: SignOffRoom, text: str) -> str:
    """With its period's own days, and digests, left out: both are another on each day."""
    period = f"the signature of {rfc3339(room.start)} to {rfc3339(room.end)}, "
    assert text.startswith(period)
    return re.sub("[0-9a-f]{16}", "", text.replace(period, "the signature of START to END, "))


def forged(room: SignOffRoom, signature_of: Path, fingerprint: str = "SHA256:" + "A" * 43) -> None:
    """A record as whoever may write the ledger could write it."""
    services = room.services()
    given = to_sign_off(room.made(), services)
    by = {"name": "ana@x", "key": fingerprint, "user_verified": None}
    by["signature"] = signed(given.text(), signature_of, NAMESPACE)
    body = {**given.body(), "by": by, "signers_sha256": "0" * 64}
    record_in(services.ledger, STATEMENT, plan=None, asset=None, run=None, body=body)


def test_nobody_has_signed_and_it_is_said(room: SignOffRoom) -> None:
    made = room.made()
    assert made.sign_offs == () and "Nobody has signed this period" in written(html(made))
    assert wrong(made) == [] and '"sign_offs": []' in written(json_lines(made)).replace("[\n]", "[]")


def test_what_nobody_has_changed_fits(room: SignOffRoom) -> None:
    before = room.made().exit_code
    room.sign()
    room.backup(room.end + HOUR)  # of a later period
    made = room.made()
    (one,) = made.sign_offs
    assert one.good and one.fits and wrong(made) == [] and made.exit_code == before
    page = written(html(made))
    assert "ana@x" in page and "</span> fits</span>" in page and one.given.population_sha256 in page
    assert '"fits": true' in written(json_lines(made))


def test_a_population_that_became_another_is_said_until_it_is_signed_again(
    room: SignOffRoom, wording: SnapshotAssertion
) -> None:
    room.sign()
    room.backup(room.start + 5 * HOUR)
    made = room.made()
    (one,) = made.sign_offs
    assert one.fits is False and one.signature == "holds"
    (text,) = wrong(made)
    assert lines_with(worded(room, text), "signed for another population") == wording and "2 rows" in text
    assert made.exit_code == 1 and "signs nothing off" in written(html(made))
    listed = room.asked("--list")
    assert listed.code == 1 and [o["fits"] for o in listed.json["sign_offs"]] == [False]
    assert room.sign(room.dan).code == 0
    made = room.made()
    assert [one.fits for one in made.sign_offs] == [False, True] and wrong(made) == []
    assert room.asked("--list").code == 0 and len(room.records()) == 2, "nothing was written over"


def test_a_report_of_a_longer_period_compares_each_part(room: SignOffRoom) -> None:
    room.sign()
    room.backup(room.start - 2 * HOUR)
    room.backup(room.end + 2 * HOUR)
    longer = room.made(room.start - DAY, room.end + HOUR * 12)
    assert [one.fits for one in longer.sign_offs] == [True] and wrong(longer) == []
    now = room.site.run("report", "--since", "5d", "--signers", str(room.signers)).json
    assert [one["fits"] for one in now["sign_offs"]] == [True]
    part = room.made(room.start, room.end - HOUR)
    assert (
        [one.fits for one in part.sign_offs] == [None] and wrong(part) == [] and "not compared" in written(html(part))
    )
    assert room.made(room.start - 2 * DAY, room.start).sign_offs == ()
    assert room.made(room.end, room.end + HOUR).sign_offs == ()


def test_a_report_of_other_plans_does_not_compare_what_was_signed_of_all(room: SignOffRoom) -> None:
    room.sign()
    room.sign(room.dan, "--plan", "p")
    done = room.site.run("report", "p", *room.period, "--signers", str(room.signers)).json
    assert [(one["plans"], one["fits"]) for one in done["sign_offs"]] == [([], None), (["p"], True)]
    assert [one["fits"] for one in room.sign_offs] == [True, True]


def test_a_record_alone_has_signed_nothing(room: SignOffRoom) -> None:
    forged(room, room.dan)  # in ana's name
    made = room.made()
    (one,) = made.sign_offs
    assert one.signature == "refused" and len(wrong(made)) == 1 and made.exit_code == 1
    room.sign()
    assert len(wrong(room.made())) == 1, "a good one later does not mend it"


def test_what_the_text_says_is_what_was_signed(room: SignOffRoom) -> None:
    """A record in which only a number was changed, and the chain with it."""
    room.sign()
    (record,) = room.records()
    body = {key: value for key, value in record.items() if key not in ENVELOPE}
    services = room.services()
    body["about"] = {**body["about"], "findings": 0 if body["about"]["findings"] else 1}
    record_in(services.ledger, STATEMENT, plan=None, asset=None, run=None, body=body)
    assert [one.signature for one in room.made().sign_offs] == ["holds", "refused"]


def test_who_has_left_had_signed_all_the_same(room: SignOffRoom) -> None:
    """Their line stays, with an end: taken out of the file it is nobody's any more."""
    room.sign()
    signers(room.signers, {"dan@x": room.dan})
    (one,) = room.made().sign_offs
    assert one.signature == "refused" and "with valid-before" in str(next(findings_of([one])).step)
    tomorrow = f"{room.end + 3 * DAY:%Y%m%d}Z"
    signers(room.signers, {"ana@x": room.ana}, options=f'valid-before="{tomorrow}"')
    assert [one.signature for one in room.made().sign_offs] == ["holds"]
    signers(room.signers, {"ana@x": room.ana}, options=f'valid-before="{room.end:%Y%m%d}Z"')
    assert [one.signature for one in room.made().sign_offs] == ["refused"], "it had ended when she signed"
    room.signers.unlink()
    made = room.made()
    assert [one.signature for one in made.sign_offs] == ["unreadable"] and len(wrong(made)) == 1


def test_a_test_of_theirs_that_is_found_later_takes_it_back(room: SignOffRoom, wording: SnapshotAssertion) -> None:
    room.sign()
    room.tested("apop", hours=6)  # as the file of signers has ana, too
    made = room.made()
    (one,) = made.sign_offs
    assert one.tested == "apop" and worded(room, wrong(made)[0]) == wording
    room.sign(room.dan)
    assert wrong(room.made()) == [] and not room.made().sign_offs[0].good


def test_whose_hand_it_was_nobody_knows_and_the_page_says_so(room: SignOffRoom, wording: SnapshotAssertion) -> None:
    room.tested("root")
    room.sign()
    assert lines_with(written(html(room.made())).replace("<small>", "\n<small>"), "1 of 1 tests") == wording


def test_names_of_another_hand_change_nothing_in_the_text(room: SignOffRoom) -> None:
    room.tested("x 1\nfindings: 0")
    given = to_sign_off(room.made(), room.services())
    assert SIGN_PERIOD.read(given.text()) == given and given.text().count("findings: ") == 1
    assert given.about.accounts == {"(not a name)": 1} and not_known(given.about) == 1


def test_it_is_told_of_in_the_period_in_which_it_was_recorded(room: SignOffRoom) -> None:
    """As any record that is no run: completeness holds for sign-offs, too."""
    room.sign()
    rows = room.made(room.end, room.end + timedelta(days=400)).runs
    assert [run.verb for run in rows] == [SIGN_PERIOD.kind]


def test_a_record_by_a_key_of_the_host_is_found_when_it_is_shown(room: SignOffRoom) -> None:
    """Whoever may write the ledger did not ask ccdr."""
    keys = room.site.state / "keys"
    keys.mkdir()
    own = key(keys, "ledger")
    signers(room.signers, {"ana@x": own})
    shown = subprocess.run(["ssh-keygen", "-l", "-f", own], check=True, capture_output=True, text=True).stdout
    forged(room, own, shown.split()[1])
    made = room.made()
    assert [one.signature for one in made.sign_offs] == ["host_key"] and "by a key of this host" in wrong(made)[0]
    own.rename(room.root / "elsewhere")
    assert [one.signature for one in room.made().sign_offs] == ["holds"], "the twin: it is none of the host's"


def test_a_record_whose_names_hold_line_ends_is_told_as_wrong(room: SignOffRoom) -> None:
    """Another hand's: a report is made all the same."""
    services = room.services()
    given = to_sign_off(room.made(), services)
    by = {"name": "ana@x", "key": "SHA256:" + "A" * 43, "user_verified": None}
    by["signature"] = signed(given.text(), room.ana, NAMESPACE)
    about = {**msgspec.to_builtins(given.about), "accounts": {"x 1\nfindings: 0": 1}}
    body = {**given.body(), "about": about, "by": by, "signers_sha256": "0" * 64}
    record_in(services.ledger, STATEMENT, plan=None, asset=None, run=None, body=body)
    assert [one.signature for one in room.made().sign_offs] == ["refused"]
