"""Reads secrets where a plan says they are: a file, or a command. They never reach argv, logs or records."""

from __future__ import annotations

import re
from pathlib import Path

from ccdr.host.processes import Host
from ccdr.model.errors import CommandFailed, PlanUnconfirmed, UsageProblem
from ccdr.model.schema import FileOfTakenPlan, UnconfirmedCommand, WithPassword

_NO_COPY = "; a server's that is lost is set anew there (docs/how-to/recover.md: A password that is lost)"
SHORTEST = 8  # characters; a repository's password guards every customer's data

# What restic's stores are told by their environment. All else is refused: PATH, HOME, LD_PRELOAD and many more have
# restic, or a program that it starts, run something.
_OF_A_STORE = re.compile(
    r"(AWS|B2|AZURE|GOOGLE|OS|ST|SWIFT|MINIO|RCLONE|RESTIC_REST|RESTIC_AWS_ASSUME_ROLE)_\w+"
    r"|RESTIC_(CACERT|TLS_CLIENT_CERT|PACK_SIZE|COMPRESSION|READ_CONCURRENCY|HTTP_USER_AGENT)"
    r"|SSL_CERT_(FILE|DIR)|(?i:https?|no|all)_(?i:proxy)|SSH_AUTH_SOCK|TMPDIR|TZ|LANG|LC_\w+|GOGC|GOMAXPROCS",
    re.ASCII,
)
_RUNS_A_PROGRAM = re.compile(
    r".*_(COMMAND|EXECUTABLES|PROCESS)|RCLONE_\w*_?(SSH|MAPPER|AUTH_PROXY|ASKPASS)", re.ASCII | re.IGNORECASE
)
# Of a plan that came from a repository: values alone. A file of settings may name a command (credential_process).
_VALUES_ALONE = re.compile(
    r"AWS_(ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION|REGION|PROFILE)|B2_ACCOUNT_(ID|KEY)"
    r"|AZURE_(ACCOUNT_NAME|ACCOUNT_KEY|ACCOUNT_SAS|ENDPOINT_SUFFIX)|GOOGLE_(PROJECT_ID|ACCESS_TOKEN)"
    r"|(OS|ST)_\w+|RESTIC_REST_(USERNAME|PASSWORD)|RCLONE_CONFIG_PASS"
    r"|SSL_CERT_(FILE|DIR)|(?i:https?|no|all)_(?i:proxy)",
    re.ASCII,
)


def password(source: WithPassword, host: Host, *, what: str, shortest: int = 1) -> str | None:
    """The password, its line end removed; None where `source` names none.

    UsageProblem where it cannot be had, is empty, or is shorter than `shortest`; PlanUnconfirmed where it would take a
    command that came from a repository, and that nobody has confirmed.
    """
    if source.password_file is not None:
        _refuse_taken(source.password_file, f"{what}: password_file")
        text = _read(source.password_file, f"{what}: password_file")
    elif source.password_command is not None:
        if isinstance(source.password_command, UnconfirmedCommand):
            raise PlanUnconfirmed(source.password_command.plan, [f"{what}: password_command"])
        try:
            text = host.run(list(source.password_command), what=f"{what}: password_command").stdout
        except CommandFailed as error:
            raise UsageProblem(str(error), hint="run the password_command by hand and see") from None
    else:
        return None
    secret = _first_line(text)
    if len(secret) < shortest:
        raise UsageProblem(
            f"{what}: its password is {'empty' if not secret else f'shorter than {shortest} characters'}",
            hint="put the right password back from your copy: a new one does not open an existing repository. For a "
            "new repository: "
            "head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE",
        )
    return secret


def too_short(path: Path) -> bool:
    """Would `password` refuse it as a repository's for that? Not one that is not there, or not ours to read."""
    try:
        return len(_first_line(path.read_text("utf-8"))) < SHORTEST
    except (OSError, UnicodeDecodeError):
        return False


def _first_line(text: str) -> str:
    return text.split("\n", 1)[0].rstrip("\r")


def env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; blank lines, `#` comments, a leading `export` and quotes around values are allowed.
    UsageProblem where a name is no store's, or has a program run or loaded."""
    env: dict[str, str] = {}
    _refuse_taken(path, "repository: env_file")
    for number, line in enumerate(_read(path, "repository: env_file").splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageProblem(f"{path}:{number}: is not NAME=value")  # never the line: it may be a secret
        _refuse_name(name.strip(), path, number)
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        env[name.strip()] = value
    return env


def _refuse_name(name: str, path: Path, line: int) -> None:
    shown = name if name in (name.upper(), name.lower()) and len(name) <= 64 else "the name there"  # a secret's half?
    if not _OF_A_STORE.fullmatch(name) or _RUNS_A_PROGRAM.fullmatch(name):
        raise UsageProblem(
            f"{path}:{line}: {shown} may not stand in an env_file: it is no store's credential, or it can have a "
            "program run",
            hint="take the line out: an env_file holds what a store is opened with, like AWS_ACCESS_KEY_ID",
        )
    if isinstance(path, FileOfTakenPlan) and not _VALUES_ALONE.fullmatch(name):
        raise UsageProblem(
            f"{path}:{line}: {shown} may not stand in an env_file of a plan that came from a repository: what it names "
            "may have a program run",
            hint="write the credential itself there, like AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
        )


def _refuse_taken(path: Path, what: str) -> None:
    """A secret never comes from a repository: who could have stored the plan could have stored the file."""
    if isinstance(path, FileOfTakenPlan) and path.came_along:
        raise UsageProblem(
            f"{what}: {path} came from the repository itself, or was recovered from it, with the plan that names it",
            hint="put the secret from your copy into a file elsewhere, and name that in the plan",
        )


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageProblem(
            f"{what}: {path}: {why}", hint=f"put it back from your copy, mode 0600, owned by who runs ccdr{_NO_COPY}"
        ) from None
