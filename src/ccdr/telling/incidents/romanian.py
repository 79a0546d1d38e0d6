"""The words of drafts in Romanian. The law is quoted from Regulation (EU) 2016/679, its Romanian text; where that text
of 33(1) is unclear, it is told in other words."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast

from ccdr.telling.incidents.draft import Language, Section

_BREACHES = {
    "availability": "disponibilitatea (datele au fost pierdute sau nu au putut fi folosite)",
    "confidentiality": "confidențialitatea (datele au fost sau este posibil să fi fost divulgate ori citite)",
    "integrity": "integritatea (datele au fost sau este posibil să fi fost modificate)",
}
_CAUSES = {
    "hardware": "o defecțiune a echipamentelor",
    "software": "o eroare a programelor",
    "human_error": "o eroare umană",
    "loss_or_theft": "pierderea sau furtul unui dispozitiv sau document",
    "attack": "un atac",
    "third_party": "o deficiență a unui terț",
    "disaster": "un dezastru la sediu",
    "unknown": "nu este cunoscută",
    "rehearsal": "niciuna: a fost un exercițiu",
    "false_alarm": "niciuna: a fost o alarmă falsă",
}


def moment(when: datetime) -> str:
    return f"{when:%d.%m.%Y}, ora {when:%H:%M:%S} UTC"


def so_many(count: int, one: str, many: str) -> str:
    """`o verificare`, `două`, as numbers: `1 verificare`, `3 verificări`, `20 de verificări`."""
    if count == 1:
        return f"1 {one}"
    of = "de " if count and (count % 100 == 0 or count % 100 >= 20) else ""
    return f"{count} {of}{many}"


def lasted(seconds: float) -> str:
    """As people say it: `2 ore și 5 minute`."""
    whole = round(seconds)
    units = ((86400, "zi", "zile"), (3600, "oră", "ore"), (60, "minut", "minute"), (1, "secundă", "secunde"))
    parts = []
    for size, one, many in units:
        count, whole = divmod(whole, size)
        if count:
            parts.append(so_many(count, one, many))
    return " și ".join(parts[:2]) or "mai puțin de o secundă"


def _at(values: Mapping[str, object], key: str = "at") -> str:
    return moment(cast("datetime", values[key]))


def _took(values: Mapping[str, object]) -> str:
    took = values.get("took")
    return f", după {lasted(cast('float', took))}" if took is not None else ""


def _opened(values: Mapping[str, object]) -> str:
    how = "de către o persoană" if values["by"] == "person" else "la începerea unei recuperări"
    return f"Incidentul a fost înregistrat la {_at(values)}, {how}."


def _recovery_ended(how: str) -> Any:
    def told(values: Mapping[str, object]) -> str:
        done, of = cast("int", values["done"]), cast("int", values["of"])
        brought = "a fost readus" if done == 1 else "au fost readuse"
        return (
            f"Recuperarea {how} la {_at(values)}{_took(values)}: {brought} {done} din "
            f"{so_many(of, 'set de date', 'seturi de date')}."
        )

    return told


def _checked(values: Mapping[str, object]) -> str:
    passed, of = cast("int", values["passed"]), cast("int", values["of"])
    went = "a trecut" if passed == 1 else "au trecut"
    return f"Ceea ce a fost readus a fost verificat: {went} {passed} din {so_many(of, 'verificare', 'verificări')}."


def _tested(values: Mapping[str, object]) -> str:
    how = "a reușit" if values["passed"] else "a EȘUAT"
    return (
        "Înainte ca organizația să ia cunoștință de incident, un test de restaurare a copiilor de siguranță pentru "
        f"{values['asset']} {how} la {_at(values)}."
    )


def _assumed(values: Mapping[str, object]) -> str:
    assets, kinds = cast("list[str]", values["assets"]), cast("list[str]", values["kinds"])
    of = f" ({', '.join(assets)})" if assets else ""
    return (
        f"Se presupune, numai în urma unei recuperări{of}, că a fost afectată: "
        f"{', '.join(_BREACHES[one] for one in kinds)}. Nimeni nu a declarat încă acest lucru."
    )


_FACTS: dict[str, Any] = {
    "aware": lambda v: f"Organizația a luat cunoștință de incident la {_at(v)}.",
    "opened": _opened,
    "kinds": lambda v: f"A fost afectată: {', '.join(_BREACHES[one] for one in v['kinds'])}.",
    "kinds_assumed": _assumed,
    "closed": lambda v: f"Incidentul a fost închis la {_at(v)}; cauza: {_CAUSES[v['cause']]}.",
    "recovery_began": lambda v: (
        f"La {_at(v)} a început recuperarea din copiile de siguranță, pentru: {', '.join(v['assets'])}."
    ),
    "recovery_done": _recovery_ended("s-a încheiat"),
    "recovery_paused_by_failed_step": _recovery_ended("s-a oprit la un pas nereușit,"),
    "recovery_failed": _recovery_ended("a eșuat"),
    "checked": _checked,
    "runbook_began": lambda v: (
        f"La {_at(v)} a început aplicarea procedurii de urgență a planului ({so_many(v['steps'], 'pas', 'pași')})."
    ),
    "runbook_ended": lambda v: (
        f"Procedura de urgență s-a încheiat la {_at(v)}{_took(v)}: "
        f"{'a fost efectuat' if v['done'] == 1 else 'au fost efectuați'} {so_many(v['done'], 'pas', 'pași')}."
    ),
    "restore_began": lambda v: f"La {_at(v)} a început restaurarea {v['asset']} din copia de siguranță.",
    "restored": lambda v: f"Restaurarea {v['asset']} s-a încheiat la {_at(v)}.",
    "tested": _tested,
    "state_of": lambda v: (
        f"{v['asset']} a fost readus la starea din {_at(v, 'point')}: ceea ce s-a scris ulterior nu se regăsește."
    ),
    "filed": lambda v: f"{v['law']}{', ' + v['tenant'] if v.get('tenant') else ''}: notificat la {_at(v)}.",
}

ROMANIAN = Language(
    titles={
        "authority": (
            "PROIECT: notificarea autorității de supraveghere privind o încălcare a securității datelor cu caracter "
            "personal",
            "Articolul 33 din Regulamentul (UE) 2016/679 (RGPD)",
        ),
        "controllers": (
            "PROIECT: înștiințarea operatorului de către persoana împuternicită privind o încălcare a securității "
            "datelor cu caracter personal",
            "Articolul 33 alineatul (2) și articolul 28 alineatul (3) litera (f) din Regulamentul (UE) 2016/679 "
            "(RGPD): "
            "„Persoana împuternicită de operator înștiințează operatorul fără întârzieri nejustificate după ce ia "
            "cunoștință de o încălcare a securității datelor cu caracter personal.”",
        ),
        "persons": (
            "PROIECT: informarea persoanelor vizate privind o încălcare a securității datelor cu caracter personal",
            "Articolul 34 din Regulamentul (UE) 2016/679 (RGPD)",
        ),
    },
    about="Redactat de ccdr {version} la {at} din înregistrările sale despre incidentul {name} (planul {plan}). Nu a "
    "fost "
    "trimis nimic.",
    concerns="Privește date ale acestor operatori, în aceste seturi de date: {whose}.",
    instructions="Completați fiecare [DE COMPLETAT …], ștergeți ce nu este cazul. Organizația (operatorul "
    "sau persoana împuternicită de operator) decide dacă se trimite, după consultarea responsabilului cu protecția "
    "datelor. „(înregistrarea N)” arată din ce înregistrare provine un fapt; eliminați-o înainte de trimitere.",
    blank="[DE COMPLETAT: {what}]",
    record="(înregistrarea {seq})",
    who=Section(
        "Cine notifică și pe cine",
        "",
        (
            "denumirea și adresa organizației",
            "cui i se trimite",
        ),
    ),
    phase="dacă este prima notificare sau una ulterioară (articolul 33 alineatul (4))",
    if_late="numai dacă se notifică la mai mult de 72 de ore după ce organizația a luat cunoștință de încălcare: "
    "motivele întârzierii (articolul 33 alineatul (1))",
    when=Section(
        "Când s-a produs",
        "",
        (
            "când s-a produs sau când a început",
            "când, de către cine și cum a fost descoperită",
            "când s-a încheiat sau dacă încă continuă",
        ),
    ),
    nature=Section(
        "(a) Caracterul încălcării",
        "„descrie caracterul încălcării securității datelor cu caracter personal, inclusiv, acolo unde este posibil, "
        "categoriile și numărul aproximativ al persoanelor vizate în cauză, precum și categoriile și numărul "
        "aproximativ "
        "al înregistrărilor de date cu caracter personal în cauză” (articolul 33 alineatul (3) litera (a))",
        (
            "ce s-a întâmplat, în cuvinte simple",
            "categoriile și numărul aproximativ al persoanelor vizate",
            "categoriile și numărul aproximativ al înregistrărilor de date cu caracter personal",
        ),
    ),
    contact=Section(
        "(b) Contact",
        "„comunică numele și datele de contact ale responsabilului cu protecția datelor sau un alt punct de contact de "
        "unde se pot obține mai multe informații” (articolul 33 alineatul (3) litera (b))",
        (
            "numele, telefonul și adresa de e-mail ale responsabilului cu protecția datelor sau ale altui punct de "
            "contact",
        ),
    ),
    consequences=Section(
        "(c) Consecințele probabile",
        "„descrie consecințele probabile ale încălcării securității datelor cu caracter personal” (articolul 33 "
        "alineatul "
        "(3) litera (c))",
        ("consecințele probabile pentru persoanele vizate",),
    ),
    measures=Section(
        "(d) Măsurile luate sau propuse",
        "„descrie măsurile luate sau propuse spre a fi luate de operator pentru a remedia problema încălcării "
        "securității "
        "datelor cu caracter personal, inclusiv, după caz, măsurile pentru atenuarea eventualelor sale efecte "
        "negative” "
        "(articolul 33 alineatul (3) litera (d))",
        ("alte măsuri luate sau propuse", "ce pot face persoanele vizate"),
    ),
    plain="> „În informarea transmisă persoanei vizate prevăzută la alineatul (1) din prezentul articol se include o "
    "descriere într-un limbaj clar și simplu a caracterului încălcării securității datelor cu caracter personal, "
    "precum "
    "și cel puțin informațiile și măsurile menționate la articolul 33 alineatul (3) literele (b), (c) și (d).” "
    "(articolul "
    "34 alineatul (2))",
    before="Ce s-a notificat deja",
    due="{law}: termen {at}",
    laws={
        "GDPR 33(1)": "RGPD, articolul 33 alineatul (1)",
        "GDPR 33(2)": "RGPD, articolul 33 alineatul (2)",
        "GDPR 34(1)": "RGPD, articolul 34 alineatul (1)",
        **{f"NIS2 23(4)({one})": f"Directiva NIS 2, articolul 23 alineatul (4) litera ({one})" for one in "abcde"},
    },
    late=Section(
        "Motivele întârzierii",
        "Articolul 33 alineatul (1): o notificare făcută după mai mult de 72 de ore este însoțită de o explicație "
        "motivată "
        "a întârzierii.",
        ("de ce nu s-a notificat la timp",),
    ),
    not_yours="Potrivit înregistrărilor, organizația este persoana împuternicită de operator pentru aceste date: "
    "conform "
    "articolului 33 alineatul (1), operatorul notifică autoritatea. Trimiteți acest text numai dacă o altă normă vă "
    "obligă "
    "să o faceți.",
    signed=("locul, data", "numele și funcția semnatarului"),
    facts=_FACTS,
    moment=moment,
)
