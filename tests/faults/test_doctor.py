from __future__ import annotations
from pathlib import Path
import pytest
from tests.harness import Site, Source
from tests.stored import on_store, settled_file, with_repository
from ccdr.demo.store import Store
import os, subprocess, sys


def test_show(site: Site, source: Source, database: str, store: Store) -> None:
    with_repository(site)
    site.crm(source, database)
    on_store(site, store, "look")
    a = subprocess.run(site.argv("doctor"), capture_output=True, text=True)
    print(a.stdout, a.stderr, a.returncode)
    done = site.run("backup", "p"); print(done.code)
    done = site.run("test", "p"); print(done.code)
    import time; t=time.time()
    a = subprocess.run(site.argv("doctor"), capture_output=True, text=True)
    print(a.stdout, a.stderr, a.returncode, time.time()-t)
    assert 0
