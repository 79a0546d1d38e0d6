"""msgspec lets other threads use what it has half built: whole processes, since they crash in C."""

from __future__ import annotations

import subprocess
import sys

import pytest

TWO_AT_ONCE = """
import os, sys, threading, time
import msgspec
from ccdr.host.built import built

def slow(of):
    time.sleep(0.3)
    return of

class Inner(msgspec.Struct):
    b: "slow(int)"

class Outer(msgspec.Struct):
    inner: "Inner"

def use():
    msgspec.convert({"inner": {"b": 1}}, OUTER)

first, second = threading.Thread(target=use), threading.Thread(target=use)
first.start()
time.sleep(0.1)
if sys.argv[1] == "forks" and (pid := os.fork()):
    sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
second.start()
second.join()
print("used")
"""


def used(of: str, how: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", TWO_AT_ONCE.replace("OUTER", of), how]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("how", ["side by side", "forks"])
def test_a_definition_is_never_used_half_built(how: str) -> None:
    done = used("built(Outer)", how)
    assert (done.returncode, done.stdout) == (0, "used\n"), done.stderr
    # The day that this fails, msgspec has been mended, and `built` can go.
    assert used("Outer", "side by side").returncode == -11, "what it is there for"
