"""Look after a plan's repository: remove what its retention lets go, and read a part of what stays."""

from ccdr.jobs.upkeep.check import check
from ccdr.jobs.upkeep.outcome import Capacity, Check, Prune
from ccdr.jobs.upkeep.prune import prune

__all__ = ["Capacity", "Check", "Prune", "check", "prune"]
