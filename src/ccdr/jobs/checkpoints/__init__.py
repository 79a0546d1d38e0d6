"""Checkpoints of this host's ledger: made and signed (`making.py`), by which key (`signing_keys.py`), and where they
lie (`kept.py`)."""
