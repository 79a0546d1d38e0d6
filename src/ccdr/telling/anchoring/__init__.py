"""Anchoring: a checkpoint of the ledger is given to somebody whom root on this host cannot make take it back.

`kinds.py` has what a kind of anchor is, and the list of them; each kind is a file beside it. `making.py` makes those
that are due, side by side and in bounded time."""
