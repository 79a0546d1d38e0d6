"""A look at everything a plan rests on, before it is needed. Changes nothing.

`examine.py` looks at all of it side by side; `machine.py` at this host, who may read its secrets, and where backups
come from and come back; `repository.py` at where they go; `readiness.py` at what the ledger has measured.
"""

from ccdr.setup.doctor.examine import Diagnosis, DoctorFinding, HostRole, examine

__all__ = ["Diagnosis", "DoctorFinding", "HostRole", "examine"]
