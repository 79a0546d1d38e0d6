"""A command that goes by a shell is run, fed and told of as if Docker had begun it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from subprocess import PIPE

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.sandbox.shell import LONGEST, between, exit_code, replaced, script

MARK = "0123456789abcdef" * 2
SHELLS = [[path] for name in ("dash", "bash") if (path := shutil.which(name))]
# All that a shell might read anything into, each as likely as a letter.
ODD = st.text(st.sampled_from("ab0 \t\n\x02\x1b'\"\\$`!%&|;<>(){}[]*?~#=-+.,:/^@_"), max_size=40)
# What it was begun with, each text with its length: nothing can hide what another holds.
TELLS = r"""for word in "$0" "$@" "$TOLD"; do printf '%s:%s|' "${#word}" "$word"; done; cat; printf no-newline >&2; exit $CODE"""


def shell_says(shell: Sequence[str], *lines: str) -> tuple[bytes, bytes]:
    """What a shell that reads these lines says on both streams."""
    done = subprocess.run(shell, input="".join(lines).encode(), capture_output=True, check=False, timeout=20)
    return done.stdout, done.stderr


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: os.path.basename(argv[0]))
@given(words=st.lists(ODD, min_size=1, max_size=4), told=ODD, stdin=ODD, code=st.integers(0, 255))
def test_a_command_gets_its_words_and_input_as_they_are(
    shell: list[str], words: list[str], told: str, stdin: str, code: int
) -> None:
    line = script(["sh", "-c", TELLS, *words], {"TOLD": told, "CODE": str(code)}, stdin, MARK)
    assert line is not None
    out, err = shell_says(shell, line)
    assert exit_code(out, err, MARK) == code
    expected = "".join(f"{len(word)}:{word}|" for word in [*words, told]) + stdin
    assert between(out, MARK) == expected.encode() and between(err, MARK) == b"no-newline"


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: os.path.basename(argv[0]))
@given(words=st.lists(ODD, min_size=1, max_size=4), told=ODD, stdin=ODD, code=st.integers(0, 255))
def test_a_shell_becomes_a_command_and_reads_nothing_of_what_that_is_told(
    shell: list[str], words: list[str], told: str, stdin: str, code: int
) -> None:
    line = replaced(["sh", "-c", TELLS, *words], {"TOLD": told, "CODE": str(code)}, MARK)
    assert line is not None
    with subprocess.Popen(shell, bufsize=0, stdin=PIPE, stdout=PIPE, stderr=PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(line.encode())
        process.stdin.flush()
        assert process.stdout.readline() == f"{MARK}\n".encode()
        out, err = process.communicate(stdin.encode(), timeout=20)
    assert out.decode() == "".join(f"{len(word)}:{word}|" for word in [*words, told]) + stdin
    assert (err, process.returncode) == (b"no-newline", code)


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: os.path.basename(argv[0]))
def test_nothing_of_a_command_is_left_for_the_next(shell: list[str]) -> None:
    """Neither its directory, its environment, what it set, nor what it did not read."""
    first = script(["sh", "-c", "cd /; X=1; exit 3"], {"TOLD": "1"}, "not read\n" * 7000, MARK)
    second = script(["sh", "-c", 'pwd; echo "$TOLD$X"; cat'], {}, "", "f" * 32)
    assert first is not None and second is not None
    out, err = shell_says(shell, first, second)
    assert between(out, "f" * 32).decode() == f"{os.getcwd()}\n\n" and between(err, "f" * 32) == b""


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: os.path.basename(argv[0]))
def test_what_is_left_unsaid_of_an_earlier_command_is_not_the_next_ones(shell: list[str]) -> None:
    line = script(["echo", "mine"], {}, "", MARK)
    assert line is not None
    out, err = shell_says(shell, "printf late; printf late >&2\n", line)
    assert (between(out, MARK), between(err, MARK)) == (b"mine\n", b"")


@pytest.mark.parametrize("shell", SHELLS, ids=lambda argv: os.path.basename(argv[0]))
@pytest.mark.parametrize(
    ("argv", "code", "words"),
    [
        (["/no/such/program"], 127, b"not found"),
        (["/etc"], 126, b""),
        (["sh", "-c", "kill -9 $$"], 137, b""),
        (["sh", "-c", "kill -15 $$"], 143, b""),
    ],
)
def test_how_it_ended_is_told_as_docker_tells_it(shell: list[str], argv: list[str], code: int, words: bytes) -> None:
    line = script(argv, {}, "", MARK)
    assert line is not None
    out, err = shell_says(shell, line)
    assert exit_code(out, err, MARK) == code and between(out, MARK) == b""
    assert words in err or b"o such file" in err


def test_it_has_ended_once_both_streams_say_so_and_no_sooner() -> None:
    """They come in packets, in any order between the two."""
    line = script(["sh", "-c", "echo out; echo err >&2; exit 7"], {}, "", MARK)
    assert line is not None
    out, err = shell_says(SHELLS[0], line)
    for i in range(len(out) + 1):
        for k in range(len(err) + 1):
            whole = i == len(out) and k == len(err)
            assert exit_code(out[:i], err[:k], MARK) == (7 if whole else None), (i, k)


def test_a_command_that_prints_another_mark_does_not_end() -> None:
    other = "e" * 32
    line = script(["sh", "-c", f"echo {other} 0; echo {other} >&2; exit 9"], {}, "", MARK)
    assert line is not None
    out, err = shell_says(SHELLS[0], line)
    assert exit_code(out, err, MARK) == 9 and between(out, MARK) == f"{other} 0\n".encode()


@pytest.mark.parametrize("text", ["é", "\x00", "\x01", "\x7f", "\r", "\udcff", "x" * (LONGEST + 1)])
def test_what_shells_might_read_differently_goes_by_docker(text: str) -> None:
    assert script(["echo", text], {}, "", MARK) is None
    assert script(["cat"], {}, text, MARK) is None
    assert script(["env"], {"TOLD": text}, "", MARK) is None


def test_a_name_that_no_shell_can_export_goes_by_docker() -> None:
    assert script(["env"], {"a.b": "1"}, "", MARK) is None


def test_a_secret_in_the_environment_is_nobodys_argument() -> None:
    line = script(["cat", "/proc/self/cmdline"], {"SECRET": "hunter2"}, "", MARK)
    assert line is not None
    out, _ = shell_says(SHELLS[0], line)
    assert between(out, MARK) == b"cat\0/proc/self/cmdline\0"


def test_what_docker_says_in_the_place_of_a_shell_is_not_lost() -> None:
    assert between(b"OCI runtime exec failed: x", MARK) == b"OCI runtime exec failed: x"
