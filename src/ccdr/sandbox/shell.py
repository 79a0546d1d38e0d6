"""Commands by one shell that stays in a container. Of the 60 ms of processor time that a `docker exec` takes, most is
the runtime's own beginning; a shell begins a program in two."""

from __future__ import annotations

import re
import secrets
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

# What every shell quotes alike; some use \x01, \x7f and bytes that are no ASCII within. Docker takes any as it is.
PLAIN = re.compile(r"[\x02-\x0c\x0e-~]*")
NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
LONGEST = 1 << 16  # characters that a shell is to read; a long list goes to its command directly
# A shell's own words go nowhere: bash tells of a command that was killed by quoting all of it.
BEGINNING = "exec 3>&2 2>/dev/null\n"
OWN_STREAMS = "2>&3 3>&-"


@dataclass
class Told:
    """What a shell is told to run, and what has come of it: standard output and error, with `mark` before and after
    what the command said on each. Nobody can guess the mark, which is for this command alone."""

    mark: str = field(default_factory=lambda: secrets.token_hex(16))
    out: bytearray = field(default_factory=bytearray)
    err: bytearray = field(default_factory=bytearray)
    code: int | None = None  # once all that the command said is there
    _looked: list[int] = field(default_factory=lambda: [0, 0])
    _ended: list[str | None] = field(default_factory=lambda: [None, None])

    def script(self, argv: Sequence[str], env: Mapping[str, str], stdin: str) -> str | None:
        """The line by which a shell runs it in a process of its own. None where it cannot be told to a shell. The
        environment goes by `export`: an argument would show it in `ps`."""
        if (begun := _begun(argv, env, stdin)) is None:
            return None
        command = f"( {begun} ) {OWN_STREAMS}"
        # `printf` is the shell's own, as dash, bash and busybox have it: what it is given is nobody's argument.
        fed = f"printf %s {shlex.quote(stdin)} | {command}" if stdin else f"{command} </dev/null"
        mark = self.mark
        return f"echo {mark}; echo {mark} >&3; {fed}; echo {mark} $?; echo {mark} 0 >&3\n"

    def replaced(self, argv: Sequence[str], env: Mapping[str, str]) -> str | None:
        """The line by which a shell says the mark, and becomes this command; None as for `script`. Whatever is sent
        once the mark has come is the command's: the shell reads no more."""
        begun = _begun(argv, env)
        return None if begun is None else f"echo {self.mark}; {begun} {OWN_STREAMS}\n"

    def hear(self, data: bytes, *, error: bool) -> None:
        said = self.err if error else self.out
        said += data
        if self._ended[error] is None:
            if ended := re.compile(rf"{self.mark} (\d{{1,3}})\n".encode()).search(said, self._looked[error]):
                self._ended[error] = ended[1].decode()
            self._looked[error] = max(0, len(said) - len(self.mark) - 5)
            out, err = self._ended
            self.code = None if out is None or err is None else int(out)

    @property
    def begun(self) -> bool:
        """Has the shell come to the command?"""
        return f"{self.mark}\n".encode() in self.out

    @property
    def said(self) -> bytes:
        return self._between(self.out)[0]

    @property
    def complained(self) -> bytes:
        return self._between(self.err)[0]

    @property
    def goes_on(self) -> bool:
        """Does anything that the command left behind speak on?"""
        return any(self._between(said)[1] for said in (self.out, self.err))

    def _between(self, whole: bytearray) -> tuple[bytes, bytes]:
        """What the command itself said there, and what came after it. Where no shell came to it, all is its own: it is
        Docker that speaks, or there is none."""
        before, first, behind = bytes(whole).partition(f"{self.mark}\n".encode())
        if not first:
            return before, b""
        said, _, ended = behind.partition(f"{self.mark} ".encode())
        return said, ended.partition(b"\n")[2]


def _begun(argv: Sequence[str], env: Mapping[str, str], stdin: str = "") -> str | None:
    texts = [*argv, *env.values(), stdin]
    if sum(map(len, texts)) > LONGEST or not all(map(PLAIN.fullmatch, texts)) or not all(map(NAME.fullmatch, env)):
        return None
    exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in env.items())
    return f"{exports}exec {shlex.join(argv)}"
