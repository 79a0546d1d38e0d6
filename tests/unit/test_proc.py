"""The only room that starts processes: streams, the watchdog, TERM then KILL, secrets, the environment."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from tests.support.harness import eventually

from ccdr.host import processes as proc
from ccdr.host.processes import Daemon, Host, Watchdog, tree_bytes
from ccdr.model.errors import CommandFailed

HOST = Host(no_progress=30)


def python(code: str) -> list[str]:
    return [sys.executable, "-c", textwrap.dedent(code)]


def gone(pid: int) -> bool:
    """No such process, or a zombie that nobody here reaps."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_big_output_on_both_streams_does_not_block() -> None:
    code = "import sys; [(sys.stdout.write('o' * 4096), sys.stderr.write('e' * 4096)) for _ in range(2000)]"
    out = HOST.run(python(code))
    assert len(out.stdout) == 4096 * 2000
    assert 0 < len(out.stderr.reveal()) <= 16 * proc.STDERR_KEPT  # only its tail: it may be endless


def test_big_input_to_a_program_that_reads_it() -> None:
    text = "ș" * 500_000
    assert HOST.run(["cat"], stdin=text).stdout == text


def test_big_input_to_a_program_that_does_not_read() -> None:
    assert HOST.run(["true"], stdin="x" * 5_000_000).code == 0


def test_input_and_output_at_once_do_not_deadlock() -> None:
    text = "line\n" * 400_000
    assert HOST.run(["tee", "/dev/stderr"], stdin=text).stdout == text


def test_without_input_a_program_sees_its_end_at_once() -> None:
    assert HOST.run(["wc", "-c"]).stdout.strip() == "0"


def test_names_that_are_not_utf8_come_through() -> None:
    assert os.fsencode(HOST.run(["printf", "%b", r"a\0377b"]).stdout) == b"a\xffb"


def test_a_failure_carries_argv_code_and_the_tail_of_stderr() -> None:
    with pytest.raises(CommandFailed) as caught:
        HOST.run(["sh", "-c", "echo first >&2; echo why >&2; exit 7"], what="asking")
    error = caught.value
    assert (error.code, error.stalled, error.argv[0]) == (7, False, "sh")
    assert "asking exited with 7" in str(error) and error.stderr.reveal().endswith("why\n")


def test_a_code_that_is_expected_is_no_failure() -> None:
    assert HOST.run(["sh", "-c", "exit 7"], ok=(0, 7)).code == 7


def test_a_signal_is_told_as_one() -> None:
    with pytest.raises(CommandFailed, match="ended by signal 9"):
        HOST.run(["sh", "-c", "kill -9 $$"])


def test_a_missing_program_is_named() -> None:
    with pytest.raises(CommandFailed, match="no-such-program is not installed on this host") as caught:
        HOST.run(["no-such-program"])
    assert caught.value.code == 127


def test_a_secret_is_masked_in_errors_and_output() -> None:
    host = HOST.with_(secrets=("hunter2!", ""))
    with pytest.raises(CommandFailed) as caught:
        host.run(["sh", "-c", "echo password hunter2! refused >&2; exit 1"])
    assert "hunter2!" not in str(caught.value) + caught.value.stderr.reveal()
    assert proc.MASK in caught.value.stderr


def test_the_environment_is_explicit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "not for every program")
    monkeypatch.setenv("PGPASSWORD", "nor this")
    said = HOST.with_(env={"A": "1"}).run(["env"], env={"B": "2"}).stdout.splitlines()
    names = {line.partition("=")[0] for line in said}
    assert {"A", "B", "PATH", "LC_ALL"} <= names
    assert not names & {"AWS_SECRET_ACCESS_KEY", "PGPASSWORD"}


def test_dirs_are_looked_in_before_path(tmp_path: Path) -> None:
    tool = tmp_path / "psql"
    tool.write_text("#!/bin/sh\necho mine\n")
    tool.chmod(0o755)
    host = HOST.with_(dirs=(str(tmp_path),))
    assert host.which("psql") == str(tool)
    assert host.run(["psql"]).stdout == "mine\n"


def test_gentle_lowers_priority() -> None:
    said = HOST.with_(gentle=True).run(["sh", "-c", "nice; ionice"]).stdout.split("\n")
    assert said[0] == str(min(os.nice(0) + 10, 19)) and said[1] == "best-effort: prio 7"


def test_each_line_is_handed_over_and_not_kept() -> None:
    lines: list[str] = []
    out = HOST.run(["printf", "a\\nb\\nlast"], on_line=lines.append)
    assert lines == ["a", "b", "last"] and out.stdout == ""


# --- the watchdog ------------------------------------------------------------------------------------------


def test_a_silent_program_is_stopped_and_told_as_stalled() -> None:
    began = time.monotonic()
    with pytest.raises(CommandFailed, match="made no progress and was stopped") as caught:
        HOST.with_(no_progress=0.3).run(["sleep", "60"])
    assert caught.value.stalled and time.monotonic() - began < 20


def test_a_slow_program_that_goes_on_is_left_alone() -> None:
    """It takes several times the limit, but is never silent for that long."""
    code = "import time\nfor n in range(8): print(n, flush=True); time.sleep(0.3)"
    assert HOST.with_(no_progress=1.5).run(python(code)).stdout.split()[-1] == "7"


def test_a_growing_directory_is_progress(tmp_path: Path) -> None:
    code = f"import time\nfor n in range(8): open({str(tmp_path / 'f')!r}, 'a').write('x'); time.sleep(0.3)"
    seen: list[int] = []
    HOST.with_(no_progress=1.5, on_growth=seen.append).run(python(code), watch=tmp_path)
    assert seen == sorted(seen) and seen[-1] > 0


def test_a_directory_that_stops_growing_is_no_progress(tmp_path: Path) -> None:
    """Output does not count where growth is asked for: a dump that only says it waits is stuck."""
    with pytest.raises(CommandFailed) as caught:
        HOST.with_(no_progress=0.4).run(["sh", "-c", "while :; do echo waiting; sleep 0.1; done"], watch=tmp_path)
    assert caught.value.stalled


def test_watchdog_knows_only_change() -> None:
    value: list[object] = [0]
    watchdog = Watchdog(0.05, lambda: value[0])
    assert not watchdog.stalled()
    time.sleep(0.1)
    value[0] = -1
    assert not watchdog.stalled()
    assert eventually(watchdog.stalled, 5)


def test_tree_bytes_counts_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "a/b").mkdir(parents=True)
    (tmp_path / "a/b/f").write_bytes(b"12345")
    (tmp_path / "l").symlink_to("/etc/passwd")
    assert tree_bytes(tmp_path) == 5 + len("/etc/passwd")
    assert tree_bytes(tmp_path / "missing") == 0


# --- the end of processes ----------------------------------------------------------------------------------


def test_a_stopped_program_gets_term_first(tmp_path: Path) -> None:
    """So that restic drops its lock."""
    said = tmp_path / "said"
    script = f"trap 'echo term > {said}; exit 0' TERM; while :; do sleep 0.05; done"
    with pytest.raises(CommandFailed):
        HOST.with_(no_progress=0.5).run(["sh", "-c", script])
    assert said.read_text() == "term\n"


def test_a_program_that_ignores_term_is_killed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proc, "TERM_GRACE", 0.3)
    code = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(60)"
    with pytest.raises(CommandFailed) as caught:
        HOST.with_(no_progress=0.5).run(python(code))
    assert caught.value.stalled


def test_its_children_end_with_it(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with pytest.raises(CommandFailed):
        HOST.with_(no_progress=0.5).run(["sh", "-c", f"sleep 300 & echo $! > {pid}; wait"])
    assert eventually(lambda: gone(int(pid.read_text())))


def test_an_exception_under_way_ends_the_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"

    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        HOST.run(["sh", "-c", f"echo $$ > {pid}; echo line; sleep 300"], on_line=interrupt)
    assert eventually(lambda: gone(int(pid.read_text())))


def test_a_killed_master_takes_its_programs_along(tmp_path: Path) -> None:
    """SIGKILL of ccdr must not leave a dump or an upload running."""
    pid = tmp_path / "pid"
    code = f"""
        from ccdr.host.processes import Host
        Host().run(["sh", "-c", "echo $$ > {pid}; exec sleep 300"])
    """
    master = subprocess.Popen(python(code))
    assert eventually(lambda: pid.exists() and pid.read_text().strip() != "")
    master.kill()
    master.wait()
    assert eventually(lambda: gone(int(pid.read_text())))


# --- sessions ----------------------------------------------------------------------------------------------


def test_a_session_answers_up_to_the_marker() -> None:
    with HOST.session(["cat"]) as session:
        assert session.ask("one\ntwo\nend\n", "end", timeout=10) == "one\ntwo\n"
        assert session.ask("end\n", "end", timeout=10) == ""
        assert session.ask("not the end\nend\n", "end", timeout=10) == "not the end\n"


def test_a_session_that_ends_early_tells_why() -> None:
    with (
        pytest.raises(CommandFailed, match="a table is not there"),
        HOST.session(["sh", "-c", "echo no such table >&2; exit 3"]) as session,
    ):
        session.ask("x\n", "end", timeout=10)


def test_a_session_that_does_not_answer_is_stopped() -> None:
    with HOST.session(["sleep", "60"]) as session, pytest.raises(CommandFailed) as caught:
        session.ask("x\n", "end", timeout=0.3)
    assert caught.value.stalled


def test_a_session_masks_secrets() -> None:
    host = HOST.with_(secrets=("hunter2!",))
    with pytest.raises(CommandFailed) as caught, host.session(["sh", "-c", "echo hunter2! >&2; exit 1"]) as session:
        session.ask("x\n", "end", timeout=10)
    assert "hunter2!" not in str(caught.value)


def test_leaving_a_session_ends_its_program(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    with HOST.session(["sh", "-c", f"echo $$ > {pid}; echo up; exec sleep 300"]) as session:
        session.ask("", "up", timeout=10)
    assert gone(int(pid.read_text()))


def test_a_daemon_holds_none_of_our_streams(tmp_path: Path) -> None:
    code = f"""
        import os, time
        from pathlib import Path
        from ccdr.host.processes import Daemon
        log = Path({str(tmp_path / "log")!r})
        made = Daemon.start(["sh", "-c", "echo up; exec sleep 300"], log=log)
        while not log.read_text(): time.sleep(0.01)
        print(made.process.pid, flush=True)
        os._exit(0)
    """
    done = subprocess.run(
        python(code), capture_output=True, text=True, timeout=20, check=True
    )  # would wait for a held pipe
    assert eventually(lambda: gone(int(done.stdout)))  # and it ends with who started it


def test_a_daemon_can_be_killed(tmp_path: Path) -> None:
    made = Daemon.start(["sleep", "300"], log=tmp_path / "log")
    assert made.running
    made.kill()
    assert not made.running and made.process.returncode == -signal.SIGKILL
