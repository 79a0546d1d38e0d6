"""Deviations: which there are, and what people say of them."""

from ccdr.jobs.deviations.accepting import accept, to_accept
from ccdr.jobs.deviations.known import checked, find, signers_of
from ccdr.jobs.deviations.saying import assign, note

__all__ = ["accept", "assign", "checked", "find", "note", "signers_of", "to_accept"]
