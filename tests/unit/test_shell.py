"""A command that goes by a shell is run, fed and told of as if Docker had begun it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.sandbox.shell import BEGINNING, LONGEST, Told

SHELLS = [[path] for name in ("dash", "bash") if (path := shutil.which(name))]
# All that a shell might read anything into, each as likely as a letter.
ODD = st.text(st.sampled_from("ab0 \t\n\x02\x1b'\"\\$`!%&|;<>(){}[]*?~#=-+.,:/^@_"), max_size=40)
# What it was begun with, each text with its length: nothing can hide what another holds.
TELLS = r"""for word in "$0" "$@" "$TOLD"; do printf '%s:%s|' "${#word}" "$word"; done; cat; printf no-newline >&2; exit $CODE"""


NAMED = pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: os.path.basename(argv[0]))


def shell_says(shell: Sequence[str], *lines: str | None) -> tuple[bytes, bytes]:
    """What a shell that reads these lines says on both streams."""
    assert None not in lines
    text = BEGINNING + "".join(map(str, lines))
    done = subprocess.run(shell, input=text.encode(), capture_output=True, check=False, timeout=20)
    return done.stdout, done.stderr


def ran(shell: Sequence[str], argv: Sequence[str], env: Mapping[str, str] | None = None, stdin: str = "") -> Told:
    told = Told()
    heard(told, *shell_says(shell, told.script(argv, env or {}, stdin)))
    return told


def heard(told: Told, out: bytes, err: bytes) -> None:
    told.hear(out, error=False)
    told.hear(err, error=True)


@NAMED
@given(words=st.lists(ODD, min_size=1, max_size=4), told=ODD, stdin=ODD, code=st.integers(0, 255))
def test_a_command_gets_its_words_and_input_as_they_are(
    shell: list[str], words: list[str], told: str, stdin: str, code: int
) -> None:
    done = ran(shell, ["sh", "-c", TELLS, *words], {"TOLD": told, "CODE": str(code)}, stdin)
    expected = "".join(f"{len(word)}:{word}|" for word in [*words, told]) + stdin
    assert (done.code, done.said.decode(), done.complained) == (code, expected, b"no-newline")
    assert done.begun and not done.goes_on


@NAMED
@given(words=st.lists(ODD, min_size=1, max_size=4), told=ODD, stdin=ODD, code=st.integers(0, 255))
def test_a_shell_becomes_a_command_and_reads_nothing_of_what_that_is_told(
    shell: list[str], words: list[str], told: str, stdin: str, code: int
) -> None:
    asked = Told()
    line = asked.replaced(["sh", "-c", TELLS, *words], {"TOLD": told, "CODE": str(code)})
    assert line is not None
    with subprocess.Popen(shell, bufsize=0, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write((BEGINNING + line).encode())
        assert process.stdout.readline() == f"{asked.mark}\n".encode()
        out, err = process.communicate(stdin.encode(), timeout=20)
    assert out.decode() == "".join(f"{len(word)}:{word}|" for word in [*words, told]) + stdin
    assert (err, process.returncode) == (b"no-newline", code)


@NAMED
def test_nothing_of_a_command_is_left_for_the_next(shell: list[str]) -> None:
    """Neither its directory, its environment, what it set, what it did not read, nor a stream of the shell's own."""
    first, second = Told(), Told()
    line = first.script(["sh", "-c", "cd /; X=1; exit 3"], {"TOLD": "1"}, "not read\n" * 7000)
    said = shell_says(shell, line, second.script(["sh", "-c", 'pwd; echo "$TOLD$X"; cat; ls /proc/$$/fd'], {}, ""))
    heard(first, *said)
    heard(second, *said)
    assert second.said.decode() == f"{os.getcwd()}\n\n0\n1\n2\n" and (second.code, second.complained) == (0, b"")
    assert (first.code, first.said, first.goes_on) == (3, b"", True), "another one speaks behind it"


@NAMED
def test_what_an_earlier_command_left_unsaid_is_not_the_next_ones(shell: list[str]) -> None:
    told = Told()
    out, err = shell_says(shell, "printf late; printf late >&3\n", told.script(["echo", "mine"], {}, ""))
    heard(told, out, err)
    assert (told.code, told.said, told.complained) == (0, b"mine\n", b"")


@NAMED
@pytest.mark.parametrize("stream", [1, 2])
def test_a_command_that_leaves_another_one_speaking_has_ended_and_is_known_for_it(
    shell: list[str], stream: int
) -> None:
    told = ran(shell, ["sh", "-c", f"(sleep 0.3; echo late >&{stream}) & exit 4"])
    assert (told.code, told.said, told.complained, told.goes_on) == (4, b"", b"", True)


@NAMED
@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["/no/such/program"], 127, b"o"),
        (["/etc"], 126, b"o"),
        (["sh", "-c", "kill -9 $$"], 137, b""),
        (["sh", "-c", "kill -11 $$"], 139, b""),
        (["sh", "-c", "kill -15 $$"], 143, b""),
    ],
)
@pytest.mark.parametrize("stdin", ["", "alter role x password 'hunter2'"])
def test_how_it_ended_is_told_as_docker_tells_it(
    shell: list[str], argv: list[str], code: int, words: bytes, stdin: str
) -> None:
    """And nothing is quoted of what it was told; of what cannot be begun, the shell says why."""
    told = ran(shell, argv, {"PGPASSWORD": "hunter2"}, stdin)
    assert (told.code, told.said) == (code, b"")
    assert words in told.complained and bool(words) == bool(told.complained) and b"hunter2" not in told.complained


def test_it_has_ended_once_both_streams_say_so_and_no_sooner() -> None:
    """They come in packets, in any order between the two."""
    told = Told()
    out, err = shell_says(SHELLS[0], told.script(["sh", "-c", "echo out; echo err >&2; exit 7"], {}, ""))
    for i in range(len(out) + 1):
        for k in range(len(err) + 1):
            told = Told(told.mark)
            heard(told, out[:i], err[:k])
            whole = i == len(out) and k == len(err)
            assert told.code == (7 if whole else None), (i, k)
            heard(told, out[i:], err[k:])
            assert (told.code, told.said, told.complained, told.goes_on) == (7, b"out\n", b"err\n", False)


def test_a_command_that_prints_another_mark_does_not_end() -> None:
    other = "e" * 32
    told = ran(SHELLS[0], ["sh", "-c", f"echo {other} 0; echo {other} 0 >&2; exit 9"])
    assert (told.code, told.said) == (9, f"{other} 0\n".encode())


@pytest.mark.parametrize("text", ["é", "\x00", "\x01", "\x7f", "\r", "\udcff", "x" * (LONGEST + 1)])
def test_what_shells_might_read_differently_goes_by_docker(text: str) -> None:
    assert Told().script(["echo", text], {}, "") is None
    assert Told().script(["cat"], {}, text) is None
    assert Told().script(["env"], {"TOLD": text}, "") is None
    assert Told().replaced(["echo", text], {}) is None


def test_a_name_that_no_shell_can_export_goes_by_docker() -> None:
    assert Told().script(["env"], {"a.b": "1"}, "") is None


def test_a_secret_in_the_environment_is_nobodys_argument() -> None:
    told = ran(SHELLS[0], ["cat", "/proc/self/cmdline"], {"SECRET": "hunter2"})
    assert told.said == b"cat\0/proc/self/cmdline\0"


def test_what_docker_says_in_the_place_of_a_shell_is_not_lost() -> None:
    told = Told()
    heard(told, b"OCI runtime exec failed: x", b"")
    assert (told.code, told.begun, told.said) == (None, False, b"OCI runtime exec failed: x")
