"""The twelve measures, and their parts. To add a part: write its query in `parts/`, add a line here, and its histories
in `tests/support/control_histories.py`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from msgspec.structs import replace

from ccdr.evidence.controls.parts import continuity, governance, protection
from ccdr.evidence.controls.parts.governance import attested
from ccdr.evidence.controls.values import (
    WORST_FIRST,
    ControlState,
    Known,
    Measure,
    MeasureState,
    Observed,
    Part,
    PartState,
)
from ccdr.evidence.statements import ATTESTABLE
from ccdr.model.errors import Exit
from ccdr.model.values import AHEAD, utc

POLICIES, ACCESS, ENCRYPTION = "policies-and-training", "access-control", "encryption"
MONITORING, PHYSICAL, UPDATES = "monitoring-and-audit", "physical-security", "updates"
THREATS, RECOVERY, LEGAL = "threats", "backup-and-recovery", "legal-compliance"
TESTING, INCIDENTS, HYGIENE = "security-testing", "incident-reporting", "workplace-hygiene"

MEASURES: tuple[Measure, ...] = (
    Measure(POLICIES, "Policies and procedures, training"),
    Measure(ACCESS, "Access control, two factors"),
    Measure(ENCRYPTION, "Encryption at rest and in transit"),
    Measure(MONITORING, "Monitoring and audit"),
    Measure(PHYSICAL, "Physical security"),
    Measure(UPDATES, "Updates and patches"),
    Measure(THREATS, "Defence against cyber-threats"),
    Measure(RECOVERY, "Backup and recovery plan"),
    Measure(LEGAL, "Legal compliance"),
    Measure(TESTING, "Security testing"),
    Measure(INCIDENTS, "Incident reporting"),
    Measure(HYGIENE, "Workplace hygiene"),
)
_PLAN, _HOSTS, _OFFICER = "the plan's owner", "whoever runs the hosts", "the data protection officer"
_CRON = "whoever has cron call `ccdr run`"

PARTS: tuple[Part, ...] = (
    Part("plan-versions", POLICIES, "the plan in force", _PLAN, governance.versions),
    Part("approval", POLICIES, "the plan approved and reviewed", _PLAN, governance.approvals),
    Part("four-eyes", ACCESS, "four eyes for what removes backups", _PLAN, governance.four_eyes),
    Part("second-factor", ACCESS, "approvals by two factors", "whoever approves plans", governance.second_factors),
    Part("roles", ACCESS, "a credential for each role", _HOSTS, protection.roles),
    Part("access-review", ACCESS, "who has access, looked at", _PLAN, protection.reviews),
    Part("repositories", ENCRYPTION, "repositories encrypted, and reached so", _PLAN, protection.repositories),
    Part("sources", ENCRYPTION, "sources reached encrypted", _PLAN, protection.sources),
    Part("tls", ENCRYPTION, "TLS of each connection", _PLAN, protection.tls),
    Part("sandbox-storage", ENCRYPTION, "where restored data lay", _HOSTS, protection.storage),
    Part("ledger", MONITORING, "verification of the ledger", _CRON, continuity.ledger),
    Part("comparisons", MONITORING, "repositories against the ledger", _CRON, continuity.comparisons),
    Part("runs", MONITORING, "what was due against what was run", _CRON, continuity.runs),
    Part("access", MONITORING, "access that is not usual", "whoever watches the logs", continuity.accesses),
    Part("sites", PHYSICAL, "where source and backups lie", _PLAN, protection.sites),
    Part("copies", PHYSICAL, "further copies", _PLAN, governance.copies),
    Part("versions", UPDATES, "versions of programs", _HOSTS, protection.versions),
    Part("images", UPDATES, "age of sandboxes' images", _HOSTS, protection.images),
    Part("leaps", THREATS, "backups that leap, canaries that changed", _PLAN, protection.leaps),
    Part("object-locks", THREATS, "what is in use locked against removal", _PLAN, protection.object_locks),
    Part("backups", RECOVERY, "backups", _PLAN, continuity.backups),
    Part("restore-tests", RECOVERY, "restore tests", _PLAN, continuity.restore_tests),
    Part("objectives", RECOVERY, "objectives against achieved", _PLAN, continuity.objectives),
    Part("checks", RECOVERY, "checks of the repository", _PLAN, continuity.checks),
    Part("recoveries", RECOVERY, "recoveries of the whole plan", _PLAN, continuity.recoveries),
    Part("approval", RECOVERY, "the plan approved and reviewed", _PLAN, governance.approvals),
    Part("erasures", LEGAL, "erased people stay erased", _OFFICER, governance.erasures),
    Part("retention", LEGAL, "what is past its retention", _PLAN, governance.retention),
    Part("negative-controls", TESTING, "damaged copies are found", _PLAN, protection.negative_controls),
    Part("isolation", TESTING, "sandboxes of restore tests", _HOSTS, protection.isolation),
    Part("incidents", INCIDENTS, "incidents of recoveries, and what was due", _OFFICER, governance.incidents),
    Part("secrets", HYGIENE, "secrets: who may read them, strength, age, reuse", _PLAN, protection.secrets),
)


_SAID_OF = {
    "policies": POLICIES,
    "access": ACCESS,
    "encryption": ENCRYPTION,
    "monitoring": MONITORING,
    "physical": PHYSICAL,
    "updates": UPDATES,
    "threats": THREATS,
    "compliance": LEGAL,
    "testing": TESTING,
    "incidents": INCIDENTS,
    "hygiene": HYGIENE,
}
_SAYS = {
    "staff-training": ("training of staff", "whoever trains the staff"),
    "instructions": ("processing on instructions alone", _OFFICER),
    "emergency-mode": ("going on while systems are down", "whoever answers for continuity"),
    "criticality-analysis": ("what matters most, assessed", "whoever answers for continuity"),
    "documents-kept": ("how long documents are kept", _OFFICER),
    "joiners-leavers": ("joiners and leavers", "whoever grants and takes away access"),
    "disk-encryption": ("disk encryption on hosts", _HOSTS),
    "siem": ("collection of logs (SIEM)", "whoever watches the logs"),
    "data-centre": ("the data centre's certificate", "whoever rents from the data centre"),
    "restore-segregation": ("what is restored onto, apart from its source", _HOSTS),
    "host-patching": ("patching of hosts", _HOSTS),
    "firewall-ids": ("firewall, intrusion detection and prevention", "whoever runs the network"),
    "processing-record": ("record of processing", _OFFICER),
    "processor-agreements": ("agreements with processors and clients (DPA, BAA)", _OFFICER),
    "assistance": ("help, evidence and audits for controllers", _OFFICER),
    "card-data": ("security codes of cards", "whoever takes card payments"),
    "penetration-test": ("penetration test", "whoever had it carried out"),
    "incident-filings": ("receipts of what was filed", _OFFICER),
    "password-policy": ("password policy for people", "whoever sets it"),
}
# What ccdr cannot know: each is shown by an attestation of its name, until that ends.
ATTESTED: tuple[Part, ...] = tuple(
    Part(item, _SAID_OF[of.measure], *_SAYS[item], attested(item)) for item, of in ATTESTABLE.items()
)
EVERY: tuple[Part, ...] = (*PARTS, *ATTESTED)
# By measure, the names of its parts: what a map of laws and standards may name.
NAMES = {measure.id: tuple(part.id for part in EVERY if part.measure == measure.id) for measure in MEASURES}


# How it stands with each of the twelve measures: every part is asked, and what is wrong comes first.


def judge_measures(known: Known) -> list[MeasureState]:
    asked = [PartState(part, _shown(part, known)) for part in EVERY]
    asked.sort(key=lambda one: WORST_FIRST.index(one.state) if one.is_wrong else len(WORST_FIRST))
    return [MeasureState(one, tuple(p for p in asked if p.part.measure == one.id)) for one in MEASURES]


def _shown(part: Part, known: Known) -> tuple[Observed, ...]:
    found = (_in_time(one, known.now) for one in part.shows(known))
    return tuple(sorted(found, key=lambda one: WORST_FIRST.index(one.state)))


def _in_time(one: Observed, now: datetime) -> Observed:
    """What is dated in the future shows nothing of now: a clock was ahead then, or is set back now, so that nothing
    ever gets old."""
    if one.state not in (ControlState.SHOWN, ControlState.STATED) or all(
        utc(r.time) <= now + AHEAD for r in one.records
    ):
        return one
    text = f"{one.text}; but its record is dated in the future: a clock is wrong, or was"
    return replace(one, state=ControlState.CONTRADICTED, text=text, step="check the clock of this host")


def exit_of_measures(measures: Sequence[MeasureState]) -> Exit:
    """Contradicted or expired, where nobody has acknowledged it, is a finding; what nobody shows is none."""
    return Exit.FINDING if any(measure.finding for measure in measures) else Exit.OK
