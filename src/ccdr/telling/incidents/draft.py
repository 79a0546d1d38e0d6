"""A notification to be completed by a person: facts from records alone, each with its record, and blanks for the rest.

It follows GDPR 33(3)(a) to (d) for the authority and for controllers, 34(2) for the persons. Nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ccdr import __version__
from ccdr.evidence.incidents import Duty, Incident
from ccdr.jobs.incidents.facts import Fact, Facts

Sentence = Callable[[Mapping[str, object]], str]


@dataclass(frozen=True)
class Section:
    """A part of the draft: its heading, what the law asks for in its own words, what a person is to fill in."""

    heading: str
    law: str
    blanks: tuple[str, ...]


@dataclass(frozen=True)
class Language:
    """All words of one language. `facts` tell each fact by its name; `moment` words a time."""

    titles: Mapping[str, tuple[str, str]]  # by whom it is to: the title, and the article
    about: str  # of the draft: {version}, {at}, {name}, {plan}
    instructions: str
    blank: str  # {what}
    record: str  # {seq}
    who: Section
    nature: Section
    contact: Section
    consequences: Section
    measures: Section
    plain: str  # what 34(2) asks for, above all of it
    before: str  # heading of what was notified already
    due: str  # {law}, {at}
    late: Section
    not_yours: str
    signed: tuple[str, ...]
    facts: Mapping[str, Sentence]
    moment: Callable[[datetime], str]


def receiver_of(incident: Incident, to: str) -> str:
    """`authority`, `controllers` or `persons`."""
    if to == "authority":
        return to
    return "controllers" if incident.role == "processor" else "persons"


def draft(incident: Incident, facts: Facts, to: str, now: datetime, language: Language) -> str:
    """Markdown. `to`: authority or customers; `now` is when it is made."""
    return "\n".join(_lines(incident, facts, to, now, language)).rstrip() + "\n"


def _lines(incident: Incident, facts: Facts, to: str, now: datetime, language: Language) -> Iterator[str]:
    receiver = receiver_of(incident, to)
    title, article = language.titles[receiver]
    yield f"# {title}"
    yield ""
    yield article
    yield ""
    yield language.about.format(version=__version__, at=language.moment(now), name=incident.name, plan=incident.plan)
    yield language.instructions
    if receiver == "authority" and incident.role == "processor":
        yield language.not_yours
    yield ""
    yield from _section(language, language.who, ())
    yield from _dues(incident, to, language)
    yield from _delay(incident, to, now, language)
    if receiver == "persons":
        yield language.plain
        yield ""
    yield from _section(language, language.nature, facts.happened, plain=receiver == "persons")
    yield from _section(language, language.contact, ())
    yield from _section(language, language.consequences, facts.lost)
    yield from _section(language, language.measures, facts.done)
    if facts.filed and receiver != "persons":
        yield f"## {language.before}"
        yield ""
        yield from (_fact(language, one) for one in facts.filed)
        yield ""
    yield from (language.blank.format(what=what) for what in language.signed)


def _dues(incident: Incident, to: str, language: Language) -> Iterator[str]:
    duties = [one for one in incident.duties if one.to == to]
    for duty in duties:
        text = language.due.format(law=duty.law, at=language.moment(duty.due))
        yield f"- {text} {language.record.format(seq=incident.records[0])}"
    if duties:
        yield ""


def _delay(incident: Incident, to: str, now: datetime, language: Language) -> Iterator[str]:
    """GDPR 33(1): what comes late says why."""
    if any(_is_late(duty, now) for duty in incident.duties if duty.to == to):
        yield from _section(language, language.late, ())


def _is_late(duty: Duty, now: datetime) -> bool:
    return duty.overdue(now) or duty.late


def _section(language: Language, section: Section, facts: Iterable[Fact], *, plain: bool = False) -> Iterator[str]:
    """`plain`: to the persons nobody counts the persons."""
    told = list(facts)
    yield f"## {section.heading}"
    yield ""
    if section.law:
        yield f"> {section.law}"
        yield ""
    yield from (_fact(language, one) for one in told)
    yield from (f"- {language.blank.format(what=what)}" for what in (section.blanks[:1] if plain else section.blanks))
    yield ""


def _fact(language: Language, fact: Fact) -> str:
    return f"- {language.facts[fact.what](fact.values)} {language.record.format(seq=fact.seq)}"
