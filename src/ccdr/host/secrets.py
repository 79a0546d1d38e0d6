"""Reads secrets where a plan says they are: a file, or a command. They never reach argv, logs or records."""

from __future__ import annotations

from pathlib import Path

from ccdr.host.processes import Host
from ccdr.model.errors import CommandFailed, PlanUnconfirmed, UsageProblem
from ccdr.model.schema import UnconfirmedCommand, WithPassword

SHORTEST = 8  # characters; a repository's password guards every customer's data


def password(source: WithPassword, host: Host, *, what: str, shortest: int = 1) -> str | None:
    """The password, its line end removed; None where `source` names none.

    UsageProblem where it cannot be had, is empty, or is shorter than `shortest`; PlanUnconfirmed where it would take a
    command that came from a repository, and that nobody has confirmed.
    """
    if source.password_file is not None:
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
    secret = text.split("\n", 1)[0].rstrip("\r")
    if len(secret) < shortest:
        raise UsageProblem(
            f"{what}: its password is {'empty' if not secret else f'shorter than {shortest} characters'}",
            hint="put the right password back from your copy: a new one does not open an existing repository. For a "
            "new repository: "
            "head -c 32 /dev/urandom | base64 > FILE; chmod 600 FILE",
        )
    return secret


def env_file(path: Path) -> dict[str, str]:
    """`NAME=value` lines; blank lines, `#` comments, a leading `export` and quotes around values are allowed."""
    env: dict[str, str] = {}
    for number, line in enumerate(_read(path, "repository: env_file").splitlines(), 1):
        text = line.strip().removeprefix("export ").strip()
        if not text or text.startswith("#"):
            continue
        name, equals, value = text.partition("=")
        if not equals or not name.strip().isidentifier():
            raise UsageProblem(f"{path}:{number}: is not NAME=value")  # never the line: it may be a secret
        value = value.strip()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        env[name.strip()] = value
    return env


def _read(path: Path, what: str) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
        raise UsageProblem(
            f"{what}: {path}: {why}", hint="put it back from your copy, mode 0600, owned by who runs ccdr"
        ) from None
