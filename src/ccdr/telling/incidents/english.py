"""The words of drafts in English. The law is quoted from Regulation (EU) 2016/679, its English text."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from ccdr.model.values import human_seconds, so_many
from ccdr.telling.incidents.draft import Language, Section

_BREACHES = {
    "availability": "availability (data were lost, or could not be used)",
    "confidentiality": "confidentiality (data were, or may have been, disclosed or read)",
    "integrity": "integrity (data were, or may have been, altered)",
}
_CAUSES = {
    "hardware": "a failure of hardware",
    "software": "a failure of software",
    "human_error": "a human error",
    "loss_or_theft": "the loss or theft of a device or a document",
    "attack": "an attack",
    "third_party": "a failure of a third party",
    "disaster": "a disaster at the site",
    "unknown": "a cause that is not known",
    "rehearsal": "none: it was a rehearsal",
    "false_alarm": "none: it was a false alarm",
}


def moment(when: datetime) -> str:
    return f"{when:%Y-%m-%d %H:%M:%S} UTC"


def _at(values: Mapping[str, object], key: str = "at") -> str:
    return moment(cast("datetime", values[key]))


def _took(values: Mapping[str, object]) -> str:
    took = values.get("took")
    return f", after {human_seconds(cast('float', took))}" if took is not None else ""


def _many(values: Mapping[str, object], key: str) -> int:
    return cast("int", values[key])


def _opened(values: Mapping[str, object]) -> str:
    how = "by a person" if values["by"] == "person" else "because a recovery was begun"
    return f"The incident was recorded at {_at(values)}, {how}."


def _recovery_ended(how: str) -> Any:
    def told(values: Mapping[str, object]) -> str:
        of = so_many(_many(values, "of"), "data set")
        return f"The recovery {how} at {_at(values)}{_took(values)}: {values['done']} of {of} brought back."

    return told


_FACTS: dict[str, Any] = {
    "aware": lambda v: f"The organisation became aware of it at {_at(v)}.",
    "opened": _opened,
    "kinds": lambda v: f"What was breached: {', '.join(_BREACHES[one] for one in v['kinds'])}.",
    "kinds_assumed": lambda v: (
        f"Assumed from a recovery{' of ' if v['assets'] else ''}{', '.join(v['assets'])}; nobody has stated it yet: "
        f"{', '.join(_BREACHES[one] for one in v['kinds'])}."
    ),
    "closed": lambda v: f"The incident was closed at {_at(v)}; cause: {_CAUSES[v['cause']]}.",
    "recovery_began": lambda v: f"A recovery from backups was begun at {_at(v)}, of: {', '.join(v['assets'])}.",
    "recovery_done": _recovery_ended("was completed"),
    "recovery_paused_by_failed_step": _recovery_ended("stopped at a step that failed,"),
    "recovery_failed": _recovery_ended("failed"),
    "checked": lambda v: f"What was brought back was checked: {v['passed']} of {so_many(v['of'], 'check')} passed.",
    "runbook_began": lambda v: f"The runbook of the plan was begun at {_at(v)} ({so_many(v['steps'], 'step')}).",
    "runbook_ended": lambda v: f"The runbook ended at {_at(v)}{_took(v)}: {so_many(v['done'], 'step')} done.",
    "restore_began": lambda v: f"A restore of {v['asset']} from its backup was begun at {_at(v)}.",
    "restored": lambda v: f"{v['asset']} was restored at {_at(v)}.",
    "tested": lambda v: (
        f"Before the organisation became aware of it, a restore test of the backups of {v['asset']} "
        f"{'passed' if v['passed'] else 'FAILED'} at {_at(v)}."
    ),
    "state_of": lambda v: (
        f"{v['asset']} was brought back to its state of {_at(v, 'point')}: what was written to it later is not in it."
    ),
    "filed": lambda v: f"{v['law']}{', ' + v['tenant'] if v.get('tenant') else ''}: notified at {_at(v)}.",
}

ENGLISH = Language(
    titles={
        "authority": (
            "DRAFT: notification of a personal data breach to the supervisory authority",
            "Article 33 of Regulation (EU) 2016/679 (GDPR)",
        ),
        "controllers": (
            "DRAFT: notice of a personal data breach from the processor to the controller",
            "Articles 33(2) and 28(3)(f) of Regulation (EU) 2016/679 (GDPR): “The processor shall notify the "
            "controller "
            "without undue delay after becoming aware of a personal data breach.”",
        ),
        "persons": (
            "DRAFT: communication of a personal data breach to the persons concerned",
            "Article 34 of Regulation (EU) 2016/679 (GDPR)",
        ),
    },
    about="Drafted by ccdr {version} at {at} from its records of the incident {name} (plan {plan}). Nothing was sent.",
    concerns="It concerns data of these controllers, in these data sets: {whose}.",
    instructions="Complete every [TO BE FILLED IN …], delete what does not apply, and let the organisation "
    "decide, with the advice of its data protection officer, whether it is sent. “(record N)” names the record that a "
    "fact is from; remove it before sending.",
    blank="[TO BE FILLED IN: {what}]",
    record="(record {seq})",
    who=Section(
        "Who notifies, and whom",
        "",
        (
            "name and address of the organisation",
            "to whom this is sent",
        ),
    ),
    phase="whether this is a first or a later notification (Article 33(4))",
    if_late="only where it is notified later than 72 hours after the organisation became aware of it: the reasons for "
    "the delay (Article 33(1))",
    when=Section(
        "When it happened",
        "",
        (
            "when it happened, or when it began",
            "when it was discovered, by whom and how",
            "when it ended, or that it still goes on",
        ),
    ),
    nature=Section(
        "(a) Nature of the breach",
        "“describe the nature of the personal data breach including where possible, the categories and approximate "
        "number "
        "of data subjects concerned and the categories and approximate number of personal data records concerned” "
        "(Article 33(3)(a))",
        (
            "what happened, in plain words",
            "categories and approximate number of the persons concerned",
            "categories and approximate number of the personal data records concerned",
        ),
    ),
    contact=Section(
        "(b) Contact",
        "“communicate the name and contact details of the data protection officer or other contact point where more "
        "information can be obtained” (Article 33(3)(b))",
        ("name, telephone and e-mail address of the data protection officer or another contact point",),
    ),
    consequences=Section(
        "(c) Likely consequences",
        "“describe the likely consequences of the personal data breach” (Article 33(3)(c))",
        ("likely consequences for the persons concerned",),
    ),
    measures=Section(
        "(d) Measures taken or proposed",
        "“describe the measures taken or proposed to be taken by the controller to address the personal data breach, "
        "including, where appropriate, measures to mitigate its possible adverse effects” (Article 33(3)(d))",
        ("further measures taken or proposed", "what the persons concerned can do themselves"),
    ),
    plain="> “The communication to the data subject referred to in paragraph 1 of this Article shall describe in "
    "clear and "
    "plain language the nature of the personal data breach and contain at least the information and measures referred "
    "to "
    "in points (b), (c) and (d) of Article 33(3).” (Article 34(2))",
    before="What was notified already",
    due="{law}: due by {at}",
    laws={},
    late=Section(
        "Reasons for the delay",
        "“Where the notification to the supervisory authority is not made within 72 hours, it shall be accompanied by "
        "reasons for the delay.” (Article 33(1))",
        ("why it was not notified in time",),
    ),
    not_yours="By the records the organisation is the processor of these data: under Article 33(1) the controller "
    "notifies "
    "the authority. Send this only where another rule makes it yours to send.",
    signed=("place, date", "name and function of who signs"),
    facts=_FACTS,
    moment=moment,
)
