"""Who may do what: each role's credential tried at the store, and the review of access."""

from ccdr.jobs.access.reviewing import Export, Reviewed, looked_at, record_export, record_review, review
from ccdr.jobs.access.testing import AccessTest, test_access

__all__ = ["AccessTest", "Export", "Reviewed", "looked_at", "record_export", "record_review", "review", "test_access"]
