"""Commands by one shell that stays in a container. Of the 60 ms of processor time that a `docker exec` takes, most is
the runtime's own beginning; a shell begins a program in two."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence

# What every shell quotes alike; some use \x01, \x7f and bytes that are no ASCII within. Docker takes any as it is.
PLAIN = re.compile(r"[\x02-\x0c\x0e-~]*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST = 1 << 16  # characters that a shell is to read; a long list goes to its command directly
ENDED = re.compile(rb" (\d{1,3})\n\Z")


def script(argv: Sequence[str], env: Mapping[str, str], stdin: str, mark: str) -> str | None:
    """The line by which a shell runs this command in a process of its own, and says `mark` before and after it on both
    streams, with the exit code on the first. `mark` is 32 characters that nobody can guess, for this command alone.
    None where it cannot be told to a shell. The environment goes by `export`: an argument would show it in `ps`."""
    if (begun := _begun(argv, env, stdin)) is None:
        return None
    command = f"( {begun} )"
    # `printf` is the shell's own: what it is given is nobody's argument, and of any length.
    fed = f"printf %s {shlex.quote(stdin)} | {command}" if stdin else f"{command} </dev/null"
    return f"echo {mark}; echo {mark} >&2; {fed}; echo {mark} $?; echo {mark} >&2\n"


def replaced(argv: Sequence[str], env: Mapping[str, str], mark: str) -> str | None:
    """The line by which a shell says `mark`, and becomes this command; None as for `script`. Whatever is sent once the
    mark has come is the command's: the shell reads no more."""
    begun = _begun(argv, env)
    return None if begun is None else f"echo {mark}; {begun}\n"


def _begun(argv: Sequence[str], env: Mapping[str, str], stdin: str = "") -> str | None:
    texts = [*argv, *env.values(), stdin]
    if sum(map(len, texts)) > LONGEST or not all(map(PLAIN.fullmatch, texts)) or not all(map(NAME.fullmatch, env)):
        return None
    exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in env.items())
    return f"{exports}exec {shlex.join(argv)}"


def exit_code(out: bytes | bytearray, err: bytes | bytearray, mark: str) -> int | None:
    """What the command ended with, once all that it said is there; None before."""
    said = mark.encode()
    tail = bytes(out[-len(said) - 5 :])
    if (ended := ENDED.search(tail)) is None or not tail[: ended.start()].endswith(said):
        return None
    return int(ended[1]) if err.endswith(said + b"\n") and err.count(said) == 2 else None


def between(said: bytes | bytearray, mark: str) -> bytes:
    """What the command itself said on one of the streams: what stands behind the first mark, and before the second. Of
    a shell that did not come to the first, all."""
    before, first, behind = bytes(said).partition(f"{mark}\n".encode())
    return behind.partition(mark.encode())[0] if first else before
