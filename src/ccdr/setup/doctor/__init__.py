"""A look at everything a plan rests on, before it is needed. Changes nothing.

`examine.py` looks at all of it side by side; `machine.py` at this host, `secret_files.py` at who may read what,
`repository.py` and `bucket.py` at where backups go, `source.py` and `sandbox.py` at where they come from and come
back, `readiness.py` at what the ledger has measured.
"""

from ccdr.setup.doctor.examine import Diagnosis, DoctorFinding, HostRole, examine

__all__ = ["Diagnosis", "DoctorFinding", "HostRole", "examine"]
