"""Drafts of what Article 23(4) of Directive (EU) 2022/2555 (NIS2) asks for: no letter of GDPR 33 has its blanks.

The law is quoted in English; in Romanian it is told in other words.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime

from ccdr import __version__
from ccdr.evidence.incidents import Incident
from ccdr.jobs.incidents.facts import Facts
from ccdr.telling.incidents.draft import Language, Section, before_lines, due_lines, section_lines


@dataclass(frozen=True)
class Form:
    """What one clock's notification is called, and which of the parts below it has, in order."""

    title: str
    law: str
    parts: tuple[str, ...]


@dataclass(frozen=True)
class Forms:
    """All forms of one language, by their clocks, and the parts that they are made of."""

    who: Section
    forms: Mapping[str, Form]
    parts: Mapping[str, Section]


_WARNING = ("when", "suspected", "border")
_FINAL = ("when", "described", "root", "measures", "border")
_PARTS = {
    "nis2-23-warning": _WARNING,
    "nis2-23": ("when", "suspected", "border", "assessed", "compromise", "measures"),
    "nis2-23-interim": ("when", "status", "measures"),
    "nis2-23-final": _FINAL,
    "nis2-23-progress": ("when", "status", "measures", "border"),
    "nis2-23-handled": _FINAL,
}


def nis2_draft(incident: Incident, facts: Facts, clock: str, now: datetime, language: Language, forms: Forms) -> str:
    """Markdown, of one of OWN_DRAFTS. KeyError for any other."""
    return "\n".join(_lines(incident, facts, clock, now, language, forms)).rstrip() + "\n"


def _lines(
    incident: Incident, facts: Facts, clock: str, now: datetime, language: Language, forms: Forms
) -> Iterator[str]:
    form = forms.forms[clock]
    yield f"# {form.title}"
    yield ""
    yield form.law
    yield ""
    yield language.about.format(version=__version__, at=language.moment(now), name=incident.name, plan=incident.plan)
    yield language.instructions
    yield ""
    yield from section_lines(language, forms.who)
    yield from due_lines(incident, [one for one in incident.duties if one.clock == clock], language)
    told = {"when": facts.happened, "measures": facts.done, "assessed": facts.lost, "described": facts.lost}
    for part in form.parts:
        yield from section_lines(language, forms.parts[part], told.get(part, ()))
    yield from before_lines(facts, language)
    yield from (language.blank.format(what=what) for what in language.signed)


def _forms(titles: Mapping[str, tuple[str, str]]) -> dict[str, Form]:
    return {clock: Form(title, law, _PARTS[clock]) for clock, (title, law) in titles.items()}


_OF = "of Directive (EU) 2022/2555 (NIS2), or what your country made of it"
NIS2_ENGLISH = Forms(
    Section(
        "Who notifies, and whom",
        "",
        ("name of the entity, its sector and its registration", "the CSIRT, or the competent authority"),
    ),
    _forms(
        {
            "nis2-23-warning": (
                "DRAFT: early warning of a significant incident",
                f"Article 23(4)(a) {_OF}: “without undue delay and in any event within 24 hours of becoming aware of "
                "the significant incident, an early warning, which, where applicable, shall indicate whether the "
                "significant incident is suspected of being caused by unlawful or malicious acts or could have a "
                "cross-border impact”",
            ),
            "nis2-23": (
                "DRAFT: notification of a significant incident",
                f"Article 23(4)(b) {_OF}: “without undue delay and in any event within 72 hours of becoming aware of "
                "the significant incident, an incident notification, which, where applicable, shall update the "
                "information referred to in point (a) and indicate an initial assessment of the significant incident, "
                "including its severity and impact, as well as, where available, the indicators of compromise”",
            ),
            "nis2-23-interim": (
                "DRAFT: intermediate report on a significant incident",
                f"Article 23(4)(c) {_OF}: “upon the request of a CSIRT or, where applicable, the competent authority, "
                "an intermediate report on relevant status updates”",
            ),
            "nis2-23-final": (
                "DRAFT: final report on a significant incident",
                f"Article 23(4)(d) {_OF}: “a final report not later than one month after the submission of the "
                "incident notification under point (b)”",
            ),
            "nis2-23-progress": (
                "DRAFT: progress report on a significant incident that goes on",
                f"Article 23(4)(e) {_OF}: where the incident goes on when the final report is due, a progress report "
                "at that time",
            ),
            "nis2-23-handled": (
                "DRAFT: final report on a significant incident that went on",
                f"Article 23(4)(e) {_OF}: a final report within one month of the handling of the incident",
            ),
        }
    ),
    {
        "when": Section(
            "What happened, and when",
            "",
            (
                "what happened, and which services it touches",
                "when it began, when and how it was detected",
                "when it ended, or that it still goes on",
            ),
        ),
        "suspected": Section(
            "Unlawful or malicious acts",
            "",
            ("is it suspected of being caused by unlawful or malicious acts: yes, no or not known yet; and why",),
        ),
        "border": Section(
            "Cross-border impact",
            "",
            ("could it have, or did it have, an impact in other countries: yes, no or not known yet; in which ones",),
        ),
        "assessed": Section(
            "Initial assessment: severity and impact",
            "",
            (
                "severity: how much of the service, for how long, which loss",
                "impact: how many users, which others, material or non-material damage",
            ),
        ),
        "compromise": Section(
            "Indicators of compromise",
            "",
            ("indicators of compromise, where there are any: addresses, digests of files, accounts, times",),
        ),
        "status": Section("State of the handling", "", ("what has changed since the last report", "what is next")),
        "described": Section(
            "(i) Description, severity and impact",
            "“a detailed description of the incident, including its severity and impact” (Article 23(4)(d)(i))",
            ("a detailed description", "severity and impact"),
        ),
        "root": Section(
            "(ii) Threat or root cause",
            "“the type of threat or root cause that is likely to have triggered the incident” (Article 23(4)(d)(ii))",
            ("the type of threat, or the root cause",),
        ),
        "measures": Section(
            "Mitigation measures",
            "",
            ("measures applied, and those that go on",),
        ),
    },
)
_DIN = "din Directiva (UE) 2022/2555 (NIS 2), respectiv norma națională care o transpune"
NIS2_ROMANIAN = Forms(
    Section(
        "Cine notifică și pe cine",
        "",
        (
            "denumirea entității, sectorul și înregistrarea ei",
            "echipa CSIRT sau autoritatea competentă căreia i se trimite",
        ),
    ),
    _forms(
        {
            "nis2-23-warning": (
                "PROIECT: avertizare timpurie privind un incident semnificativ",
                f"Articolul 23 alineatul (4) litera (a) {_DIN}: în cel mult 24 de ore de la luarea la cunoștință; "
                "arată, dacă este cazul, dacă se suspectează că incidentul a fost cauzat de acte ilicite sau "
                "răuvoitoare și dacă ar putea avea un impact transfrontalier.",
            ),
            "nis2-23": (
                "PROIECT: notificarea unui incident semnificativ",
                f"Articolul 23 alineatul (4) litera (b) {_DIN}: în cel mult 72 de ore de la luarea la cunoștință; "
                "actualizează avertizarea timpurie și cuprinde o evaluare inițială a incidentului, inclusiv a "
                "gravității și a impactului, precum și indicatorii de compromitere, dacă sunt disponibili.",
            ),
            "nis2-23-interim": (
                "PROIECT: raport intermediar privind un incident semnificativ",
                f"Articolul 23 alineatul (4) litera (c) {_DIN}: la cererea echipei CSIRT sau a autorității "
                "competente, cu actualizări relevante ale situației.",
            ),
            "nis2-23-final": (
                "PROIECT: raport final privind un incident semnificativ",
                f"Articolul 23 alineatul (4) litera (d) {_DIN}: în cel mult o lună de la transmiterea notificării "
                "prevăzute la litera (b).",
            ),
            "nis2-23-progress": (
                "PROIECT: raport privind progresele, pentru un incident semnificativ în desfășurare",
                f"Articolul 23 alineatul (4) litera (e) {_DIN}: dacă incidentul este încă în desfășurare la data "
                "raportului final, se transmite la acea dată un raport privind progresele.",
            ),
            "nis2-23-handled": (
                "PROIECT: raport final, după gestionarea unui incident semnificativ",
                f"Articolul 23 alineatul (4) litera (e) {_DIN}: în cel mult o lună de la gestionarea incidentului.",
            ),
        }
    ),
    {
        "when": Section(
            "Ce s-a întâmplat și când",
            "",
            (
                "ce s-a întâmplat și ce servicii sunt afectate",
                "când a început, când și cum a fost detectat",
                "când s-a încheiat sau dacă încă continuă",
            ),
        ),
        "suspected": Section(
            "Acte ilicite sau răuvoitoare",
            "",
            ("se suspectează că a fost cauzat de acte ilicite sau răuvoitoare: da, nu sau încă nu se știe; de ce",),
        ),
        "border": Section(
            "Impactul transfrontalier",
            "",
            ("ar putea avea sau a avut un impact în alte țări: da, nu sau încă nu se știe; în care",),
        ),
        "assessed": Section(
            "Evaluarea inițială: gravitatea și impactul",
            "",
            (
                "gravitatea: ce parte a serviciului, cât timp, ce pierderi",
                "impactul: câți utilizatori, ce alte persoane, ce prejudicii materiale sau morale",
            ),
        ),
        "compromise": Section(
            "Indicatorii de compromitere",
            "",
            ("indicatorii de compromitere, dacă există: adrese, amprente ale fișierelor, conturi, momente",),
        ),
        "status": Section("Stadiul gestionării", "", ("ce s-a schimbat de la ultimul raport", "ce urmează")),
        "described": Section(
            "(i) Descrierea, gravitatea și impactul",
            "",
            ("descrierea detaliată a incidentului", "gravitatea și impactul"),
        ),
        "root": Section(
            "(ii) Amenințarea sau cauza principală",
            "",
            ("tipul amenințării sau cauza principală care se presupune că a declanșat incidentul",),
        ),
        "measures": Section(
            "Măsurile de atenuare",
            "",
            ("măsurile aplicate și cele în curs",),
        ),
    },
)
