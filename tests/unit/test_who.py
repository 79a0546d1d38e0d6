"""Who began what is recorded: from the process tree, the terminal, the environment; and each says what it rests on."""

from __future__ import annotations

import json
import os
import pty
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec import to_builtins
from tests.support.harness import Site

from ccdr.evidence.records.values import RecordedTrigger, recorded_user
from ccdr.host.who import CRON, OTHER, SYSTEMD, TERMINAL, Who, who_is
from ccdr.jobs.services import Trigger

NO_TTY, PTS_3, TTY_1, SERIAL_0 = 0, (136 << 8) | 3, (4 << 8) | 1, (4 << 8) | 64
NEVER = "4294967295"


class Tree:
    """/proc, as far as it is asked: `parents` from the process itself up, each a name."""

    def __init__(self, root: Path, *parents: str, tty: int = NO_TTY, login: str | None = NEVER) -> None:
        self.root = root
        for number, name in enumerate(parents):
            pid, parent = 100 - number, 99 - number if number + 1 < len(parents) else 0
            home = root / str(pid)
            home.mkdir()
            (home / "stat").write_text(f"{pid} ({name}) S {parent} {pid} {pid} {tty} -1 4194304 0 0\n")
        if login is not None and parents:
            (root / "100" / "loginuid").write_text(login)

    def asked(self, **environment: str) -> str:
        return who_is(self.root, 100, 1000, environment).started_by


@pytest.mark.parametrize("cron", ["cron", "CRON", "crond", "anacron"])
def test_what_cron_starts_has_it_among_its_parents(tmp_path: Path, cron: str) -> None:
    assert Tree(tmp_path, "ccdr", "sh", cron, "systemd").asked() == CRON


def test_a_program_called_like_a_part_of_cron_is_not_cron(tmp_path: Path) -> None:
    assert Tree(tmp_path, "cron", "crontab-editor", "systemd").asked() == OTHER


def test_sudo_in_a_crontab_gives_a_terminal_and_it_is_still_cron(tmp_path: Path) -> None:
    assert Tree(tmp_path, "ccdr", "sudo", "sh", "cron", tty=PTS_3).asked() == CRON


def test_a_service_is_told_by_what_systemd_says_to_it(tmp_path: Path) -> None:
    assert Tree(tmp_path, "ccdr", "systemd").asked(INVOCATION_ID="5f0f", SYSTEMD_EXEC_PID="100") == SYSTEMD


def test_a_script_that_a_service_runs_is_told_too(tmp_path: Path) -> None:
    assert Tree(tmp_path, "ccdr", "sh", "systemd").asked(INVOCATION_ID="5f0f", SYSTEMD_EXEC_PID="99") == SYSTEMD


def test_a_desktops_terminal_that_is_a_service_hands_that_on_and_is_a_terminal(tmp_path: Path) -> None:
    tree = Tree(tmp_path, "ccdr", "bash", "gnome-terminal", "systemd", tty=PTS_3)
    assert tree.asked(INVOCATION_ID="5f0f", SYSTEMD_EXEC_PID="98") == TERMINAL


@pytest.mark.parametrize(
    ("device", "name"),
    [(PTS_3, "pts/3"), (TTY_1, "tty1"), (SERIAL_0, "ttyS0"), (NO_TTY, None), ((137 << 8) | 1, "pts/257")],
)
def test_the_controlling_terminal_has_its_name(tmp_path: Path, device: int, name: str | None) -> None:
    Tree(tmp_path, "ccdr", "bash", tty=device)
    said = who_is(tmp_path, 100, 1000, {})
    assert (said.terminal, said.started_by) == (name, TERMINAL if name else OTHER)


def test_a_name_in_the_process_tree_may_hold_anything(tmp_path: Path) -> None:
    assert Tree(tmp_path, "a) S 1 (b", "sh (1) 2", "cron").asked() == CRON


@pytest.mark.parametrize(("login", "uid"), [("1000", 1000), ("0", 0), (NEVER, None), ("", None), (None, None)])
def test_the_login_uid_is_null_where_nobody_has_logged_in(tmp_path: Path, login: str | None, uid: int | None) -> None:
    Tree(tmp_path, "ccdr", login=login)
    assert who_is(tmp_path, 100, 0, {}).login_uid == uid


def test_where_the_machine_tells_nothing_all_is_null_and_nothing_fails(tmp_path: Path) -> None:
    assert who_is(tmp_path / "no proc", 100, 33, {}) == Who(33, None, None, OTHER, None)


@pytest.mark.parametrize(
    ("claimed", "told"),
    [
        ("alice", "alice"),
        ("DOMAIN\\a.smith", "DOMAIN\\a.smith"),
        ("", None),
        ("+40 721 000 000, a customer", None),
        ("x" * 99, None),
    ],
)
def test_who_called_sudo_is_a_claim_and_can_only_be_a_name(tmp_path: Path, claimed: str, told: str | None) -> None:
    Tree(tmp_path, "ccdr")
    assert who_is(tmp_path, 100, 0, {"SUDO_USER": claimed}).sudo_user == told


def test_a_real_terminal_is_seen_though_the_standard_streams_are_pipes() -> None:
    """A person who writes `ccdr status | less` sits at a terminal all the same."""
    inside = "import json, ccdr.host.who; print('said', json.dumps(vars(ccdr.host.who.who())))"
    pid, terminal = pty.fork()
    if pid == 0:
        os.environ.pop("INVOCATION_ID", None)
        os.execvp("sh", ["sh", "-c", f'{sys.executable} -c "{inside}" < /dev/null 2>&1 | cat'])
    said = b""
    while b"}" not in said:
        try:
            said += os.read(terminal, 1 << 16)
        except OSError:
            break
    os.waitpid(pid, 0)
    os.close(terminal)
    body = json.loads(said.decode().partition("said ")[2])
    assert (
        body["terminal"].startswith("pts/") and body["started_by"] in (TERMINAL, CRON) and body["uid"] == os.geteuid()
    )


def test_a_real_parent_that_is_called_cron_is_seen(tmp_path: Path) -> None:
    cron = shutil.copy("/bin/sh", tmp_path / "cron")
    inside = "import json, ccdr.host.who; print(json.dumps(vars(ccdr.host.who.who())))"
    script = f"sh -c '{sys.executable} -c \"{inside}\"; true'; true"
    done = subprocess.run([cron, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["started_by"] == CRON


def test_a_start_says_by_what_at_which_try_and_by_whom() -> None:
    assert Trigger().facts() == {"trigger": RecordedTrigger(by="command"), "attempt": None, "who": recorded_user()}


def test_what_the_reaper_removes_is_recorded_with_who_had_it_done(tmp_path: Path) -> None:
    from ccdr.jobs.leftovers import clear_leftovers

    site = Site(tmp_path)
    services = site.services()
    services.state.directory("scratch", "run-20200101T000000-aaaaaa")
    clear_leftovers(services, docker=False)
    (record,) = site.records("sandbox.reap")
    assert record["who"] == to_builtins(recorded_user())
