"""What is written for others of an incident: every fact has words in each language, and Romanian counts as people do."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import pytest
from syrupy.assertion import SnapshotAssertion
from tests.support.chronicle import Chronicle
from tests.support.control_histories import closed, filed, opened
from tests.support.judged import END
from tests.support.wording import lines_with

from ccdr.evidence.incidents import CAUSES, Incident, incidents_of
from ccdr.jobs.incidents.facts import Fact, Facts
from ccdr.telling.incidents.draft import Language, draft
from ccdr.telling.incidents.english import ENGLISH
from ccdr.telling.incidents.romanian import ROMANIAN, lasted, so_many

LANGUAGES = {"en": ENGLISH, "ro": ROMANIAN}
DONE = {"at": END, "done": 2, "of": 3, "took": 3720.0}
EVERY = (
    Fact("aware", 1, {"at": END}),
    Fact("opened", 1, {"at": END, "by": "recover"}),
    Fact("opened", 1, {"at": END, "by": "person"}),
    Fact("kinds", 1, {"kinds": ["availability", "confidentiality", "integrity"]}),
    Fact("recovery_began", 2, {"at": END, "assets": ["crm", "cdr"]}),
    Fact("recovery_done", 3, DONE),
    Fact("recovery_paused_by_failed_step", 3, {**DONE, "took": None}),
    Fact("recovery_failed", 3, {**DONE, "took": None}),
    Fact("checked", 3, {"passed": 20, "of": 21}),
    Fact("runbook_began", 4, {"at": END, "steps": 5}),
    Fact("runbook_ended", 5, {"at": END, "done": 1, "took": 60.0}),
    Fact("restore_began", 6, {"at": END, "asset": "crm"}),
    Fact("restored", 7, {"at": END, "asset": "crm"}),
    Fact("tested", 8, {"at": END, "asset": "crm", "passed": True}),
    Fact("state_of", 9, {"asset": "crm", "point": END}),
    Fact("filed", 10, {"at": END, "law": "GDPR 33(1)"}),
    Fact("kinds_assumed", 1, {"kinds": ["availability"], "assets": ["crm", "cdr"]}),
    *(Fact("closed", 11, {"at": END, "cause": cause}) for cause in CAUSES),
)
FACTS = Facts(EVERY[:4], EVERY[4:13], EVERY[14:15], EVERY[15:16])


@pytest.fixture
def incident() -> Incident:
    past = Chronicle(END, "/x")
    opened(past, 0)
    (one,) = incidents_of("p", past.history(None).incidents, past.at(9999))
    return one


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_each_fact_has_words_and_each_language_the_same(language: Language) -> None:
    assert {one.what for one in EVERY} == language.facts.keys()
    for one in EVERY:
        text = language.facts[one.what](one.values)
        assert (text.endswith(".") and "{" not in text and text[0].isupper()) or one.what in ("restored", "state_of")


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
@pytest.mark.parametrize("role", ["controller", "processor"])
@pytest.mark.parametrize("to", ["authority", "customers"])
def test_it_has_what_33_3_asks_for_in_order(incident: Incident, language: Language, role: str, to: str) -> None:
    text = draft(replace(incident, role=role), FACTS, to, END, language)
    at = [text.index(f"## ({letter})") for letter in "abcd"]
    assert at == sorted(at)
    assert "33(3)" in text or "articolul 33 alineatul (3)" in text
    persons = to == "customers" and role == "controller"
    assert ("34(2)" in text or "34 alineatul (2)" in text) == persons
    assert language.not_yours in text if (to, role) == ("authority", "processor") else language.not_yours not in text
    assert language.before in text or persons


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_what_comes_late_says_why(incident: Incident, language: Language) -> None:
    late = draft(incident, FACTS, "authority", END + timedelta(hours=73), language)
    assert language.late.heading in late
    assert language.late.heading not in draft(incident, FACTS, "authority", END, language)


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_only_the_authority_is_told_why_it_comes_late_and_whether_it_is_the_first(
    incident: Incident, language: Language
) -> None:
    long_after = END + timedelta(days=9)
    assert language.late.heading in draft(incident, FACTS, "authority", long_after, language)
    for role in ("processor", "controller"):
        duties = (replace(incident.duties[0], to="customers"),)
        text = draft(replace(incident, role=role, duties=duties), FACTS, "customers", long_after, language)
        assert language.late.heading not in text and language.late.law not in text
        assert language.phase not in text and language.if_late not in text
    assert language.phase in (in_time := draft(incident, FACTS, "authority", END, language))
    assert language.if_late in in_time


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
@pytest.mark.parametrize("to", ["authority", "customers"])
def test_each_draft_asks_when_it_happened_was_found_and_ended(incident: Incident, language: Language, to: str) -> None:
    text = draft(incident, FACTS, to, END, language)
    assert all(language.blank.format(what=what) in text for what in language.when.blanks) and language.when.blanks[2]


@pytest.mark.parametrize("language", LANGUAGES.values(), ids=LANGUAGES)
def test_a_test_of_backups_is_no_measure_that_the_persons_are_told_of(incident: Incident, language: Language) -> None:
    tested = language.facts["tested"](EVERY[13].values)
    facts = Facts(EVERY[:4], EVERY[4:14], (), ())
    assert tested in draft(incident, facts, "authority", END, language)
    assert tested not in draft(incident, facts, "customers", END, language)
    assert tested in draft(replace(incident, role="processor"), facts, "customers", END, language)


def test_a_romanian_letter_names_the_law_in_romanian_and_lets_the_operator_decide(
    incident: Incident, wording: SnapshotAssertion
) -> None:
    text = draft(incident, FACTS, "authority", END, ROMANIAN)
    assert lines_with(text, "33 alineatul (1)") == wording
    assert "GDPR" not in text.replace("RGPD", "")
    assert lines_with(text, "(operatorul sau ") == wording


@pytest.mark.parametrize(("clock", "law"), [("nis2-23", "NIS2 23(4)(b)"), ("hipaa-408", "45 CFR 164.408(b)")])
def test_a_letter_of_gdpr_has_no_deadline_of_another_law(incident: Incident, clock: str, law: str) -> None:
    other = replace(incident.duties[0], clock=clock, law=law, due=END - timedelta(hours=1))
    text = draft(replace(incident, duties=(*incident.duties, other)), FACTS, "authority", END, ENGLISH)
    assert "GDPR 33(1): due by" in text and law not in text and ENGLISH.late.heading not in text


def test_what_is_assumed_from_a_recovery_is_said_to_be(wording: SnapshotAssertion) -> None:
    values = {"kinds": ["availability"], "assets": ["crm", "cdr"]}
    breach = ENGLISH.facts["kinds_assumed"](values)
    assert breach == wording, breach
    romanian = ROMANIAN.facts["kinds_assumed"](values)
    assert romanian == wording
    assert romanian.endswith("Nimeni nu a declarat încă acest lucru.")
    assert "from a recovery; nobody" in ENGLISH.facts["kinds_assumed"]({**values, "assets": []})


def test_what_was_filed_late_says_why_too() -> None:
    past = Chronicle(END, "/x")
    opened(past, 0)
    filed(past, 80)
    closed(past, 81, not_due=[])
    (one,) = incidents_of("p", past.history(None).incidents, past.at(9999))
    assert ENGLISH.late.heading in draft(one, FACTS, "authority", END, ENGLISH)


def test_romanian_has_its_letters_and_none_of_the_old_ones() -> None:
    text = draft(incident_of(), FACTS, "authority", END, ROMANIAN)
    assert {"ă", "â", "î", "ș", "ț"} <= set(text)
    assert not set("şţŞŢãÃ") & set(text), "comma below, no cedilla"


def incident_of() -> Incident:
    past = Chronicle(END, "/x")
    opened(past, 0)
    return incidents_of("p", past.history(None).incidents, past.at(9999))[0]


@pytest.mark.parametrize(
    ("count", "said"),
    [(1, "1 pas"), (2, "2 pași"), (19, "19 pași"), (20, "20 de pași"), (100, "100 de pași"), (101, "101 pași"),
     (119, "119 pași"), (120, "120 de pași"), (0, "0 pași")],
)  # fmt: skip
def test_numbers_from_twenty_on_want_de(count: int, said: str) -> None:
    assert so_many(count, "pas", "pași") == said


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0.2, "mai puțin de o secundă"),
        (1, "1 secundă"),
        (25, "25 de secunde"),
        (3720, "1 oră și 2 minute"),
        (7200, "2 ore"),
        (90061, "1 zi și 1 oră"),
        (86400 * 21, "21 de zile"),
    ],
)
def test_how_long_it_took_is_said_as_people_do(seconds: float, said: str) -> None:
    assert lasted(seconds) == said
