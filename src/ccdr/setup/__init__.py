"""Before the first backup: what there is to protect, what is in the way, and state of an older format."""
