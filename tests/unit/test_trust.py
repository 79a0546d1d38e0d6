"""A command of a plan that came from a repository runs only once it was shown and confirmed here."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from tests.support.harness import Site

from ccdr.host.processes import Daemon, Host
from ccdr.host.secrets import env_file, password
from ccdr.host.state_files import write_state
from ccdr.model.errors import OfBefore, PlanUnconfirmed, UsageProblem, WrittenByNewer
from ccdr.plans.model import Copy
from ccdr.plans.trust import MARK, Command, Given, Mark, Origin, commands_of, confirm, confirmed, require_confirmed

ASSETS = """
crm:
  engine: postgres
  connection: {user: postgres, database: crm, password_command: [touch, RAN]}
"""


@pytest.fixture
def site(tmp_path: Path) -> Site:
    made = Site(tmp_path)
    made.plan(
        ASSETS.replace("RAN", str(tmp_path / "ran")), repository="{url: /srv/repo, password_command: [touch, own]}"
    )
    return made


def marked(site: Site, **more: object) -> None:
    given = Given(str(site.repo), site.root / "plans/key")
    mark = Mark("2026-11-24T02:30:00Z", given, {"p": Origin("p", "0" * 64, {}, **{"plan_format": 2, **more})})  # type: ignore[arg-type]
    write_state(site.root / "plans" / MARK, mark)


def run_password(site: Site) -> None:
    """It is run; what it prints is no password."""
    with contextlib.suppress(UsageProblem):
        password(site.loaded().plan.assets["crm"].connection, Host(), what="crm: connection")  # type: ignore[union-attr]


def test_a_plan_that_was_written_here_needs_no_confirmation(site: Site) -> None:
    loaded = site.loaded()
    assert confirmed(loaded)
    require_confirmed(loaded)
    assert [c.where for c in commands_of(loaded.plan)] == [
        "repository.password_command", "assets.crm.connection.password_command",
    ]  # fmt: skip
    run_password(site)
    assert (site.root / "ran").exists()


def test_no_command_of_a_plan_from_a_repository_runs_by_oversight(site: Site) -> None:
    marked(site)
    assert not confirmed(site.loaded())
    with pytest.raises(PlanUnconfirmed) as refused:
        run_password(site)
    assert refused.value.exit_code == 3 and "touch" not in str(refused.value)
    assert not (site.root / "ran").exists()


def test_its_repository_is_opened_as_it_was_given_and_not_by_the_plans_own_command(site: Site) -> None:
    marked(site)
    repository = site.loaded().plan.repository
    assert repository.url == str(site.repo) and repository.password_command is None
    assert repository.password_file == site.root / "plans/key"
    (site.root / "plans/key").unlink()
    assert site.loaded().plan.repository.url == "/srv/repo", "the plan's own, where what was given is gone"
    with pytest.raises(PlanUnconfirmed):
        password(site.loaded().plan.repository, Host(), what="repository")


def test_the_process_room_itself_refuses_what_nobody_confirmed(site: Site) -> None:
    """Whatever a caller has forgotten: a `start:` here."""
    path = site.root / "plans/p.yaml"
    start = f"[touch, {site.root / 'started'}]"
    path.write_text(path.read_text() + f"targets:\n  crm: {{new_server: {{directory: /srv/crm, start: {start}}}}}\n")
    target = site.loaded().plan.targets["crm"].new_server
    assert target is not None and target.start is not None
    Host().run(target.start)
    (site.root / "started").unlink()
    marked(site)
    target = site.loaded().plan.targets["crm"].new_server
    assert target is not None and target.start is not None
    with pytest.raises(PlanUnconfirmed):
        Host().run(target.start)
    with pytest.raises(PlanUnconfirmed):
        Daemon.start(target.start, log=site.root / "log")
    assert not (site.root / "started").exists()


def test_the_settings_of_a_new_server_are_shown_too(site: Site) -> None:
    path = site.root / "plans/p.yaml"
    settings = "{archive_command: rm -rf /}"
    path.write_text(
        path.read_text() + f"targets:\n  crm: {{new_server: {{directory: /srv/crm, settings: {settings}}}}}\n"
    )
    marked(site)
    [command] = [c for c in commands_of(site.loaded().plan) if c.where.startswith("targets.")]
    assert command.where == "targets.crm.new_server.settings.archive_command"
    assert command.shown == "archive_command = rm -rf /"


def test_what_is_confirmed_is_the_command_itself(site: Site) -> None:
    marked(site)
    confirm(site.loaded(), commands_of(site.loaded().plan))
    assert confirmed(site.loaded())
    run_password(site)
    assert (site.root / "ran").exists()
    path = site.root / "plans/p.yaml"
    path.write_text(path.read_text().replace("rpo: 1h", "rpo: 2h"))
    assert confirmed(site.loaded()), "an edit of something else takes nothing back"
    path.write_text(path.read_text().replace("touch", "rm"))
    assert not confirmed(site.loaded())
    start = Command.of("targets.crm.start", "systemctl start crm")
    with pytest.raises(PlanUnconfirmed):
        require_confirmed(site.loaded(), [start])
    confirm(site.loaded(), [start])
    require_confirmed(site.loaded(), [start])


def test_the_verb_confirms_by_name_and_begins_nothing_without(site: Site) -> None:
    marked(site)
    done = site.run("plan", "trust", "p")
    assert done.code == 3 and "touch" in done.stderr and not confirmed(site.loaded())
    assert site.run("plan", "trust", "p", "--yes-i-mean", "q").code == 3 and not confirmed(site.loaded())
    done = site.run("plan", "trust", "p", "--yes-i-mean", "p")
    assert done.code == 0 and done.json["from_repository"] and confirmed(site.loaded())
    assert site.run("plan", "trust", "p").code == 0


def test_a_mark_that_cannot_be_read_confirms_nothing(site: Site) -> None:
    for text in ("", "[]", '{"format": 2}', "{" * 9999):
        site.write(f"plans/{MARK}", text)
        with pytest.raises(UsageProblem):
            site.loaded()
    site.write(f"plans/{MARK}", '{"format": 3}')
    with pytest.raises(WrittenByNewer):
        site.loaded()
    site.write(f"plans/{MARK}", '{"format": 1}')
    with pytest.raises(OfBefore):
        site.loaded()


def test_what_is_shown_of_a_command_is_all_of_it_and_harmless_to_a_terminal() -> None:
    shown = Command.of("x", ["echo", "\x1b[2J", "a b", "\u202egpj.exe"]).shown
    assert shown == "echo '\\x1b[2J' 'a b' '\\u202egpj.exe'"


def test_a_name_that_has_a_program_run_or_loaded_may_stand_in_no_env_file(tmp_path: Path) -> None:
    path = tmp_path / "en.env"
    for name in (
        "LD_PRELOAD", "PATH", "HOME", "BASH_ENV", "ENV", "PYTHONPATH", "SSH_ASKPASS", "GIT_SSH_COMMAND",
        "RESTIC_PASSWORD_COMMAND", "RESTIC_PASSWORD", "RESTIC_CACHE_DIR", "RCLONE_PASSWORD_COMMAND", "RCLONE_SFTP_SSH",
        "RCLONE_CONFIG_X_SSH", "RCLONE_METADATA_MAPPER", "GOOGLE_EXTERNAL_ACCOUNT_ALLOW_EXECUTABLES",
    ):  # fmt: skip
        path.write_text(f"# a store's\n{name}=hunter2hunter2\n")
        with pytest.raises(UsageProblem) as refused:
            env_file(path)
        assert f"{path}:2: {name} " in str(refused.value) and "hunter2" not in str(refused.value)
    path.write_text("hGf8sKq2LmNbVcXz==\n")
    with pytest.raises(UsageProblem) as refused:
        env_file(path)
    assert "hGf8" not in str(refused.value), "a secret alone on its line is no name"


def test_what_stores_are_opened_with_may_stand_there(tmp_path: Path) -> None:
    """The healthy twin: of plans that were written here."""
    names = (
        "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_DEFAULT_REGION", "AWS_PROFILE",
        "AWS_SHARED_CREDENTIALS_FILE", "AWS_CONFIG_FILE", "B2_ACCOUNT_KEY", "AZURE_ACCOUNT_KEY", "OS_AUTH_URL",
        "GOOGLE_APPLICATION_CREDENTIALS", "RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD", "RCLONE_CONFIG_S3_TYPE",
        "https_proxy", "HTTPS_PROXY", "SSL_CERT_FILE", "SSH_AUTH_SOCK",
    )  # fmt: skip
    (tmp_path / "ok.env").write_text("".join(f"{name}=v\n" for name in names))
    assert env_file(tmp_path / "ok.env") == dict.fromkeys(names, "v")


@pytest.fixture
def copied(site: Site) -> Site:
    site.plan(
        ASSETS,
        extra="copies:\n  b: {url: 's3:https://s3.example/b', password_file: PW, env_file: EN, schedule: '0 2 * * *'}\n",
    )
    return site


def copy_of(site: Site, password_file: str, env: str) -> Copy:
    path = site.root / "plans/p.yaml"
    text = path.read_text()
    path.write_text(text.replace("PW", password_file).replace("EN", env))
    made = site.loaded().plan.copies["b"]
    path.write_text(text)
    return made


@pytest.mark.parametrize("place", ["restore_tests/en.yaml", "plans/en.yaml", "recovered/en", "versions/p/x/plans/en"])
def test_secrets_that_came_along_with_a_plan_from_a_repository_are_none(copied: Site, place: str) -> None:
    copied.write(place, "AWS_ACCESS_KEY_ID=a\n")
    link = copied.root / "elsewhere"
    link.symlink_to(copied.root / place)
    for named in (f"../{place}", str(link)):
        copy = copy_of(copied, named, named)
        assert copy.env_file is not None and env_file(copy.env_file), "the healthy twin: a plan that was written here"
        assert password(copy, Host(), what="b")
    marked(copied)
    for named in (f"../{place}", str(link)):
        copy = copy_of(copied, named, named)
        assert copy.env_file is not None
        with pytest.raises(UsageProblem, match="came from the repository itself"):
            env_file(copy.env_file)
        with pytest.raises(UsageProblem, match="came from the repository itself"):
            password(copy, Host(), what="b")


def test_a_file_of_settings_is_no_credential_for_a_plan_from_a_repository(copied: Site) -> None:
    for where in ("plans/secrets/b.env", "secrets/b.env"):
        copied.write(where, "AWS_SHARED_CREDENTIALS_FILE=/srv/cred\n")
    marked(copied)
    for named in ("secrets/b.env", "../secrets/b.env"):
        copy = copy_of(copied, named, named)
        assert copy.env_file is not None
        with pytest.raises(UsageProblem, match=r":1: AWS_SHARED_CREDENTIALS_FILE .*came from a repository"):
            env_file(copy.env_file)
        Path(os.fspath(copy.env_file)).write_text("AWS_ACCESS_KEY_ID=a\nAWS_PROFILE=dr\n")
        assert len(env_file(copy.env_file)) == 2, "the healthy twin: a person put it there"
