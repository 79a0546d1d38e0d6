"""A notification to be completed by a person: facts from records alone, each with its record, and blanks for the rest.

It follows GDPR 33(3)(a) to (d) for the authority and for controllers, 34(2) for the persons; what NIS2 asks for has
drafts of its own (`nis2.py`). Nothing is sent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from ccdr import __version__
from ccdr.evidence.incidents import NO_DRAFTS, OWN_DRAFTS, Duty, Incident
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
    concerns: str  # {whose}
    instructions: str
    blank: str  # {what}
    record: str  # {seq}
    who: Section
    phase: str  # a blank for the authority alone: 33(4)
    if_late: str  # … and 33(1), as long as it is in time
    when: Section
    nature: Section
    contact: Section
    consequences: Section
    measures: Section
    plain: str  # what 34(2) asks for, above all of it
    before: str  # heading of what was notified already
    due: str  # {law}, {at}
    laws: Mapping[str, str]  # articles as this language names them, by what files of clocks call them
    late: Section
    not_yours: str
    signed: tuple[str, ...]
    facts: Mapping[str, Sentence]
    moment: Callable[[datetime], str]

    def law(self, name: str) -> str:
        return self.laws.get(name, name)


def receiver_of(incident: Incident, to: str) -> str:
    """`authority`, `controllers` or `persons`."""
    if to == "authority":
        return to
    return "controllers" if incident.role == "processor" else "persons"


def draft(
    incident: Incident, facts: Facts, to: str, now: datetime, language: Language, tenant: str | None = None
) -> str:
    """Markdown. `to`: authority or customers; `now` is when it is made. With `tenant`, to that one of several
    controllers: `facts` are of its data alone then."""
    return "\n".join(_lines(incident, facts, to, now, language, tenant)).rstrip() + "\n"


def whose(tenants: Mapping[str, Sequence[str]]) -> str:
    """Each controller with the assets that hold their data."""
    return "; ".join(f"{tenant} ({', '.join(assets)})" for tenant, assets in tenants.items())


def concerns_lines(incident: Incident, language: Language, tenant: str | None = None) -> Iterator[str]:
    """Whose data it is, where the plan says so. Another controller's name is none of theirs."""
    named = incident.tenants if tenant is None else {tenant: incident.tenants[tenant]}
    if set(named) - {"default"}:
        yield language.concerns.format(whose=whose(named))


def _lines(
    incident: Incident, facts: Facts, to: str, now: datetime, language: Language, tenant: str | None
) -> Iterator[str]:
    receiver = receiver_of(incident, to)
    title, article = language.titles[receiver]
    yield f"# {title}"
    yield ""
    yield article
    yield ""
    yield language.about.format(version=__version__, at=language.moment(now), name=incident.name, plan=incident.plan)
    if receiver != "persons":
        yield from concerns_lines(incident, language, tenant)
    yield language.instructions
    if receiver == "authority" and incident.role == "processor":
        yield language.not_yours
    yield ""
    late = receiver == "authority" and any(_is_late(duty, now) for duty in _dues(incident, to))
    yield from section_lines(language, _who(language, receiver, late=late))
    yield from due_lines(incident, _dues(incident, to, tenant), language)
    if late:
        yield from section_lines(language, language.late)
    if receiver == "persons":
        yield language.plain
        yield ""
    yield from section_lines(language, language.when)
    yield from section_lines(language, language.nature, facts.happened, plain=receiver == "persons")
    yield from section_lines(language, language.contact)
    yield from section_lines(language, language.consequences, facts.lost)
    yield from section_lines(language, language.measures, _measures(facts, receiver))
    if receiver != "persons":
        yield from before_lines(facts, language)
    yield from (language.blank.format(what=what) for what in language.signed)


def _who(language: Language, receiver: str, *, late: bool) -> Section:
    """33(4), and the reasons of 33(1), are for the authority alone."""
    more = (language.phase, *(() if late else (language.if_late,))) if receiver == "authority" else ()
    return replace(language.who, blanks=(*language.who.blanks, *more))


def _measures(facts: Facts, receiver: str) -> Iterator[Fact]:
    """A test of backups tells the persons nothing that they can use."""
    return (one for one in facts.done if receiver != "persons" or one.what != "tested")


def _dues(incident: Incident, to: str, tenant: str | None = None) -> list[Duty]:
    own = [one for one in incident.duties if one.to == to and one.clock not in (*OWN_DRAFTS, *NO_DRAFTS)]
    return [one for one in own if one.tenant == tenant]


def due_lines(incident: Incident, duties: Sequence[Duty], language: Language) -> Iterator[str]:
    for duty in duties:
        text = language.due.format(law=language.law(duty.law), at=language.moment(duty.due))
        yield f"- {text} {language.record.format(seq=incident.records[0])}"
    if duties:
        yield ""


def before_lines(facts: Facts, language: Language) -> Iterator[str]:
    """What was notified already."""
    if facts.filed:
        yield f"## {language.before}"
        yield ""
        yield from (fact_line(language, one) for one in facts.filed)
        yield ""


def _is_late(duty: Duty, now: datetime) -> bool:
    return duty.overdue(now) or duty.late


def section_lines(
    language: Language, section: Section, facts: Iterable[Fact] = (), *, plain: bool = False
) -> Iterator[str]:
    """`plain`: to the persons nobody counts the persons."""
    told = list(facts)
    yield f"## {section.heading}"
    yield ""
    if section.law:
        yield f"> {section.law}"
        yield ""
    yield from (fact_line(language, one) for one in told)
    yield from (f"- {language.blank.format(what=what)}" for what in (section.blanks[:1] if plain else section.blanks))
    yield ""


def fact_line(language: Language, fact: Fact) -> str:
    values = {**fact.values, "law": language.law(str(fact.values["law"]))} if "law" in fact.values else fact.values
    return f"- {language.facts[fact.what](values)} {language.record.format(seq=fact.seq)}"
