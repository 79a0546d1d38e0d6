"""Who may do what: each role's credential tried at the store, and the review of access."""

from ccdr.jobs.access.reviews import Reviewed, looked_at, record_export, record_review, review
from ccdr.jobs.access.trials import AccessTest, test_access

__all__ = ["AccessTest", "Reviewed", "looked_at", "record_export", "record_review", "review", "test_access"]
