"""Plans back from a repository that somebody may have tampered with, on a host that may break: each fault has a clear
answer, and nothing that is half written has the final name. Named after what goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from functools import partial
from hashlib import sha256
from pathlib import Path, PurePosixPath

import pytest
from tests.faults.test_capture_faults import small_disk
from tests.support.harness import CCDR, PASSWORD, Ran, Site, eventually
from tests.support.repositories import new_repository
from tests.support.sealing import a_key
from tests.support.stored import restic_of, settled_file

from ccdr.cli.recover import _on_the_way
from ccdr.jobs.recover.journal import Journal
from ccdr.jobs.recover.planned import Decision, Planned
from ccdr.jobs.recover.request import RecoverRequest
from ccdr.jobs.services import limits_of
from ccdr.model.errors import BackupBad, PlanUnconfirmed
from ccdr.plans import load_named
from ccdr.plans.targets import NewServer, Target
from ccdr.plans.trust import MARK, Command, confirm, require_confirmed
from ccdr.plans.versions import PLAN_FORMAT, digest_of


@pytest.fixture(scope="module")
def lost(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """A host whose repository holds a backup and the plan; nothing else of it is used here."""
    made = Site(tmp_path_factory.mktemp("lost"))
    settled_file(made.root / "tree" / "a.wav", b"sound")
    made.recordings(made.root / "tree", repository=f"{{url: {made.root / 'repo'}, password_file: key}}")
    new_repository(made.repo, PASSWORD)
    made.backed_up()
    return made


@pytest.fixture
def host(tmp_path: Path, lost: Site) -> Site:
    """A bare host: a copy of the repository, the key, and nothing else."""
    shutil.copytree(lost.repo, tmp_path / "repo")
    (tmp_path / "key").write_text(PASSWORD + "\n")
    made = Site(tmp_path, bare=True)
    shutil.rmtree(made.root / "plans")
    shutil.rmtree(made.root / "restore_tests")
    return made


def bootstrapped(host: Site, *more: str, into: str = "dr", key: str = "key") -> Ran:
    argv = ["--password-file", str(host.root / key), "--into", str(host.root / into)]
    return host.run("bootstrap", str(host.repo), *argv, *more)


def asked(host: Site, *argv: str, into: str = "dr") -> Ran:
    at = host.root / into
    return host.run(*argv, "--plans", str(at / "plans"), "--restore-tests", str(at / "restore_tests"))


def planted(host: Site, files: dict[str, str | None], *more: str, plan: str = "p", digest: str | None = None) -> Path:
    """A version that whoever holds the password has stored; a file of None is a link out of it."""
    place = host.root / "planted" / sha256(json.dumps([files, more, plan, digest]).encode()).hexdigest()[:12]
    for name, text in files.items():
        (place / name).parent.mkdir(parents=True, exist_ok=True)
        if text is None:
            (place / name).symlink_to("/etc/passwd")
        else:
            (place / name).write_text(text)
    sums = {name: sha256((text or "").encode()).hexdigest() for name, text in files.items()}
    form = () if any(one.startswith("plan_format=") for one in more) else (f"plan_format={PLAN_FORMAT}",)
    tags = ["ccdr-3", "kind=plan", f"plan={plan}", f"version={digest or digest_of(sums)}", *form, *more]
    restic_of(host.root, "backup", "-q", str(place), *(word for tag in tags for word in ("--tag", tag)))
    return place


def text_of(lost: Site, **changes: str) -> str:
    text = (lost.root / "plans/p.yaml").read_text()
    for before, after in changes.items():
        text = text.replace(before, after)
    return text


def checks_of(lost: Site) -> str:
    return (lost.root / "restore_tests/recordings.yaml").read_text()


def none_left(host: Site) -> bool:
    return not (host.root / "dr").exists() and not list(host.root.glob(".dr*"))


def test_url_and_key_alone_bring_plans_back_and_recover_by_them(host: Site, lost: Site) -> None:
    done = bootstrapped(host)
    assert done.code == 0, done
    written = {str(p.relative_to(host.root / "dr")) for p in (host.root / "dr").rglob("*") if p.is_file()}
    assert written == {"plans/p.yaml", f"plans/{MARK}", "restore_tests/recordings.yaml"}
    assert (host.root / "dr/plans/p.yaml").read_bytes() == (lost.root / "plans/p.yaml").read_bytes()
    [plan] = done.json["plans"]
    assert plan["version"]["host"] and plan["version"]["writer"] and not plan["made"] and not plan["commands"]
    assert done.json["next"][0].startswith("ccdr snapshots p --plans ")
    assert f" --under {host.root / 'recovered'} --dry-run " in done.json["next"][1]
    shown = asked(host, "snapshots", "p")
    assert shown.code == 0 and [s["counts"] for s in shown.json["snapshots"]] == [True]
    back = asked(host, "restore", "p", "--asset", "recordings", "--to", str(host.root / "back"), "--yes-i-mean", "back")
    assert back.code == 0, back
    assert next((host.root / "back").rglob("a.wav")).read_bytes() == b"sound"


def test_where_somebody_recovered_before_the_next_command_leads_into_the_directory_itself(host: Site) -> None:
    (host.root / "recovered").mkdir()
    done = bootstrapped(host)
    assert f" --under {host.root / 'dr/recovered'} " in done.json["next"][2] and (host.root / "dr/recovered").is_dir()


def test_a_dry_run_writes_nothing(host: Site) -> None:
    done = bootstrapped(host, "--dry-run")
    assert done.code == 0 and done.json["dry_run"] and done.json["plans"][0]["plan"] == "p"
    assert none_left(host)


def test_a_password_from_a_pipe_is_kept_for_the_next_command(host: Site) -> None:
    pipe = host.root / "pipe"
    os.mkfifo(pipe)
    with subprocess.Popen(["sh", "-c", f"cat {host.root}/key > {pipe}"]):
        assert bootstrapped(host, key="pipe").code == 0
    assert (host.root / "dr/secrets/repository.key").stat().st_mode & 0o077 == 0
    assert asked(host, "snapshots", "p").code == 0


def test_a_recovery_by_a_planted_plan_begins_nothing_before_its_start_was_confirmed(host: Site, lost: Site) -> None:
    ran, to = host.root / "ran", host.root / "dr-data"
    text = text_of(lost) + "  crm:\n    engine: postgres\n    connection: {user: u, database: crm}\n"
    text += f"targets:\n  crm: {{new_server: {{directory: {to}/crm, start: [touch, {ran}]}}}}\n"
    planted(host, {"plans/p.yaml": text, "restore_tests/recordings.yaml": checks_of(lost)})
    assert bootstrapped(host).json["plans"][0]["commands"][0]["where"] == "targets.crm.new_server.start"
    loaded = load_named("p", host.root / "dr/plans", host.root / "dr/restore_tests")
    for request, count in ((RecoverRequest(), 1), (RecoverRequest(excluded=("crm",)), 0)):
        assert len(_on_the_way(loaded, request)) == count
    assert _on_the_way(loaded, RecoverRequest(targets=loaded.plan.targets)) == [], "of --to, it is who typed it's"
    with pytest.raises(PlanUnconfirmed):
        require_confirmed(loaded, _on_the_way(loaded, RecoverRequest()))
    to.mkdir()
    done = asked(host, "recover", "p", "--under", str(to), "--yes-i-mean", "p", "--assets", "recordings")
    assert done.code == 0 and next(to.rglob("a.wav")).read_bytes() == b"sound", (
        "the healthy twin: no command on its way"
    )
    assert not ran.exists()


def test_a_journal_that_was_edited_starts_nothing_that_nobody_has_confirmed(host: Site) -> None:
    assert bootstrapped(host).code == 0
    loaded, ran, state = load_named("p", host.root / "dr/plans", None), host.root / "ran", host.services().state
    numbers = iter(range(10))

    def went_on(start: str, settings: dict[str, str]) -> Ran:
        new = NewServer(directory=host.root / "to", start=("touch", start), settings=settings)
        step = Planned("recordings", "a" * 64, None, None, None, None, Target(new_server=new))
        decision = Decision("p", None, (step,), None, None)
        run = f"20261124T03120{next(numbers)}-aaaaaa"
        Journal.begin(state, run, {"began": "2026-11-24T03:12:00+00:00", **decision.journaled}, a_key)
        return asked(host, "recover", "--resume", "p")

    for settings in ({}, {"archive_command": f"touch {ran}"}):
        done = went_on(str(ran), settings)
        assert done.code == 3 and "targets.recordings.new_server.start" in done.stderr, done
    confirm(loaded, [Command.of("targets.recordings.new_server.start", ("touch", str(ran)))])
    done = went_on(str(ran), {"archive_command": f"touch {ran}"})
    assert done.code == 3 and "targets.recordings.new_server.settings.archive_command" in done.stderr, done
    done = went_on(str(ran), {})
    assert "nobody has confirmed" not in done.stderr, "the healthy twin: somebody has"
    assert not ran.exists()


def test_a_planted_command_is_shown_and_runs_only_once_somebody_confirmed_it(host: Site, lost: Site) -> None:
    ran = host.root / "ran"
    text = text_of(lost, **{"password_file: key": f"password_command: [touch, {ran}]"})
    text += (
        f"queues:\n  engine: redis\n  connection: {{password_command: [sh, -c, touch {ran}]}}\n".replace(
            "queues:", "  queues:"
        )
        .replace("\n  engine", "\n    engine")
        .replace("\n  connection", "\n    connection")
    )
    planted(host, {"plans/p.yaml": text, "restore_tests/recordings.yaml": checks_of(lost)})
    done = bootstrapped(host)
    assert done.code == 0, done
    assert [c["where"] for c in done.json["plans"][0]["commands"]] == [
        "repository.password_command", "assets.queues.connection.password_command",
    ]  # fmt: skip
    assert asked(host, "snapshots", "p").code == 0
    to = str(host.root / "back")
    assert asked(host, "restore", "p", "--asset", "recordings", "--to", to, "--yes-i-mean", "back").code == 0
    refused = asked(host, "backup", "p", "--asset", "queues")
    assert refused.code == 3 and "ccdr plan trust p" in refused.json["hint"]
    assert not ran.exists(), "nothing of it ran"
    assert asked(host, "plan", "trust", "p").code == 3 and not ran.exists()
    assert asked(host, "plan", "trust", "p", "--yes-i-mean", "p").code == 0
    asked(host, "backup", "p", "--asset", "queues")
    assert ran.exists(), "the healthy twin: once it is confirmed, it runs"


@pytest.mark.parametrize(
    "files",
    [
        {"restore_tests/Evil.yaml": ""},
        {"restore_tests/.hidden.yaml": ""},
        {"restore_tests/a b.yaml": ""},
        {"restore_tests/deeper/x.yaml": ""},
        {"plans/q.yaml": "plan: q\n"},
        {"authorized_keys": ""},
        {"restore_tests/link.yaml": None},
        {"restore_tests/huge.yaml": "#" * (1 << 20) + "\n"},
        {"restore_tests/script.sh": ""},
        {"restore_tests/en.yaml": "AWS_SHARED_CREDENTIALS_FILE=/srv/cred.yaml\n"},
        {"restore_tests/cred.yaml": "[default]\ncredential_process = touch /srv/pwned\n"},
        {"restore_tests/other.yaml": "restore_test: recordings\nchecks: []\n"},
        {"restore_tests/plan.yaml": "plan: plan\n"},
    ],
    ids=lambda files: next(iter(files)),
)
def test_a_planted_version_that_holds_anything_else_is_passed_over(
    files: dict[str, str | None], host: Site, lost: Site
) -> None:
    good = {"plans/p.yaml": text_of(lost, **{"rpo: 1h": "rpo: 9h"}), "restore_tests/recordings.yaml": checks_of(lost)}
    planted(host, good | files)
    done = bootstrapped(host)
    assert done.code == 1 and len(done.json["passed_over"]) == 1, done
    assert "rpo: 1h" in (host.root / "dr/plans/p.yaml").read_text(), "the one before it is taken"
    assert {p.name for p in (host.root / "dr").rglob("*.yaml")} == {"p.yaml", "recordings.yaml"}


@pytest.mark.parametrize("line", ["AWS_SHARED_CREDENTIALS_FILE={}/cred", "LD_PRELOAD={}/x.so"])
def test_no_file_that_a_planted_plan_names_has_restics_store_run_a_command(line: str, host: Site, lost: Site) -> None:
    """Neither one that came along, nor one that was recovered, nor a person's that says what it must not."""
    ran, dr = host.root / "ran", host.root / "dr"
    copy = "{url: 's3:http://127.0.0.1:9/b/r', password_file: ../../key, env_file: ENV, schedule: '0 2 * * *'}"
    copy = copy.replace("ENV", "../recovered/en")
    text = text_of(lost, **{"assets:": f"copies:\n  b: {copy}\nassets:"})
    planted(host, {"plans/p.yaml": text, "restore_tests/recordings.yaml": checks_of(lost)})
    assert bootstrapped(host).code == 0
    (dr / "recovered/cred").write_text(f"[default]\ncredential_process = touch {ran}\n")
    (dr / "recovered/en").write_text(line.format(dr / "recovered") + "\n")
    done = asked(host, "snapshots", "p", "--from", "b")
    assert done.code != 0 and "came from the repository itself" in done.stderr, done
    (dr / "plans/p.yaml").write_text(text.replace("../recovered/en", "../../en"))
    (host.root / "en").write_text(line.format(dr / "recovered") + "\n")
    done = asked(host, "snapshots", "p", "--from", "b")
    assert done.code != 0 and f"{line.partition('=')[0]} may not stand" in done.stderr, done
    assert not ran.exists()
    twin = asked(host, "snapshots", "p")
    assert twin.code == 0, twin


def test_the_same_version_with_nothing_else_is_taken(host: Site, lost: Site) -> None:
    """The healthy twin of those that are passed over."""
    good = {"plans/p.yaml": text_of(lost, **{"rpo: 1h": "rpo: 9h"}), "restore_tests/recordings.yaml": checks_of(lost)}
    planted(host, good)
    done = bootstrapped(host, "--all-versions")
    assert done.code == 0 and done.json["older_versions"] == 1 and done.json["passed_over"] == []
    assert "rpo: 9h" in (host.root / "dr/plans/p.yaml").read_text()
    older = list((host.root / "dr/versions/p").glob("*/plans/p.yaml"))
    assert sorted("rpo: 1h" in path.read_text() for path in older) == [False, True]


@pytest.mark.parametrize(
    ("plan", "digest", "more"),
    [("../../etc", None, ()), ("P", None, ()), ("p", "0" * 64, ()), ("p", "x", ()), ("p", None, ("plan_format=x",))],
)
def test_tags_that_ccdr_does_not_write_are_passed_over(
    plan: str, digest: str | None, more: tuple[str, ...], host: Site, lost: Site
) -> None:
    good = {"plans/p.yaml": text_of(lost, **{"rpo: 1h": "rpo: 9h"}), "restore_tests/recordings.yaml": checks_of(lost)}
    planted(host, good, *more, plan=plan, digest=digest)
    done = bootstrapped(host)
    assert done.code == 1 and "rpo: 1h" in (host.root / "dr/plans/p.yaml").read_text()
    assert plan == "p" or plan not in "".join(done.json["passed_over"]), "a name that is none is not repeated"


def test_a_path_that_a_snapshot_names_is_never_an_option_of_restics(host: Site) -> None:
    """Who wrote the snapshot chose it; restic carries out --password-command wherever it stands."""
    assert bootstrapped(host).code == 0
    ran = host.root / "ran"
    loaded = load_named("p", host.root / "dr/plans", host.root / "dr/restore_tests")
    repo = host.services().repository(loaded, limits_of(loaded))
    [backup] = repo.snapshots(["ccdr-3", "kind=backup"])
    for ask in (
        lambda path: repo.read(backup.id, PurePosixPath(path)),
        lambda path: repo.archive(backup.id, path, most=1 << 20),
    ):
        with pytest.raises(BackupBad):
            ask(f"--password-command=touch {ran}")
    assert not ran.exists()
    assert "recordings" in repo.read(backup.id, PurePosixPath(backup.paths[0]) / "ccdr-manifest.json"), (
        "the healthy twin"
    )


def test_a_version_dated_in_the_future_never_wins(host: Site, lost: Site) -> None:
    place = planted(host, {"plans/p.yaml": text_of(lost)}, plan="p")
    tags = (
        "--tag",
        "ccdr-3",
        "--tag",
        "kind=plan",
        "--tag",
        "plan=p",
        "--tag",
        f"version={'1' * 64}",
        "--tag",
        "plan_format=2",
    )
    restic_of(host.root, "backup", "-q", "--time", "2036-01-01 00:00:00", str(place), *tags)
    done = bootstrapped(host)
    assert done.code == 1 and any("future" in said for said in done.json["passed_over"])


def test_a_plan_of_a_newer_ccdr_is_written_and_never_guessed(host: Site, lost: Site) -> None:
    strange = text_of(lost, **{"owner:": "quorum: 3\nowner:"})
    planted(host, {"plans/p.yaml": strange, "restore_tests/recordings.yaml": checks_of(lost)}, "ccdr=99.0.0")
    done = bootstrapped(host)
    assert done.code == 0 and done.json["plans"][0]["newer"] and "99.0.0" in done.json["plans"][0]["wrong"]
    assert "quorum" in (host.root / "dr/plans/p.yaml").read_text()
    shown = asked(host, "snapshots", "p")
    assert shown.code == 3 and "99.0.0" in shown.json["error"] and "upgrade" in shown.json["hint"]


def test_a_plan_of_a_newer_ccdr_that_says_nothing_new_is_used(host: Site, lost: Site) -> None:
    """The healthy twin; one of a newer format is not, whatever it says."""
    files = {"plans/p.yaml": text_of(lost, **{"rpo: 1h": "rpo: 9h"}), "restore_tests/recordings.yaml": checks_of(lost)}
    planted(host, files, "ccdr=99.0.0")  # type: ignore[arg-type]
    assert bootstrapped(host).code == 0 and asked(host, "snapshots", "p").code == 0
    planted(host, files, "ccdr=99.0.0", "plan_format=3")  # type: ignore[arg-type]
    done = bootstrapped(host, into="newer")
    assert done.code == 0 and done.json["plans"][0]["newer"]
    assert asked(host, "snapshots", "p", into="newer").code == 3


def test_a_plan_of_ours_with_a_mistake_is_no_newer_one(host: Site, lost: Site) -> None:
    strange = text_of(lost, **{"owner:": "quorum: 3\nowner:"})
    planted(host, {"plans/p.yaml": strange, "restore_tests/recordings.yaml": checks_of(lost)})
    done = bootstrapped(host)
    assert done.code == 1 and not done.json["plans"][0]["newer"] and "quorum" in done.json["plans"][0]["wrong"]
    assert asked(host, "snapshots", "p").code == 2


def test_a_wrong_key_a_lost_repository_and_one_without_backups_write_nothing(host: Site) -> None:
    (host.root / "other").write_text("another pass phrase\n")
    assert bootstrapped(host, key="other").code == 3 and none_left(host)
    assert bootstrapped(host, key="missing").code == 2 and none_left(host)
    shutil.move(host.repo, host.root / "away")
    lost = bootstrapped(host)
    assert lost.code == 3 and none_left(host), lost
    new_repository(host.repo, PASSWORD)
    empty = bootstrapped(host)
    assert empty.code == 3 and "no plan" in empty.json["error"] and none_left(host)
    shutil.rmtree(host.repo)
    shutil.move(host.root / "away", host.repo)
    assert bootstrapped(host).code == 0


def test_nothing_that_exists_is_written_over(host: Site) -> None:
    full = host.root / "full"
    full.mkdir()
    (full / "mine").write_text("mine")
    for into in ("full", "key", "no/such/place"):
        assert bootstrapped(host, into=into).code == 2
    assert [p.name for p in full.iterdir()] == ["mine"]
    (host.root / "empty").mkdir()
    (host.root / "link").symlink_to(host.root / "empty")
    assert bootstrapped(host, into="link").code == 0, "the healthy twin: an empty directory, here by a link"
    assert (host.root / "link").is_symlink() and (host.root / "empty/plans/p.yaml").is_file()
    assert bootstrapped(host, into="empty").code == 2, "it is full now"


def test_a_full_disk_leaves_nothing_and_then_room_is_enough(host: Site, lost: Site) -> None:
    small = host.root / "small"
    text = text_of(lost) + "#" * 200_000 + "\n"
    planted(host, {"plans/p.yaml": text, "restore_tests/recordings.yaml": checks_of(lost)})
    with small_disk(small, "64k"):
        done = bootstrapped(host, into="small/dr")
        assert (done.code == 3 and "room" in str(done)) or "space" in str(done), done
        assert list(small.iterdir()) == []
    with small_disk(small, "4m"):
        assert bootstrapped(host, into="small/dr").code == 0


def test_killed_at_any_moment_it_leaves_nothing_under_the_final_name(host: Site, lost: Site) -> None:
    many = {f"restore_tests/t{n}.yaml": f"restore_test: t{n}\nchecks: [{{kind: identical}}]\n" for n in range(150)}
    planted(host, {"plans/p.yaml": text_of(lost), "restore_tests/recordings.yaml": checks_of(lost), **many})
    argv = [*CCDR, "bootstrap", str(host.repo), "--password-file", str(host.root / "key"), "--into"]
    argv += [str(host.root / "dr"), "--state", str(host.state)]

    def written(process: subprocess.Popen[bytes], count: int) -> bool:
        places = host.root.glob(".dr.ccdr-*")  # one that goes meanwhile, os.walk passes over
        files = [name for place in places for _, _, names in os.walk(place) for name in names if name.endswith(".yaml")]
        return len(files) >= count or process.poll() is not None

    for count in (0, 1, 70):
        with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
            assert eventually(partial(written, process, count), 30)
            process.send_signal(signal.SIGKILL)
        assert not (host.root / "dr").exists() or len(list((host.root / "dr").rglob("*.yaml"))) == 152
        shutil.rmtree(host.root / "dr", ignore_errors=True)
    assert bootstrapped(host).code == 0
    assert len(list((host.root / "dr").rglob("*.yaml"))) == 152 and not list(host.root.glob(".dr*")), (
        "what was left goes"
    )


def test_secrets_of_dead_sources_are_told_and_stop_nothing(host: Site, lost: Site) -> None:
    text = text_of(lost) + (
        "  crm:\n    engine: postgres\n    connection: {user: u, database: crm, password_file: gone/crm.pw}\n"
        "  q:\n    engine: redis\n    connection: {password_command: [pass, show, q]}\n"
    )
    text = text.replace("assets:", "notify: {urls_file: urls}\nassets:", 1)
    planted(host, {"plans/p.yaml": text, "restore_tests/recordings.yaml": checks_of(lost)})
    done = bootstrapped(host)
    needed = {secret["where"]: secret for secret in done.json["plans"][0]["secrets"]}
    assert set(needed) == {
        "assets.crm.connection.password_file",
        "assets.q.connection.password_command",
        "notify.urls_file",
    }
    crm = needed["assets.crm.connection.password_file"]
    assert (crm["asset"], crm["for"], crm["there"]) == ("crm", "backups", False)
    assert crm["expected"] == str(host.root / "dr/plans/gone/crm.pw")
    assert asked(host, "snapshots", "p").code == 0
    to = str(host.root / "back")
    assert asked(host, "restore", "p", "--asset", "recordings", "--to", to, "--yes-i-mean", "back").code == 0


def test_a_host_that_stored_the_plan_itself_knows_its_commands(host: Site, lost: Site) -> None:
    (host.root / "own").mkdir()
    own = Site(host.root / "own")
    settled_file(own.root / "tree" / "a.wav", b"sound")
    key = own.write("own.key", PASSWORD + "\n", mode=0o600)
    own.recordings(own.root / "tree", repository=f"{{url: {host.root / 'ours'}, password_command: [cat, {key}]}}")
    new_repository(host.root / "ours", PASSWORD)
    own.backed_up()
    argv = ["bootstrap", str(host.root / "ours"), "--password-file", str(key), "--into"]
    here = own.run(*argv, str(host.root / "here"))
    assert here.json["plans"][0]["known_here"] and here.json["plans"][0]["commands"] == []
    elsewhere = host.run(*argv, str(host.root / "elsewhere"))
    assert not elsewhere.json["plans"][0]["known_here"] and len(elsewhere.json["plans"][0]["commands"]) == 1


def test_the_one_of_two_copies_that_is_left_is_enough(host: Site) -> None:
    """What was copied has other ids there, which nothing that was recorded names."""
    (host.root / "own").mkdir()
    own, copy = Site(host.root / "own"), host.root / "copy"
    settled_file(own.root / "tree" / "a.wav", b"sound")
    extra = f'copies: {{offsite: {{url: {copy}, password_file: gone, schedule: "0 1 * * *"}}}}\n'
    own.recordings(own.root / "tree")
    plan = own.root / "plans/p.yaml"
    plan.write_text(plan.read_text().replace("assets:", f"{extra}assets:", 1))
    own.backed_up()
    [original] = [s["id"] for s in own.run("snapshots", "p").json["snapshots"]]
    new_repository(copy, PASSWORD)
    both = {"RESTIC_PASSWORD": PASSWORD, "PATH": os.environ["PATH"], "HOME": "/nowhere"}
    both |= {"RESTIC_FROM_PASSWORD_FILE": str(host.root / "key")}
    argv = ["restic", "-q", "-r", str(copy), "--no-cache", "copy", "--from-repo", str(own.repo)]
    subprocess.run(argv, env=both, check=True)
    shutil.rmtree(own.root)
    argv = ["--password-file", str(host.root / "key"), "--into", str(host.root / "dr")]
    done = host.run("bootstrap", str(copy), *argv)
    assert done.code == 0, done
    shown = asked(host, "snapshots", "p")
    assert shown.code == 0 and [s["id"] for s in shown.json["snapshots"]] == [original], shown
    back = asked(host, "restore", "p", "--asset", "recordings", "--to", str(host.root / "back"), "--yes-i-mean", "back")
    assert back.code == 0 and next((host.root / "back").rglob("a.wav")).read_bytes() == b"sound", back


def test_where_no_plan_was_stored_one_is_made_for_recovery_alone(host: Site) -> None:
    [stored] = json.loads(restic_of(host.root, "snapshots", "--json", "--tag", "kind=plan"))
    restic_of(host.root, "forget", "-q", stored["id"])
    done = bootstrapped(host)
    [plan] = done.json["plans"]
    assert done.code == 0 and plan["made"] and "of the sources" in str(plan["lacks"])
    shown = asked(host, "snapshots", "p")
    assert shown.code == 0 and [s["counts"] for s in shown.json["snapshots"]] == [True], shown
    back = asked(host, "restore", "p", "--asset", "recordings", "--to", str(host.root / "back"), "--yes-i-mean", "back")
    assert back.code == 0 and next((host.root / "back").rglob("a.wav")).read_bytes() == b"sound"
    refused = asked(host, "backup", "p")
    assert refused.code == 2 and "recovery alone" in str(refused.json)
    checked = asked(host, "plan", "check", "p")
    assert checked.code == 0 and any("recovery alone" in line for line in checked.json["lint"])


def test_a_handwritten_plan_of_url_and_key_alone_is_told_the_way(host: Site) -> None:
    host.write("dr/plans/p.yaml", f"plan: p\nrepository: {{url: {host.repo}, password_file: {host.root}/key}}\n")
    refused = asked(host, "snapshots", "p")
    assert refused.code == 2 and "ccdr bootstrap" in refused.json["hint"]
