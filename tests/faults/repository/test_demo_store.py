"""The S3 server that the demo and the tests start."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.support.restored_files import mounted

from ccdr.demo.store import start


def test_a_store_takes_what_is_put_as_soon_as_it_says_so_and_on_a_small_disk_in_more_buckets_than_gigabytes(
    tmp_path: Path,
) -> None:
    """Four of them at once, on one disk that tests fill, ran out of places and answered InternalError."""
    mounted(tmp_path / "s3", "2g")
    store = start(tmp_path / "s3")
    try:
        for number in range(4):
            bucket = store.bucket(f"ccdr-{number}")
            bucket.create_versioned(patience=60)
            bucket._client(timeout=2).put_object(Bucket=bucket.name, Key="config", Body=b"contents")
    finally:
        store.stop()
        subprocess.run(["umount", "-l", tmp_path / "s3"], check=True)
