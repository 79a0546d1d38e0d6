"""A package for an auditor is written: which lines go into it (`choosing.py`), whose data they tell of (`tenancy.py`),
and the bag, whole or not there at all (`writing.py`). What it must be, evidence/package/ says."""
