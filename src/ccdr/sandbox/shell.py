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
class _Stream:
    """One of a shell's two: `mark` and a line's end, what the command says, `mark` and a number, what comes after."""

    mark: str
    whole: bytearray = field(default_factory=bytearray)
    number: int | None = None  # once the command has ended
    _looked: int = 0

    def hear(self, data: bytes) -> None:
        self.whole += data
        if self.number is None:
            if ended := re.compile(rf"{self.mark} (\d{{1,3}})\n".encode()).search(self.whole, self._looked):
                self.number = int(ended[1])
            self._looked = max(0, len(self.whole) - len(self.mark) - 5)

    @property
    def begun(self) -> bool:
        return f"{self.mark}\n".encode() in self.whole

    def parts(self) -> tuple[bytes, bytes]:
        """What the command itself said, and what came after it. Where no shell came to it, all is its own: it is
        Docker that speaks, or there is no shell."""
        before, first, behind = bytes(self.whole).partition(f"{self.mark}\n".encode())
        if not first:
            return before, b""
        said, _, ended = behind.partition(f"{self.mark} ".encode())
        return said, ended.partition(b"\n")[2]


class Told:
    """What a shell is told to run, and what has come of it on standard output and error. Nobody can guess the mark
    around that, which is for this command alone."""

    def __init__(self, mark: str | None = None) -> None:
        self.mark = mark or secrets.token_hex(16)
        self._out, self._err = _Stream(self.mark), _Stream(self.mark)

    def script(self, argv: Sequence[str], env: Mapping[str, str], stdin: str) -> str | None:
        """The line by which a shell runs it in a process of its own. None where it cannot be told to a shell. The
        environment goes by `export`: an argument would show it in `ps`."""
        if (becoming := _becoming(argv, env, stdin)) is None:
            return None
        command = f"( {becoming} ) {OWN_STREAMS}"
        # `printf` is the shell's own, as dash, bash and busybox have it: what it is given is nobody's argument.
        fed = f"printf %s {shlex.quote(stdin)} | {command}" if stdin else f"{command} </dev/null"
        mark = self.mark
        return f"echo {mark}; echo {mark} >&3; {fed}; echo {mark} $?; echo {mark} 0 >&3\n"

    def replaced(self, argv: Sequence[str], env: Mapping[str, str]) -> str | None:
        """The line by which a shell says the mark, and becomes this command; None as for `script`. Whatever is sent
        once the mark has come is the command's: the shell reads no more."""
        becoming = _becoming(argv, env)
        return None if becoming is None else f"echo {self.mark}; {becoming} {OWN_STREAMS}\n"

    def hear(self, data: bytes, *, error: bool) -> None:
        (self._err if error else self._out).hear(data)

    @property
    def code(self) -> int | None:
        """What it ended with, once all that it said is there."""
        return None if self._err.number is None else self._out.number

    @property
    def begun(self) -> bool:
        """Has the shell come to the command?"""
        return self._out.begun

    @property
    def said(self) -> bytes:
        return self._out.parts()[0]

    @property
    def complained(self) -> bytes:
        return self._err.parts()[0]

    @property
    def goes_on(self) -> bool:
        """Does anything that the command left behind speak on?"""
        return any(stream.parts()[1] for stream in (self._out, self._err))


def _becoming(argv: Sequence[str], env: Mapping[str, str], stdin: str = "") -> str | None:
    texts = [*argv, *env.values(), stdin]
    if sum(map(len, texts)) > LONGEST or not all(map(PLAIN.fullmatch, texts)) or not all(map(NAME.fullmatch, env)):
        return None
    exports = "".join(f"export {name}={shlex.quote(value)}; " for name, value in env.items())
    return f"{exports}exec {shlex.join(argv)}"
