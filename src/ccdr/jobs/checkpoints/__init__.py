"""Checkpoints of this host's ledger: made, signed and proven (`creation.py`), where they lie (`store.py`), published
(`publishing.py`), and what a ledger is held to (`held_to.py`).
"""
