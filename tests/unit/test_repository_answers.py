"""What restic answers, by a program that answers as it does where a real repository cannot be made to."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import pytest

from ccdr.host.processes import Host
from ccdr.model.answers import FreeText
from ccdr.model.errors import BackupBad, CcdrError, Exit, RepositoryClosed, RepositoryMissing, TestBroken
from ccdr.storage.restic import Restic
from ccdr.storage.restic_failures import readable, unnamed

NO_KEY = "Fatal: wrong password or no key found"


def answering(directory: Path, *, closed: int) -> Restic:
    """A repository that does not open the first times it is asked; each is a line of `asked`."""
    program = directory / "restic"
    program.write_text(
        f'#!/bin/sh\necho asked >> "{directory}/asked"\n'
        f'[ "$(wc -l < "{directory}/asked")" -gt {closed} ] && {{ echo "{{}}"; exit 0; }}\n'
        f'echo "{NO_KEY}" >&2; exit 12\n'
    )
    program.chmod(0o755)
    return Restic("/nowhere", {}, directory / "cache", Host(dirs=(str(directory),)))


def asked(directory: Path) -> int:
    return len((directory / "asked").read_text().splitlines())


def test_a_store_that_listed_no_key_for_once_is_asked_again(tmp_path: Path) -> None:
    """Seen under load, on an S3 server whose connections were reset: the password was the same before and after."""
    answering(tmp_path, closed=1).probe()
    assert asked(tmp_path) == 2


def test_a_wrong_password_is_told_and_not_tried_for_ever(tmp_path: Path) -> None:
    with pytest.raises(
        RepositoryClosed, match=r"does not open with the plan's password: no key opens with that password"
    ):
        answering(tmp_path, closed=99).probe()
    assert asked(tmp_path) == 2


def test_one_that_opens_is_asked_once(tmp_path: Path) -> None:
    answering(tmp_path, closed=0).probe()
    assert asked(tmp_path) == 1


@pytest.mark.parametrize("known", [True, False])
def test_one_that_is_not_there_is_told_by_what_the_plan_had(tmp_path: Path, known: bool) -> None:
    """A plan whose backups were stored there is not told that its first backup makes it."""
    program = tmp_path / "restic"
    program.write_text(
        "#!/bin/sh\necho 'Fatal: repository does not exist: stat /mnt/config: no such file or directory' >&2\n"
        "echo 'Is there a repository at the following location?' >&2\necho /mnt >&2\nexit 10\n"
    )
    program.chmod(0o755)
    repo = Restic("/mnt", {}, tmp_path / "cache", Host(dirs=(str(tmp_path),)), plan="outbound", known=lambda: known)
    with pytest.raises(RepositoryMissing, match=r"no such file or directory$") as raised:
        repo.probe()
    hint = str(raised.value.hint)
    assert "check that the disk is mounted" in hint and ("`ccdr backup outbound` makes it" in hint) is not known
    assert raised.value.exit_code is Exit.NOT_CARRIED_OUT, "what is not there proves nothing about the backups"


# --- is the backup bad, or was the way to it broken? ------------------------------------------------------------------

NAMES = [
    "/srv/spool/a.wav",
    "/srv/pharmacy/501/hash not found.wav",
    "/srv/spool/connection refused/x509: 503 SlowDown.wav",
    "/srv/spool/no space left on device.wav",
    "/srv/spool/chmod /a: operation not permitted",
    '/srv/spool/a "timed out" call, MAC.wav',
    "/srv/spool/lchown 1.wav",
    "/srv/spool/two\nlines: no such file.wav",
]
PACK = "data/6e/6e02254cccca14996334ff1ee5e73ee15c5bd8312453d32837c1b1822125d909"
NETWORK = [
    f'Get "http://127.0.0.1:9000/pharmacy/{PACK}": read: connection reset by peer',
    f'Get "http://127.0.0.1:9000/b/{PACK}": dial tcp 127.0.0.1:9000: connect: connection refused',
    "ReadFull(<data/6e02254ccc>): server response unexpected: 503 Service Unavailable (503)",
    "ReadFull(<data/6e02254ccc>): Please reduce your request rate. SlowDown",
    "open {target}{item}: stat: i/o timeout",
]
DAMAGE = [
    "ReadFull(<data/6e02254ccc>): file is too short",
    "decrypting blob <data/19145636> from 6e02254c failed: ciphertext verification failed",
    f"ReadFull(<data/6e02254ccc>): open /mnt/501/{PACK}: no such file or directory",
    "Load(<data/6e02254ccc>, 216, 503): invalid data returned",
]
OF_THIS_HOST = [
    "symlink ../501/not found {target}{item}: operation not permitted",
    "chmod {target}{item}: permission denied",
]
FOLLOWS = "lchown {target}{item}: no such file or directory"


def judged(directory: Path, item: str, *messages: str, before: str = "") -> CcdrError:
    """What a restore concludes where restic says this, and the repository answers and decrypts afterwards."""
    said = [*filter(None, [before])]
    for message in messages:
        text = message.replace("{target}", "/var/lib/ccdr/fetched").replace("{item}", item)
        said.append(
            json.dumps({"message_type": "error", "error": {"message": text}, "during": "restore", "item": item})
        )
    said.append(json.dumps({"message_type": "exit_error", "code": 1, "message": "Fatal: There were 503 errors\n"}))
    program = directory / "restic"
    program.write_text(
        '#!/bin/sh\ncase " $* " in *" restore "*) ;; *" cat "*) echo "{}"; exit 0;; *) exit 0;; esac\n'
        + "".join(f"printf '%s\\n' {shlex.quote(line)} >&2\n" for line in said)
        + "exit 1\n"
    )
    program.chmod(0o755)
    repo = Restic("/nowhere", {}, directory / "cache", Host(dirs=(str(directory), "/usr/bin", "/bin")))
    with pytest.raises(CcdrError) as raised:
        repo.restore("0123456789abcdef", "/", directory / "fetched")
    return raised.value


@pytest.mark.parametrize("item", NAMES)
@pytest.mark.parametrize("message", [*NETWORK, *OF_THIS_HOST])
def test_no_name_makes_damage_of_what_broke_on_the_way(tmp_path: Path, message: str, item: str) -> None:
    error = judged(tmp_path, item, message, FOLLOWS)
    assert isinstance(error, TestBroken), error


@pytest.mark.parametrize("item", NAMES)
@pytest.mark.parametrize("message", DAMAGE)
def test_no_name_hides_damage(tmp_path: Path, message: str, item: str) -> None:
    error = judged(tmp_path, item, message, FOLLOWS)
    assert isinstance(error, BackupBad), error


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_counts_however_much_trouble_with_the_network_comes_after_it(tmp_path: Path, damage: str) -> None:
    trouble = [f"{number}: {NETWORK[0]}" for number in range(9)]
    assert isinstance(judged(tmp_path, NAMES[0], damage, *trouble), BackupBad)
    assert isinstance(judged(tmp_path, NAMES[0], *trouble), TestBroken)


def test_a_try_that_was_not_the_last_shows_no_damage(tmp_path: Path) -> None:
    tried = "Load(<data/6e02254ccc>, 216, 503) returned error, retrying after 503.2ms: unexpected EOF"
    assert isinstance(judged(tmp_path, NAMES[0], NETWORK[0], before=tried), TestBroken)
    assert isinstance(judged(tmp_path, NAMES[0], "unexpected EOF", before=tried), BackupBad)


@pytest.mark.parametrize(("message", "left"), [
    ("Load(<data/6e02254ccc>, 216, 503) failed: file is too short", "Load failed: file is too short"),
    ("open /srv/pharmacy/501/hash not found.wav: connection reset", "open /: connection reset"),
    ("link /a/hash /b/MAC: too many links", "link /: too many links"),
    ('Get "https://h/501/\\"hash": x509: bad', 'Get "": x509: bad'),
    ("s3:https://hash:503/b: answered 503", "/: answered 503"),
    ("stat / then more: I/O error", "stat /: I/O error"),
])  # fmt: skip
def test_what_is_judged_names_nothing(message: str, left: str) -> None:
    assert unnamed(message) == left


def test_the_rest_of_a_line_that_was_cut_off_is_not_judged() -> None:
    said = readable(FreeText('harmacy/hash not found.wav"},"item":"/srv/pharmacy/501"}\n' + NETWORK[0]))
    assert "not found" not in said.plain and "connection reset" in said.plain
    assert readable(said) is said
