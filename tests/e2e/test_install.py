"""What docs/tutorial, docs/how-to/install.md and upgrade.md say, done: the wheel, deploy/install, cron, the systemd units,
the containers."""

from __future__ import annotations

import configparser
import contextlib
import email
import email.policy
import hashlib
import os
import re
import secrets
import shutil
import socket
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import click
import pytest
from aiosmtpd.controller import Controller
from tests.support import packages
from tests.support.harness import Site, Source, eventually
from tests.support.sparse import append_sparse
from tests.support.stored import left, settled_file, with_repository

from ccdr import __version__
from ccdr.cli import main
from ccdr.evidence.ledger.ledger import Ledger
from ccdr.host.clock import SystemClock
from ccdr.host.state import State
from ccdr.run.tasks import KINDS
from ccdr.setup.migrate import FIRST, Step, opened

ROOT = Path(__file__).parents[2]
TUTORIAL = (ROOT / "docs" / "tutorial" / "first-host.md").read_text("utf-8")
INSTALL = (ROOT / "docs" / "how-to" / "install.md").read_text("utf-8")
UPGRADE = (ROOT / "docs" / "how-to" / "upgrade.md").read_text("utf-8")
CRON = ROOT / "deploy" / "cron" / "ccdr"
UNITS = ROOT / "deploy" / "systemd"
ENV = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "CCDR_"))}

pytestmark = pytest.mark.long
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="installs for the whole machine: root")


def blocks(page: str, heading: str) -> list[str]:
    """The shell blocks of one section."""
    section = page.split(f"\n## {heading}\n", 1)[1].split("\n## ", 1)[0]
    return re.findall(r"```sh\n(.*?)```", section, re.DOTALL)


def do(
    *argv: str | Path, check: bool = True, timeout: float = 300, **kwargs: object
) -> subprocess.CompletedProcess[str]:
    kwargs.setdefault("env", ENV)
    done = subprocess.run(
        [str(a) for a in argv],
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
        **kwargs,  # type: ignore[call-overload]
    )
    assert done.returncode == 0 or not check, f"{argv} ended with {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="session")
def index(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Installing anew fetches packages: without an index there is nothing to test."""
    argv = [sys.executable, "-m", "pip", "-q", "download", "--no-deps", "--no-cache-dir", "click"]
    try:
        done = do(*argv, "--dest", tmp_path_factory.mktemp("probe"), check=False, timeout=60)
        why = done.stderr.strip()[-200:] if done.returncode else ""
    except subprocess.TimeoutExpired:
        why = "no answer within a minute"
    if why:
        pytest.skip(f"pip reaches no package index: {why}")


@pytest.fixture(scope="session")
def wheel(index: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    into = tmp_path_factory.mktemp("wheel")
    do(ROOT / "deploy/setup/wheel", into)
    (made,) = into.glob("*.whl")
    return made


@pytest.fixture(scope="session")
def machine(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """deploy/install, below a directory."""
    root = tmp_path_factory.mktemp("machine")
    do(ROOT / "deploy/install", "--root", root, wheel)
    return root


def test_wheel_holds_all_that_the_tree_does(wheel: Path) -> None:
    tracked = do("git", "ls-files", "-co", "--exclude-standard", "src/ccdr", cwd=ROOT).stdout.split()
    wanted = {name.removeprefix("src/") for name in tracked if (ROOT / name).exists()}
    held = set(zipfile.ZipFile(wheel).namelist())
    assert wanted <= held
    assert {"ccdr/demo/restore_tests/crm.yaml", "ccdr/demo/restore_tests/recordings.yaml"} <= held
    assert not [name for name in held if name.endswith((".pyc", ".key", ".pw", ".env"))]


def test_wheel_is_the_same_each_time_and_from_the_source_archive(wheel: Path, tmp_path: Path) -> None:
    """deploy/setup/wheel compares the two itself."""
    do(ROOT / "deploy/setup/wheel", "--source", tmp_path)
    (again,) = tmp_path.glob("*.whl")
    assert hashlib.sha256(again.read_bytes()).digest() == hashlib.sha256(wheel.read_bytes()).digest()
    assert (tmp_path / f"ccdr-{__version__}.tar.gz").is_file() and f"-{__version__}-" in wheel.name


def test_installed_ccdr_lacks_nothing(machine: Path) -> None:
    """Every module can be imported with what deploy/requirements.lock names, and nothing else."""
    ccdr = machine / "usr/local/bin/ccdr"
    script = (
        "import importlib, pkgutil, ccdr\n"
        "for found in pkgutil.walk_packages(ccdr.__path__, 'ccdr.'):\n"
        "    if found.name not in ('ccdr.__main__', 'ccdr.checks.decoder'):\n"  # these two run, the second in a sandbox
        "        importlib.import_module(found.name)\n"
        "print(ccdr.__file__)"
    )
    where = do(ccdr.resolve().parent / "python", "-c", script, cwd="/").stdout.strip()
    assert where.startswith(str(machine / "opt/ccdr"))
    do(ccdr, "--version", cwd="/")
    for name in main.commands:
        do(ccdr, name, "--help", cwd="/")
    examples = ["--plans", ROOT / "plans", "--restore-tests", ROOT / "restore_tests"]
    assert "outbound" in do(ccdr, *examples, "plan", "check", cwd="/").stdout


def test_installing_again_changes_nothing_and_an_upgrade_switches_at_once(
    machine: Path, wheel: Path, tmp_path: Path
) -> None:
    link, plan = machine / "usr/local/bin/ccdr", machine / "etc/ccdr/plans/mine.yaml"
    plan.write_text("mine")
    before = link.resolve(), (link.resolve().parent / "python").lstat().st_ctime_ns
    do(ROOT / "deploy/install", "--root", machine, wheel)
    assert (link.resolve(), (link.resolve().parent / "python").lstat().st_ctime_ns) == before
    newer = tmp_path / wheel.name
    with zipfile.ZipFile(wheel) as old, zipfile.ZipFile(newer, "w") as new:
        for name in old.namelist():
            new.writestr(old.getinfo(name), old.read(name).replace(b'__version__ = "', b'__version__ = "9.'))
    do(ROOT / "deploy/install", "--root", machine, newer)
    assert link.resolve() != before[0] and before[0].exists(), "a run under way ends with what it began with"
    assert "version 9." in do(link, "--version").stdout
    broken = tmp_path / "broken" / wheel.name
    broken.parent.mkdir()
    broken.write_bytes(newer.read_bytes()[:-2000])
    at = link.resolve()
    assert do(ROOT / "deploy/install", "--root", machine, broken, check=False).returncode != 0
    assert link.resolve() == at, "what does not install is not switched to"
    do(ROOT / "deploy/install", "--root", machine, wheel)
    assert link.resolve() == before[0]
    assert plan.read_text() == "mine" and plan.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.skipif(shutil.which("pipx") is None, reason="there is no pipx")
def test_pipx_installs_the_wheel(wheel: Path, tmp_path: Path) -> None:
    env = {**ENV, "PIPX_HOME": str(tmp_path / "home"), "PIPX_BIN_DIR": str(tmp_path / "bin"), "HOME": str(tmp_path)}
    do("pipx", "install", "--python", sys.executable, wheel, env=env)
    assert do(tmp_path / "bin/ccdr", "--version", env=env).stdout.startswith("ccdr, version")


def cron_job() -> tuple[dict[str, str], str, str, str]:
    """The variables of deploy/cron/ccdr, and its one job: when, who, what."""
    variables, jobs = {}, []
    for line in CRON.read_text("ascii").splitlines():
        if found := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            variables[found[1]] = found[2]
        elif line and not line.startswith("#"):
            jobs.append(line.split(maxsplit=6))
    (job,) = jobs
    return variables, " ".join(job[:5]), job[5], job[6]


def as_cron_would(machine: Path, site: Site) -> subprocess.CompletedProcess[str]:
    """The job's command with cron's own bare environment; only the installation's place is another."""
    variables, _, _, command = cron_job()
    variables["PATH"] = f"{machine}/usr/local/bin:{variables['PATH']}"
    variables |= {"CCDR_PLANS": str(site.root / "plans"), "CCDR_RESTORE_TESTS": str(site.root / "restore_tests")}
    variables |= {"CCDR_STATE": str(site.state), "HOME": "/root", "LOGNAME": "root"}
    return do(variables["SHELL"], "-c", command, env=variables, cwd="/", check=False)


def test_cron_is_quiet_and_its_files_are_private(machine: Path, site: Site, tmp_path: Path) -> None:
    settled_file(tmp_path / "tree" / "call.wav", b"x" * 1000)
    with_repository(site).recordings(tmp_path / "tree")
    done = as_cron_would(machine, site)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
    assert [p for p in site.state.rglob("*") if p.stat().st_mode & 0o077] == []
    site.write("plans/p.yaml", "plan: p\nassets: []\n")
    done = as_cron_would(machine, site)
    assert done.returncode == 2 and "plans/p.yaml:" in done.stdout + done.stderr, "cron mails what is wrong"


def test_cron_file_is_one_that_cron_takes() -> None:
    """Debian's cron passes over a file with a dot in its name, without a newline at its end, or writable by others."""
    _, when, who, command = cron_job()
    assert "." not in CRON.name and CRON.read_bytes().endswith(b"\n") and "%" not in command
    assert (when, who) == ("*/5 * * * *", "root") and command.endswith("ccdr run")
    assert "install -m 644 /usr/local/src/ccdr/deploy/cron/ccdr /etc/cron.d/ccdr" in TUTORIAL


class Mailbox:
    """Keeps what a mail server is handed."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []

    async def handle_DATA(self, server: object, session: object, envelope: object) -> str:
        self.mails.append(email.message_from_bytes(envelope.content, policy=email.policy.default))  # type: ignore[attr-defined,arg-type]
        return "250 kept"

    def senders(self) -> set[str]:
        """`told`: by the plan's notify:. `cron`: what ccdr run said, by cron's MAILTO."""
        return {"cron" if str(mail["subject"]).startswith("Cron <") else "told" for mail in self.mails}

    def text(self) -> str:
        return "\n".join(f"{m['subject']}\n{m.get_body().get_content()}" for m in self.mails)  # type: ignore[union-attr]


@pytest.fixture
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    kept = Mailbox()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(kept, hostname="127.0.0.1", port=port)
    server.start()
    yield kept, port
    server.stop()


@pytest.fixture(scope="session")
def fresh(index: None, tmp_path_factory: pytest.TempPathFactory) -> str:
    """An image of a bare Debian with the packages that the tutorial names, but for Docker's daemon: this machine's serves."""
    named = [set(found.split()) for found in re.findall(r"--no-install-recommends (.*)", TUTORIAL)]
    assert len(named) == 2 and "docker.io" in named[0] and named[1] == {"msmtp-mta"}
    recipe = tmp_path_factory.mktemp("fresh") / "fresh.conf"
    packages = sorted(set().union(*named) - {"docker.io"})
    recipe.write_text(f"tag=ccdr-test-fresh:1\npackages=({' '.join(packages)})\nproof=(restic version)\n")
    do(ROOT / "deploy/images/build", "--here", recipe, timeout=600)
    return "ccdr-test-fresh:1"


@dataclass
class Newcomer:
    """Follows the tutorial on a bare machine, step by step; only names and addresses are another's."""

    box: str
    names: dict[str, str]

    def step(self, heading: str, skip: str = "") -> None:
        """The commands of one step; those before the words `skip` were done already."""
        self.run("\n".join(blocks(TUTORIAL, heading)), skip)

    def run(self, script: str, skip: str = "") -> None:
        script = script[script.index(skip) :]
        for theirs, ours in self.names.items():
            script = script.replace(theirs, ours)
        self.inside(f"cd /etc/ccdr 2>/dev/null || true\n{script}")

    def inside(self, script: str) -> str:
        argv = ["docker", "exec", "-e", f"CCDR_STATE={self.names['/var/lib/ccdr']}", self.box, "bash", "-euc", script]
        return do(*argv, timeout=300).stdout


@pytest.fixture
def crm(source: Source) -> Iterator[None]:
    """The database that the tutorial's host has, with the role as the tutorial says."""
    source.psql("create database crm template template0")
    source.psql("create table call as select g as id, now() as started_at from generate_series(1, 500) g", "crm")
    (role,) = re.findall(r"```sql\n(.*?)```", TUTORIAL, re.DOTALL)
    source.psql(role, "crm")
    yield
    source.psql("drop database crm with (force)")
    source.psql("drop role ccdr_backup")


@pytest.fixture
def newcomer(
    fresh: str, mailbox: tuple[Mailbox, int], crm: None, source: Source, site: Site, tmp_path: Path
) -> Iterator[Newcomer]:
    """A bare machine with a clone, its recordings, and nothing else. Its paths are this machine's, since the sandboxes are."""
    settled_file(tmp_path / "recordings" / "call.dat", os.urandom(5000))
    (site.root / "plans/key").unlink()
    out = shutil.ignore_patterns(".git", ".venv", ".venv-docs", ".demo", ".*_cache", "__pycache__", "results")
    shutil.copytree(ROOT, tmp_path / "source", ignore=out)
    argv = ["docker", "run", "-d", "--rm", "--init", "--network", "host", "--name", f"fresh-{secrets.token_hex(4)}"]
    places = [f"{tmp_path}/source:/usr/local/src/ccdr", *(f"{p}:{p}" for p in (tmp_path, source.sockets))]
    for place in (*places, "/run/docker.sock:/run/docker.sock"):
        argv += ["-v", place]
    for name, value in ENV.items():  # how this machine reaches its index
        if name.startswith("PIP_") or name.lower().endswith("_proxy"):
            argv += ["-e", f"{name}={value}"]
            argv += ["-v", f"{value}:{value}:ro"] if value.startswith("/") and Path(value).exists() else []
    _, port = mailbox
    names = {
        "cat > plans/secrets/crm.pw": "echo PASSWORD > plans/secrets/crm.pw",
        "postgresql://ccdr_backup@127.0.0.1/crm": f"'postgresql://ccdr_backup@/crm?host={source.sockets}'",
        "/srv/restored/var/spool/recordings": f"{tmp_path}/restored/{tmp_path}/recordings",
        "/srv/restored": f"{tmp_path}/restored",
        "/var/spool/recordings": f"{tmp_path}/recordings",
        "/mnt/backup/mine": str(site.repo),
        "/var/lib/ccdr": str(site.state),
        "mailtos://USER:PASSWORD@mail.example.com?": f"mailto://127.0.0.1:{port}?",
        "host mail.example.com": "host 127.0.0.1",
        "port 587": f"port {port}",
        "tls on": "tls off",
        "auth on": "auth off",
        "user ccdr@example.com\n": "",
        "passwordeval": "# passwordeval",
    }
    missing = [name for name in names if name not in TUTORIAL and name != "/var/lib/ccdr"]
    assert not missing, missing
    box = do(*argv, fresh, "sleep", "infinity").stdout.strip()
    yield Newcomer(box, names)
    do("docker", "rm", "-f", box)


@needs_root
def test_tutorial_followed_on_a_bare_machine_to_the_first_mail_and_the_first_restore(
    newcomer: Newcomer, mailbox: tuple[Mailbox, int], site: Site, tmp_path: Path
) -> None:
    """Word for word, by a real cron and a real msmtp; but for addresses, for the state's place (sandboxes are this
    machine's, so its paths must be) and for every minute instead of every fifth."""
    kept, inside = mailbox[0], newcomer.inside
    newcomer.step("1. Install", skip="cd /usr/local/src")  # packages and clone are there
    newcomer.step("2. A role for the backup")
    newcomer.step("3. A plan")
    newcomer.step("4. The first backup, and the proof")
    newcomer.step("5. Whom to tell")
    assert eventually(lambda: bool(kept.mails)), "ccdr notify test"
    kept.mails.clear()
    newcomer.step("6. cron")
    newcomer.step("7. Mail from cron itself", skip="cat >")  # its package is there
    often = 'sed -Ei \'s|(schedule: )"[^"]*"|\\1"* * * * *"|\' plans/mine.yaml; grep -c \'"\\* \\* \\* \\* \\*"\' plans/mine.yaml'
    inside(f"cd /etc/ccdr; {often}; ccdr run")  # the run sees the schedules
    inside(f"sed -i 's|^CCDR_STATE=.*|CCDR_STATE={site.state}|; s|^\\*/5|*|' /etc/cron.d/ccdr")
    newcomer.step("8. Lose something")
    inside("cron")
    assert eventually(lambda: {"told", "cron"} <= kept.senders(), 150), (kept.text(), inside("ps ax"))
    inside("kill $(cat /run/crond.pid)")
    said = kept.text()
    assert {str(mail["to"]) for mail in kept.mails} == {"ops@example.com"}
    assert "mine/recordings" in said and "entry 1 of `paths:` is not there" in said and "FAILED" in said, said
    look, restore, put_back = blocks(TUTORIAL, "9. The first restore")
    newcomer.run(look)
    assert not (tmp_path / "restored").exists()
    newcomer.run(restore.rstrip() + " --yes-i-mean restored\n")  # typed, by a person
    newcomer.run(put_back)  # `diff` finds nothing
    assert "over since" in inside("cd /etc/ccdr; ccdr notify test mine --dry-run"), "what the next run will tell"
    assert (tmp_path / "recordings" / "call.dat").exists()
    site.ledger_holds()


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """A root with our units installed as docs/how-to/install.md says, and this machine's own beside them."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze")
    root = tmp_path / "root"
    (root / "usr/local/bin").mkdir(parents=True)
    shutil.copy("/bin/true", root / "usr/local/bin/ccdr")
    (root / "etc/systemd/system").mkdir(parents=True)
    shutil.copytree("/usr/lib/systemd/system", root / "usr/lib/systemd/system", symlinks=True)
    copy = next(line for line in "\n".join(blocks(INSTALL, "With systemd")).splitlines() if line.startswith("cp -r"))
    copy = copy.replace("/usr/local/src/ccdr", str(ROOT)).replace(" /etc", f" {root}/etc")
    do("sh", "-c", copy)
    return root


NAMES = [*(f"ccdr-run{kind}" for kind in ("", "@backups", "@tests", "@upkeep")), "ccdr-ship@outbound"]


@pytest.mark.parametrize("name", NAMES)
def test_units_verify_and_are_hardened(units: Path, name: str) -> None:
    timer = [] if "ship" in name else [f"{name}.timer"]  # what ships a log does not end
    done = do("systemd-analyze", f"--root={units}", "--man=no", "verify", f"{name}.service", *timer)
    assert "ccdr" not in done.stderr, done.stderr
    argv = ["systemd-analyze", f"--root={units}", "--offline=true", "--no-pager", "security", f"{name}.service"]
    (level,) = re.findall(r"exposure level for .*: ([0-9.]+)", do(*argv).stdout)
    assert float(level) <= 3.0, "systemd's own scale: 10 is unprotected"


@pytest.mark.parametrize(
    ("file", "line", "said"),
    [
        ("ccdr-.service.d/10-ccdr.conf", "ProtectKernelTuneables=yes", "Unknown key 'ProtectKernelTuneables'"),
        ("ccdr-.service.d/10-ccdr.conf", "ProtectSystem=strictly", "Failed to parse"),
        ("ccdr-run.timer", "AccuracySeconds=15s", "Unknown key 'AccuracySeconds'"),
        ("ccdr-run.service", "ExecStartPre=/usr/local/bin/cddr", "is not executable"),
    ],
)
def test_a_line_that_systemd_does_not_know_is_seen(units: Path, file: str, line: str, said: str) -> None:
    """What the test above goes by: a misspelt line is ignored by systemd, and protects nothing."""
    unit = units / "etc/systemd/system" / file
    section = "[Timer]" if unit.suffix == ".timer" else "[Service]"
    unit.write_text(unit.read_text().replace(section, f"{section}\n{line}"))
    argv = ["systemd-analyze", f"--root={units}", "--man=no", "verify", "ccdr-run.service", "ccdr-run.timer"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert "ccdr" in done.stderr and said in done.stderr, done.stderr


def commands() -> Iterator[tuple[str, list[str]]]:
    """What units and cron call; of a unit with instances, each of those."""
    for name in NAMES:
        unit, at, instance = name.partition("@")
        (line,) = re.findall(r"^ExecStart=(.*)$", (UNITS / f"{unit}{at}.service").read_text(), re.MULTILINE)
        yield name, line.replace("%i", instance).split()
    for line in re.findall(r"^#? ?\*/5 .* root +umask 077; (.*)$", CRON.read_text(), re.MULTILINE):
        yield "cron", line.split()


def test_units_and_cron_call_what_there_is() -> None:
    seen = list(commands())
    assert {name.partition("@")[0] for name, _ in seen} == {"ccdr-run", "ccdr-ship", "cron"}
    assert {path.stem.rstrip("@") for path in UNITS.glob("*.service")} == {"ccdr-run", "ccdr-ship"}
    assert [" ".join(argv) for name, argv in seen if name == "cron"] == [
        "ccdr run",
        "ccdr run --only backups",
        "ccdr run --only tests --only upkeep",
    ]
    for name, (program, verb, *args) in seen:
        command = main.get_command(click.Context(main), verb)
        assert Path(program).name == "ccdr" and command is not None, name
        command.make_context(verb, args)  # raises where an option, an argument or a value is not known
    assert {argv[-1] for name, argv in seen if name.startswith("ccdr-run@")} == KINDS.keys()
    known = set(re.findall(r"CCDR_\w+", main.get_help(click.Context(main))))
    for file in (UNITS / "ccdr-.service.d/10-ccdr.conf", CRON):
        assert set(re.findall(r"CCDR_\w+(?==)", file.read_text())) == known, file


@pytest.mark.parametrize("args", [["--only", "backup"], ["--onyl", "tests"]])
def test_a_misspelt_command_is_seen(args: list[str]) -> None:
    command = main.get_command(click.Context(main), "run")
    assert command is not None
    with pytest.raises(click.UsageError):
        command.make_context("run", args)


def hardening() -> dict[str, str]:
    unit = configparser.RawConfigParser(strict=False, delimiters=("=",))
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read(UNITS / "ccdr-.service.d/10-ccdr.conf")
    return dict(unit["Service"])


@needs_root
def test_what_the_units_take_away_is_not_needed(site: Site, tmp_path: Path) -> None:
    """A backup and a restore test with the units' capabilities and file system: no systemd runs here, but the kernel does
    what it would ask for."""
    settings = hardening()
    assert settings["ProtectSystem"] == "strict" and settings["NoNewPrivileges"] == "yes"
    caps = [cap.removeprefix("CAP_").lower() for cap in settings["CapabilityBoundingSet"].split()]
    tree = tmp_path / "tree"
    for number, owner in enumerate((0, 1000)):
        os.chown(settled_file(tree / f"call{number}.wav", os.urandom(5000)), owner, owner)
        (tree / f"call{number}.wav").chmod(0o400)
    with_repository(site).recordings(tree)
    site.state.mkdir(mode=0o700)
    writable = [site.state, site.repo]  # StateDirectory=, and ReadWritePaths= as the guide says
    script = "set -e; mount --make-rprivate /; "
    script += "".join(f"mount --bind {path} {path}; " for path in writable)
    script += "mount -o remount,bind,ro /; mount -t tmpfs tmpfs /mnt; ! touch /etc/ccdr-probe 2>/dev/null; umask 077; "
    script += f'exec setpriv --no-new-privs --bounding-set={",".join(["-all", *(f"+{c}" for c in caps)])} "$@"'
    for verb in ("backup", "test"):
        env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", "TMPDIR": "/mnt"}  # PrivateTmp=
        done = do("unshare", "-m", "sh", "-c", script, "sh", *site.argv(verb, "p"), env=env)
        assert ("STORED" if verb == "backup" else "PASS") in done.stdout, done.stdout + done.stderr


@pytest.fixture(scope="session")
def image(index: None) -> str:
    """Under a name of its own, so that nobody's installation is replaced."""
    do(ROOT / "deploy/container/build", "ccdr-test", timeout=900)
    return "ccdr-test"


def test_image_runs_ccdr(image: str) -> None:
    assert do("docker", "run", "--rm", "--network", "none", image, "--version").stdout.startswith("ccdr, version")
    assert "Usage: ccdr" in do("docker", "run", "--rm", "--network", "none", image).stdout


def test_a_package_is_verified_in_a_bare_container(image: str, tmp_path: Path) -> None:
    """As an auditor has it: no network, no state, no plans, nothing to write to."""
    exporting = packages.made(tmp_path)
    exporting.export()
    argv = ["docker", "run", "--rm", "--network", "none", "--read-only", "-v", f"{tmp_path}:/had:ro", image]
    verify = [*argv, "ledger", "verify", "/had/package", "--pin", exporting.pin]
    assert "verified" in do(*verify, "--anchor", "/had/from-mail.txt").stdout
    alone = subprocess.run(verify, capture_output=True, text=True, check=False, env=ENV)
    assert alone.returncode == 3 and "internally consistent" in alone.stdout, alone


def four_free_ports() -> int:
    """The first of four ports in a row that are free, as are those 10000 above."""
    for first in range(20000, 50000, 4):
        with contextlib.ExitStack() as held, contextlib.suppress(OSError):
            for port in (*range(first, first + 4), *range(first + 10000, first + 10004)):
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return first
    raise AssertionError("no four ports in a row are free")


@needs_root
def test_compose_from_nothing_to_a_proven_restore(image: str, site: Site, tmp_path: Path) -> None:
    """compose.yaml as it is: ccdr and its store start, cron's stand-in backs up and tests, all ends in order."""
    etc = tmp_path
    port = four_free_ports()
    secret_block = blocks(INSTALL, "In containers")[0].replace("/etc/ccdr", str(etc))
    do("sh", "-euc", secret_block.split("build\n")[-1])
    shutil.move(site.root / "plans/key", etc / "plans/secrets/mine.key")
    settled_file(tmp_path / "tree" / "call.wav", os.urandom(5000))
    url = f"{{url: 's3:http://127.0.0.1:{port}/mine', password_file: secrets/mine.key, env_file: secrets/store.env}}"
    site.recordings(tmp_path / "tree", "limits: {no_progress: 10s}", repository=url)
    more = tmp_path / "more.yaml"
    more.write_text(f"services: {{ccdr: {{volumes: ['{tmp_path}/tree:{tmp_path}/tree:ro']}}}}\n")
    site.state.mkdir(mode=0o700)
    env = {**ENV, "CCDR_ETC": str(etc), "CCDR_STATE": str(site.state), "CCDR_STORE_PORT": str(port)}
    env["CCDR_IMAGE"] = image
    name = f"ccdr-test-{secrets.token_hex(4)}"
    compose = ["docker", "compose", "-p", name, "-f", str(ROOT / "deploy/container/compose.yaml"), "-f", str(more)]
    do(*compose, "up", "-d", env=env)
    try:
        assert eventually(lambda: "S3 API Server" in do(*compose, "logs", "store", env=env).stdout, 60)
        inside = [*compose, "exec", "-T", "ccdr", "ccdr"]
        assert "STORED" in do(*inside, "backup", "p", env=env).stdout
        assert "PASS" in do(*inside, "test", "p", env=env).stdout
        assert do(*inside, "ledger", "verify", env=env).stdout.startswith("PASS")
        do(*inside, "run", env=env)
        said = do(*compose, "logs", "ccdr", env=env).stdout
        assert "ended with" not in said and "Usage" not in said, said
        do(*compose, "stop", "ccdr", env=env, timeout=60)
        ended = do(*compose, "ps", "-a", "--format", "{{.Service}} {{.ExitCode}}", env=env).stdout
        assert "ccdr 0" in ended.splitlines(), ended
    finally:
        do(*compose, "down", "-v", "-t", "1", env=env)
    assert left(site) == []
    secret = (etc / "plans/secrets/store.env").read_text().split("SECRET_ACCESS_KEY=")[1].strip()
    assert secret not in said


def test_going_back_as_the_guide_says(tmp_path: Path) -> None:
    root = tmp_path / "state"
    entry = root / "catalogue/p/crm/0.json"
    State(root).directory("catalogue", "p", "crm")
    append_sparse(Ledger(root / "ledger", SystemClock()), "backup.start", plan="p", asset="crm", run="r", body={})
    entry.write_text("one\n")

    def newer(at: Path) -> None:
        shutil.rmtree(at / "catalogue")
        (at / "index").write_text("a new kind")

    del_state = opened(root, SystemClock(), steps=[Step(("catalogue", "index"), newer)])
    del del_state
    (back,) = blocks(UPGRADE, "Going back")
    do("sh", "-euc", back.replace("/var/lib/ccdr", str(root)))
    assert opened(root, SystemClock(), steps=()).version_file.read_text() == f"{FIRST}\n"
    assert entry.read_text() == "one\n"


def test_guide_names_what_exists() -> None:
    for page in (INSTALL, UPGRADE):
        for script in re.findall(r"```sh\n(.*?)```", page, re.DOTALL):
            do("bash", "-n", "-c", script)
        for path in re.findall(r"(?:/usr/local/src/ccdr/|`|^)(deploy/[\w./@-]+[\w])", page, re.MULTILINE):
            assert (ROOT / path).exists(), path
