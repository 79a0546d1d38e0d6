"""Where backups are kept: `restic.py` drives the repository, `s3.py` looks after the bucket."""
