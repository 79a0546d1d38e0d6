"""No signal that asks ccdr to end gets lost in Python: whole processes, since a signal is a process's."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

BEGIN = """
import concurrent.futures, os, signal, sys, threading, time, weakref
from ccdr.host import interrupts
interrupts.listen()
"""
NOT_DEAF = "import signal\nsignal.signal(signal.SIGHUP, signal.SIG_DFL)\n"  # whatever started these tests
# Another thread takes the signal while the main thread sleeps without a limit.
TAKEN_BY_ANOTHER = (
    BEGIN
    + """
def take():
    time.sleep(0.3)
    signal.pthread_kill(threading.get_ident(), signal.{name})
    time.sleep(0.2)
threading.Thread(target=take, daemon=True).start()
try:
    threading.Event().wait()
except KeyboardInterrupt:
    print("interrupted")
"""
)
# The main thread acts on it in a finaliser, whose errors Python prints and forgets.
IN_A_FINALISER = (
    BEGIN
    + """
class Ending:
    def __del__(self):
        signal.raise_signal(signal.{name})
        for _ in range(1000):
            pass
ending = Ending()
try:
    del ending
    time.sleep(20)
except KeyboardInterrupt:
    print("interrupted")
"""
)
# No interrupt: what else a finaliser raises is printed as ever.
ANOTHER_ERROR = (
    BEGIN
    + """
class Ending:
    def __del__(self):
        raise ValueError("a mistake")
ending = Ending()
del ending
print("went on")
"""
)
# One signal is one interrupt: whoever cleans up after it is not interrupted again.
ONCE = (
    BEGIN
    + """
try:
    os.kill(os.getpid(), signal.{name})
    threading.Event().wait()
except KeyboardInterrupt:
    time.sleep(interrupts.GLANCE * (interrupts.NUDGES + 2))
    print("interrupted")
"""
)


def said(code: str, name: str = "SIGTERM") -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-c", NOT_DEAF + code.replace("{name}", name)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("code", [TAKEN_BY_ANOTHER, IN_A_FINALISER, ONCE], ids=["thread", "finaliser", "once"])
def test_a_signal_interrupts_once_wherever_it_came(code: str, name: str) -> None:
    done = said(code, name)
    assert (done.stdout, done.stderr) == ("interrupted\n", "")


def test_what_else_a_finaliser_raises_is_printed() -> None:
    done = said(ANOTHER_ERROR)
    assert done.stdout == "went on\n" and "ValueError: a mistake" in done.stderr


def test_nohup_is_respected(tmp_path: Path) -> None:
    code = BEGIN + "print('ready', flush=True)\ntime.sleep(1.5)\nprint('went on')"
    argv = ["nohup", sys.executable, "-c", code]
    process = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=tmp_path)
    assert process.stdout and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGHUP)
    time.sleep(0.1)
    assert process.communicate(timeout=20)[0] == "went on\n"


def test_many_signals_to_a_process_of_many_threads_are_all_heard() -> None:
    """Some in a hundred got lost on a busy machine. It ends while its threads are starting programs: such a child shares
    all memory with it (vfork), with its signals blocked, and goes on alone until it is that program. Once one never came
    to that, and span: so whatever is left of its session is ended with it."""
    code = BEGIN + (
        "import subprocess\n"
        "def work():\n"
        "    while True:\n"
        "        subprocess.run(['true'])\n"
        "for _ in range(3):\n"
        "    threading.Thread(target=work, daemon=True).start()\n"
        "try:\n"
        "    print('ready', flush=True)\n"
        "    threading.Event().wait()\n"
        "except KeyboardInterrupt:\n"
        "    os._exit(7)\n"
    )
    for n in range(12):
        argv = [sys.executable, "-c", code]
        process = subprocess.Popen(argv, stdout=subprocess.PIPE, text=True, start_new_session=True)
        try:
            assert process.stdout and process.stdout.readline() == "ready\n"
            time.sleep(0.01 * n)
            process.terminate()
            assert process.wait(timeout=20) == 7
            process.stdout.close()
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
