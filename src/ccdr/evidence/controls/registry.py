"""The twelve measures, and their parts. To add a part: write its query in `parts/`, and add a line here."""

from __future__ import annotations

from ccdr.evidence.controls.parts import recovery
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
_OWNER = "the plan's owner"

PARTS: tuple[Part, ...] = (
    Part("backups", RECOVERY, "backups", _OWNER, recovery.backups),
    Part("restore-tests", RECOVERY, "restore tests", _OWNER, recovery.restore_tests),
    Part("objectives", RECOVERY, "objectives against achieved", _OWNER, recovery.objectives),
    Part("checks", RECOVERY, "checks of the repository", _OWNER, recovery.checks),
    Part("recoveries", RECOVERY, "recoveries of the whole plan", _OWNER, recovery.recoveries),
)
