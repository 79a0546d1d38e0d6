"""The twelve measures, and their parts. To add a part: write its query in `parts/`, add a line here, and its histories
in `tests/support/control_histories.py`."""

from __future__ import annotations

from ccdr.evidence.controls.parts import monitoring, places, plans, recovery, sandboxes
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
    Part("sandbox-storage", ENCRYPTION, "where restored data lay", _HOSTS, sandboxes.storage),
    Part("ledger", MONITORING, "verification of the ledger", _CRON, monitoring.ledger),
    Part("comparisons", MONITORING, "repositories against the ledger", _CRON, monitoring.comparisons),
    Part("runs", MONITORING, "what was due against what was run", _CRON, monitoring.runs),
    Part("copies", PHYSICAL, "further copies", _PLAN, places.copies),
    Part("backups", RECOVERY, "backups", _PLAN, recovery.backups),
    Part("restore-tests", RECOVERY, "restore tests", _PLAN, recovery.restore_tests),
    Part("objectives", RECOVERY, "objectives against achieved", _PLAN, recovery.objectives),
    Part("checks", RECOVERY, "checks of the repository", _PLAN, recovery.checks),
    Part("recoveries", RECOVERY, "recoveries of the whole plan", _PLAN, recovery.recoveries),
    Part("retention", LEGAL, "what is past its retention", _PLAN, plans.retention),
    Part("isolation", TESTING, "sandboxes of restore tests", _HOSTS, sandboxes.isolation),
)


def _said(subject: str, measure: str, title: str, owner: str) -> Part:
    return Part(subject, measure, title, owner, attested(subject))


# What ccdr cannot know: each is shown by an attestation of its name, until that ends.
ATTESTED: tuple[Part, ...] = (
    _said("staff-training", POLICIES, "training of staff (12 months)", "whoever trains the staff"),
    _said("joiners-and-leavers", ACCESS, "joiners and leavers (3 months)", "whoever grants and takes away access"),
    _said("host-disk-encryption", ENCRYPTION, "disk encryption on hosts", _HOSTS),
    _said("log-collection", MONITORING, "collection of logs (SIEM)", "whoever watches the logs"),
    _said("data-centre", PHYSICAL, "the data centre's certificate", "whoever rents from the data centre"),
    _said("host-patching", UPDATES, "patching of hosts (1 month)", _HOSTS),
    _said("network-defence", THREATS, "firewall, intrusion detection and prevention", "whoever runs the network"),
    _said("record-of-processing", LEGAL, "record of processing", _OFFICER),
    _said("processor-contracts", LEGAL, "contracts with processors (DPA, BAA)", _OFFICER),
    _said("card-data", LEGAL, "no security codes of cards in what is kept", "whoever takes card payments"),
    _said("penetration-test", TESTING, "penetration test", "whoever had it carried out"),
    _said("incident-filing", INCIDENTS, "receipts of what was filed", _OFFICER),
    _said("password-policy", HYGIENE, "password policy for people", "whoever sets it"),
)
EVERY: tuple[Part, ...] = (*PARTS, *ATTESTED)
# By measure, the names of its parts: what a map of laws and standards may name.
NAMES = {measure.id: tuple(part.id for part in EVERY if part.measure == measure.id) for measure in MEASURES}
