"""The twelve measures, and their parts. To add a part: write its query in `parts/`, add a line here, and its histories
in `tests/support/control_histories.py`."""

from __future__ import annotations

from ccdr.evidence.attested import ATTESTABLE
from ccdr.evidence.controls.parts import (
    access,
    approvals,
    erasures,
    examined,
    incidents,
    monitoring,
    negative,
    places,
    plans,
    recovery,
    sandboxes,
    threats,
    updates,
)
from ccdr.evidence.controls.parts.attested import attested
from ccdr.evidence.controls.values import Measure, Part

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
    Part("plan-versions", POLICIES, "the plan in force", _PLAN, plans.versions),
    Part("approval", POLICIES, "the plan approved and reviewed", _PLAN, approvals.approvals),
    Part("four-eyes", ACCESS, "four eyes for what removes backups", _PLAN, approvals.four_eyes),
    Part("second-factor", ACCESS, "approvals by two factors", "whoever approves plans", approvals.second_factors),
    Part("roles", ACCESS, "a credential for each role", _HOSTS, access.roles),
    Part("access-review", ACCESS, "who has access, looked at", _PLAN, access.reviews),
    Part("repositories", ENCRYPTION, "repositories encrypted, and reached so", _PLAN, examined.repositories),
    Part("sources", ENCRYPTION, "sources reached encrypted", _PLAN, examined.sources),
    Part("tls", ENCRYPTION, "TLS of each connection", _PLAN, examined.tls),
    Part("sandbox-storage", ENCRYPTION, "where restored data lay", _HOSTS, sandboxes.storage),
    Part("ledger", MONITORING, "verification of the ledger", _CRON, monitoring.ledger),
    Part("comparisons", MONITORING, "repositories against the ledger", _CRON, monitoring.comparisons),
    Part("runs", MONITORING, "what was due against what was run", _CRON, monitoring.runs),
    Part("access", MONITORING, "access that is not usual", "whoever watches the logs", monitoring.accesses),
    Part("sites", PHYSICAL, "where source and backups lie", _PLAN, examined.sites),
    Part("copies", PHYSICAL, "further copies", _PLAN, places.copies),
    Part("versions", UPDATES, "versions of programs", _HOSTS, updates.versions),
    Part("images", UPDATES, "age of sandboxes' images", _HOSTS, updates.images),
    Part("leaps", THREATS, "backups that leap, canaries that changed", _PLAN, threats.leaps),
    Part("object-locks", THREATS, "what is in use locked against removal", _PLAN, threats.object_locks),
    Part("backups", RECOVERY, "backups", _PLAN, recovery.backups),
    Part("restore-tests", RECOVERY, "restore tests", _PLAN, recovery.restore_tests),
    Part("objectives", RECOVERY, "objectives against achieved", _PLAN, recovery.objectives),
    Part("checks", RECOVERY, "checks of the repository", _PLAN, recovery.checks),
    Part("recoveries", RECOVERY, "recoveries of the whole plan", _PLAN, recovery.recoveries),
    Part("approval", RECOVERY, "the plan approved and reviewed", _PLAN, approvals.approvals),
    Part("erasures", LEGAL, "erased people stay erased", _OFFICER, erasures.erasures),
    Part("retention", LEGAL, "what is past its retention", _PLAN, plans.retention),
    Part("negative-controls", TESTING, "damaged copies are found", _PLAN, negative.negative_controls),
    Part("isolation", TESTING, "sandboxes of restore tests", _HOSTS, sandboxes.isolation),
    Part("incidents", INCIDENTS, "incidents of recoveries, and what was due", _OFFICER, incidents.incidents),
    Part("secrets", HYGIENE, "secrets: who may read them, strength, age, reuse", _PLAN, examined.secrets),
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
