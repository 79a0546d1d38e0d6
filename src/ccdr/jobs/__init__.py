"""What is done to an asset or a repository, each from its lock to its record."""
