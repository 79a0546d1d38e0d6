"""What NIS2 23(4) asks for has drafts of its own, in both languages."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.support.chronicle import Chronicle
from tests.support.control_histories import opened
from tests.support.judged import END

from ccdr.evidence.incidents import OWN_DRAFTS, Incident, incidents_of
from ccdr.jobs.incidents.facts import Fact, Facts
from ccdr.plans.incident_clocks import load_clocks
from ccdr.telling.incidents.draft import Language
from ccdr.telling.incidents.english import ENGLISH
from ccdr.telling.incidents.nis2 import NIS2_ENGLISH, NIS2_ROMANIAN, Forms, nis2_draft
from ccdr.telling.incidents.romanian import ROMANIAN

LANGUAGES = {"en": (ENGLISH, NIS2_ENGLISH), "ro": (ROMANIAN, NIS2_ROMANIAN)}
FACTS = Facts((Fact("aware", 1, {"at": END}),), (Fact("restored", 7, {"at": END, "asset": "crm"}),), (), ())


@pytest.fixture
def incident() -> Incident:
    past = Chronicle(END, "/x")
    opened(past, 0)
    (one,) = incidents_of("p", past.history(None).incidents, past.at(9999))
    own = load_clocks(None).value.clocks
    duties = tuple(replace(one.duties[0], clock=name, law=own[name].law) for name in OWN_DRAFTS)
    return replace(one, duties=(*one.duties, *duties))


@pytest.mark.parametrize(("language", "forms"), LANGUAGES.values(), ids=LANGUAGES)
@pytest.mark.parametrize("clock", OWN_DRAFTS)
def test_each_clock_of_nis2_has_a_draft_with_its_own_deadline_alone(
    incident: Incident, language: Language, forms: Forms, clock: str
) -> None:
    text = nis2_draft(incident, FACTS, clock, END, language, forms)
    law = language.law(next(one.law for one in incident.duties if one.clock == clock))
    assert f"- {law}: " in text and "33(3)" not in text and "33 alineatul" not in text and "GDPR" not in text
    assert language.facts["aware"](FACTS.happened[0].values) in text
    assert forms.forms.keys() == set(OWN_DRAFTS)
    assert not set("şţŞŢãÃ") & set(text)


@pytest.mark.parametrize(("language", "forms"), LANGUAGES.values(), ids=LANGUAGES)
def test_the_warning_asks_for_what_23_4_a_does_and_the_notification_for_23_4_b(
    incident: Incident, language: Language, forms: Forms
) -> None:
    both = ("suspected", "border")
    later = ("assessed", "compromise")
    warning, notification = (
        nis2_draft(incident, FACTS, clock, END, language, forms) for clock in ("nis2-23-warning", "nis2-23")
    )
    for part in (*both, *later):
        blanks = [language.blank.format(what=what) for what in forms.parts[part].blanks]
        assert blanks and all(blank in notification for blank in blanks)
        assert all((blank in warning) == (part in both) for blank in blanks)
