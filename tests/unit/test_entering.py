"""Who could come in at the old server and cannot at the new one is told before anybody needs it, with the line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from syrupy.assertion import SnapshotAssertion

from ccdr.engines.postgres.new_server.maker import Entering, mapped_in
from ccdr.host.accounts import strangers

IDENT = """\
# map  account  role
crm    nobody     app
crm    "old crm"  "App Two"   # of the old host
crm    /^(.*)$    \\1
crm    postgres   postgres
x      it's       broken
"""
LOGINS = "t|App Two\nt|app\nf|batch\nf|ccdr_backup\nf|nobody\nt|postgres\n"


def said(
    logins: str = LOGINS, ident: str = IDENT, *, whole: bool = True, captures: tuple[str, ...] = ("ccdr_backup",)
) -> list[str]:
    one = Entering.of(logins, ident, captures, ["postgres", *captures], whole=whole)
    return list(one.notes(lambda account, role: f"<{account} {role}>", "psql -U postgres"))


def test_maps_are_read_by_their_plain_names() -> None:
    assert list(mapped_in(IDENT)) == [("nobody", "app"), ("old crm", "App Two"), ("postgres", "postgres")]


def test_an_account_that_was_let_in_is_told_with_the_line_that_lets_it_in_again(wording: SnapshotAssertion) -> None:
    here, gone, silent = said()
    assert "let the account nobody in as app" in here and "<nobody app>" in here and "no such account" not in here
    assert gone == wording and "<old crm App Two>" in gone
    assert silent.startswith("batch may log in without a password") and "<ACCOUNT batch>" in silent
    assert "docker exec" in silent and "needs a password: psql's \\password" in silent
    assert "nobody," not in silent, "this host has that account, and it comes in by its own name"


def test_a_server_that_lets_in_all_whom_the_old_one_did_says_nothing() -> None:
    assert said("t|app\nf|ccdr_backup\nt|postgres\n", "") == []


def test_the_role_of_the_backup_that_is_not_there_is_told(wording: SnapshotAssertion) -> None:
    (told,) = said("t|app\nt|postgres\n", "")
    assert told == wording


def test_roles_of_a_dump_that_brought_no_passwords_are_told_with_the_line_that_gives_one() -> None:
    """Whoever has an account of that name here, and who captures, among them: their passwords are gone, too."""
    (told,) = said("f|app\nf|ccdr_backup\nf|nobody\n", "", whole=False)
    assert told.startswith("app, ccdr_backup, nobody came back without passwords")
    assert "`psql -U postgres -c '\\password \"app\"'`" in told
    assert said("t|app\nt|ccdr_backup\n", "", whole=False) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_files_of_numbers_that_are_nobodys_here_are_told_with_both_ways_out(
    tmp_path: Path, wording: SnapshotAssertion
) -> None:
    (tmp_path / "home").mkdir()
    assert list(strangers(tmp_path, Path("/srv/new"))) == []
    for name, uid, gid in (("a", 4001, 0), ("b", 4001, 0), ("home", 4002, 4003)):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, uid, gid)
    users, groups = strangers(tmp_path, Path("/srv/new"))
    assert "4001 (2 files), 4002 (1 file)" in users and users == wording
    assert "`useradd --uid 4001 NAME`" in users and "`chown -hR --from=4001 USER /srv/new`" in users
    assert "the number 4003 (1 file)" in groups and "groupadd --gid 4003" in groups
