"""Values, and arithmetic on them: pure, and known to all rooms."""
