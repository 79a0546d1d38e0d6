"""Who may do what: each role's credential tried at the store, and the review of access."""

from ccdr.jobs.access.testing import AccessTest, test_access

__all__ = ["AccessTest", "test_access"]
