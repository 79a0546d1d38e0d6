"""A period is signed off by who may, of what there is, and no two hands of it are one; each refusal has its twin."""

from __future__ import annotations

import pwd
import subprocess
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from tests.support.signed import PRESENT, SecurityKey, key, signed, signers
from tests.support.signing_off import NAMESPACE, SignOffRoom, as_read

from ccdr.evidence.package.statements import files_of
from ccdr.evidence.records.statements import SIGN_PERIOD
from ccdr.host.signatures import SignatureRefused
from ccdr.model.errors import UsageProblem
from ccdr.telling.signing_off import sign_off, to_sign_off


@pytest.fixture
def room(tmp_path: Path) -> SignOffRoom:
    return SignOffRoom(tmp_path)


def refused(room: SignOffRoom, by: Path | None = None) -> str:
    done = room.sign(by)
    assert done.code == 2 and done.json["hint"] and not room.records(), done
    return str(done.json["error"])


def test_what_is_signed_is_the_population_as_the_report_has_it(room: SignOffRoom) -> None:
    room.tested("root", by="run")
    shown = room.asked(*room.period).json
    assert "would_sign" in shown and not room.records(), "without a way to sign it is shown"
    done = room.sign()
    assert done.code == 0, done
    one = done.json["signed_off"]
    assert (one["by"], one["fits"], one["signature"], one["wrong"]) == ("ana@x", True, "holds", [])
    out = room.root / "p.csv"
    room.site.run("report", *room.period, "--format", "csv", "--out", str(out))
    lines = out.read_bytes().splitlines(keepends=True)
    assert one["population_sha256"] == sha256(b"".join(lines[:-1])).hexdigest() and one["rows"] == len(lines) - 2
    assert one["outcomes"] == {"PASS": 1, "STORED": 1} and one["plans"] == []
    (record,) = room.records()
    assert record["signers_sha256"] == sha256(room.signers.read_bytes()).hexdigest()
    given = SIGN_PERIOD.recorded(as_read(record))
    assert SIGN_PERIOD.read(given.text()) == given, "what a person reads is what was recorded"
    room.site.ledger_holds()


def test_an_auditor_verifies_it_with_openssh_alone(room: SignOffRoom) -> None:
    room.sign()
    (record,) = room.records()
    for name, contents in files_of(as_read(record)).items():
        (room.root / name).write_text(contents)
    (text,) = room.root.glob("ccdr-sign-off-*.txt")
    for who_may in (room.signers, *room.root.glob("ccdr-sign-off-*.allowed_signers")):
        argv = ["ssh-keygen", "-Y", "verify", "-f", who_may, "-I", "ana@x", "-n", NAMESPACE, "-s", f"{text}.sig"]
        subprocess.run(argv, input=text.read_bytes(), check=True, capture_output=True)
        done = subprocess.run(argv, input=text.read_bytes() + b"\n", check=False, capture_output=True)
        assert done.returncode != 0, "another text"


@pytest.mark.parametrize("flags", [None, PRESENT])
def test_a_security_key_signs_elsewhere(room: SignOffRoom, flags: int | None) -> None:
    device, text = SecurityKey(), room.root / "text"
    signers(room.signers, {"eva@x": device.public}, options=f'namespaces="{NAMESPACE}"')
    assert room.asked(*room.period, "--write", str(text)).code == 0
    more = {} if flags is None else {"flags": flags}
    text.with_name("text.sig").write_text(device.signed(text.read_text(), namespace=NAMESPACE, **more))
    done = room.asked("--signed", str(text))
    assert done.code == 0 and done.json["signed_off"]["user_verified"] is (flags is None), done
    assert room.asked("--signed", str(text)).code == 2, "once is enough"
    assert len(room.records()) == 1


def test_a_second_person_is_one_more(room: SignOffRoom) -> None:
    assert room.sign().code == 0 and room.sign(room.dan).code == 0
    assert [(one["by"], one["fits"]) for one in room.sign_offs] == [("ana@x", True), ("dan@x", True)]


def test_who_is_not_there_signs_nothing(room: SignOffRoom) -> None:
    assert "not among those" in refused(room, key(room.root, "mallory"))
    signers(room.signers, {"ana@x": room.ana}, options='namespaces="ccdr-approval"')
    assert "may not" in refused(room), "who may approve plans"
    room.signers.chmod(0o666)
    assert "can be written by others" in refused(room)
    signers(room.signers, {"ana@x": room.ana}, options=f'namespaces="{NAMESPACE}"')
    assert room.sign().code == 0


def test_a_period_that_goes_on_is_not_signed_off(room: SignOffRoom) -> None:
    for last in (f"{room.end + timedelta(days=400):%Y-%m-%d}", f"{room.end + timedelta(days=1):%Y-%m-%d}"):
        done = room.asked("--from", room.period[1], "--to", last, "--key", str(room.ana))
        assert done.code == 2 and "what goes on" in done.json["error"] and done.json["hint"], done
    for given in (("--from", room.period[1]), ("--to", room.period[3]), ()):
        assert room.asked(*given, "--key", str(room.ana)).code == 2
    assert room.asked("--from", "2001-01-01", "--to", "2001-03-31").code == 2, "nothing is known of it"
    assert not room.records() and room.sign().code == 0


def test_what_is_still_at_work_makes_it_another_population(room: SignOffRoom) -> None:
    services = room.services()
    with services.state.run(services.clock) as run:
        room.wrote(room.start, "backup.start", run=run.id, trigger={"by": "command"})
        assert "at work" in refused(room)
    assert room.sign().code == 0, "it has crashed"


def test_a_ledger_that_does_not_verify_is_not_signed(room: SignOffRoom) -> None:
    (segment,) = (room.site.state / "ledger").glob("*.jsonl")
    whole = segment.read_bytes()
    segment.write_bytes(whole.replace(b'"STORED"', b'"FAILED"'))
    assert "does not verify" in refused(room)
    segment.write_bytes(whole)
    assert room.sign().code == 0


@pytest.mark.parametrize(
    ("actor", "who"),
    [
        ("ana", {}),
        ("ana as root", {}),
        ("root", {"claims": {"sudo_user": "ana"}}),
        ("CORP\\Ana", {}),
        ("apop", {}),  # as the file of signers has her, too
        ("dan", {"claims": {"sudo_user": "apop"}}),
    ],
)
@pytest.mark.parametrize("verb", ["test", "negative_control"])
def test_who_ran_a_test_by_hand_does_not_sign(room: SignOffRoom, actor: str, who: dict[str, object], verb: str) -> None:
    room.tested(actor, verb=verb, **who)
    assert "by hand" in refused(room)
    if actor != "dan":
        assert room.sign(room.dan).code == 0, "the twin: somebody else does"


def test_who_had_logged_in_ran_it(room: SignOffRoom) -> None:
    """Whoever they became then; by the kernel."""
    somebody = next(entry for entry in pwd.getpwall() if entry.pw_uid)
    signers(room.signers, {f"{somebody.pw_name}@x": room.ana, "dan@x": room.dan})
    room.tested("root", login_uid=somebody.pw_uid)
    assert "by hand" in refused(room)
    assert room.sign(room.dan).code == 0


def test_a_key_that_an_account_lets_in_is_of_its_person(room: SignOffRoom, monkeypatch: pytest.MonkeyPatch) -> None:
    """By whatever name the file of signers has them."""
    room.tested("clerk")
    (room.root / ".ssh").mkdir()
    public = room.ana.with_name("ana.pub").read_text()
    (room.root / ".ssh/authorized_keys").write_text(f"# us\nno-pty {public}")
    home = pwd.struct_passwd(("clerk", "x", 1234, 1234, "", str(room.root), "/bin/sh"))

    def known(name: str) -> pwd.struct_passwd:
        if name != "clerk":
            raise KeyError(name)
        return home

    monkeypatch.setattr(pwd, "getpwnam", known)
    services, report = room.services(), room.made()
    given = to_sign_off(report, services)
    with pytest.raises(SignatureRefused, match="by hand, as clerk"):
        sign_off(given, report, services, signed(given.text(), room.ana, NAMESPACE), room.signers)
    _, signer = sign_off(given, report, services, signed(given.text(), room.dan, NAMESPACE), room.signers)
    assert signer.name == "dan@x"


def test_what_the_schedule_ran_or_another_period_had_is_nobodys_hand(room: SignOffRoom) -> None:
    room.tested("ana", by="run")
    room.tested("ana", hours=-2)
    room.tested("ana", hours=50)
    done = room.sign()
    assert done.code == 0 and done.json["signed_off"]["tests_by_command"] == 0, done


def test_who_typed_ccdr_run_ran_what_it_ran(room: SignOffRoom) -> None:
    room.tested("ana", by="run", terminal="pts/0", started_by="terminal")
    assert "by hand" in refused(room)
    assert room.sign(room.dan).code == 0, "the twin"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_certificate_is_of_whoever_has_its_key(room: SignOffRoom, kind: str) -> None:
    """By what the file has for the key itself, and by each name that the certificate is for."""
    authority = key(room.root, "authority")
    mine = room.root / "mine"
    subprocess.run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", mine], check=True)

    def certified(names: str) -> Path:
        argv = ["ssh-keygen", "-q", "-s", authority, "-I", "x", "-n", names, mine.with_name("mine.pub")]
        subprocess.run(argv, check=True)
        return mine.with_name("mine-cert.pub")

    room.tested("apop")
    line = f"lead@x cert-authority {authority.with_name('authority.pub').read_text()}"
    plain = f"ana@x,apop {mine.with_name('mine.pub').read_text()}"
    room.signers.write_text(line + plain)
    assert "by hand" in refused(room, certified("lead@x"))
    room.signers.write_text(line)
    assert "by hand" in refused(room, certified("lead@x,apop"))
    assert room.sign(certified("lead@x")).code == 0, "the twin"
    (one,) = room.sign_offs
    argv = ["ssh-keygen", "-l", "-f", mine.with_name("mine.pub")]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    assert (one["signature"], one["key"]) == ("holds", shown.split()[1])


def test_whose_hand_was_roots_is_said_and_keeps_root_alone_from_signing(room: SignOffRoom) -> None:
    room.tested("root")
    room.tested("root", hours=3)
    room.tested("dan as root", hours=4)
    done = room.sign()
    assert done.code == 0, done
    one = done.json["signed_off"]
    assert (one["tests_by_command"], one["by_whom_not_known"]) == (3, 2)
    (record,) = room.records()
    assert record["about"]["accounts"] == {"dan": 1, "root": 2}
    assert "accounts: root 2\n" in SIGN_PERIOD.recorded(as_read(record)).text(), "who signs reads it"
    signers(room.signers, {"root@x": room.dan})
    assert "anybody who has its rights" in str(room.sign(room.dan).json["error"])


def test_a_hosts_key_signs_nothing(room: SignOffRoom, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ssh = tmp_path / "ssh"
    ssh.mkdir()
    monkeypatch.setattr("ccdr.jobs.own_keys.SSH", ssh)
    own = key(ssh, "ssh_host_ed25519_key")
    signers(room.signers, {"ana@x": own, "dan@x": room.dan})
    services, report = room.services(), room.made()
    given = to_sign_off(report, services)
    signature = signed(given.text(), own, NAMESPACE)
    for gone in ((), ("ssh_host_ed25519_key.pub",)):  # a private key tells, too
        for name in gone:
            (ssh / name).unlink()
        with pytest.raises(SignatureRefused, match="a key of this host"):
            sign_off(given, report, services, signature, room.signers)
    sign_off(given, report, services, signed(given.text(), room.dan, NAMESPACE), room.signers)


@pytest.mark.parametrize("how", ["openssh", "pkcs8"])
def test_a_key_that_lies_in_the_state_signs_nothing(room: SignOffRoom, how: str) -> None:
    keys = room.site.state / "keys"
    keys.mkdir()
    if how == "openssh":
        own = key(keys, "ledger")
        (keys / "ledger.pub").rename(room.root / "ledger.pub")
        public = (room.root / "ledger.pub").read_text()
    else:
        own = keys / "ledger"
        subprocess.run(["openssl", "genpkey", "-algorithm", "ed25519", "-out", own], check=True)
        own.chmod(0o600)
        argv = ["ssh-keygen", "-y", "-f", own]
        public = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    by = room.root / "as OpenSSH has it"
    by.write_bytes(own.read_bytes())
    by.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "", "-f", by], check=True, capture_output=True)
    own.chmod(0o644)  # ssh-keygen itself would refuse such a one
    signers(room.signers, {"ana@x": " ".join(public.split()[:2]), "dan@x": room.dan})
    assert f"a key of this host ({own})" in refused(room, by)
    assert room.sign(room.dan).code == 0, "the twin"
    own.unlink()
    assert room.sign(by).code == 0, "the twin: it lies elsewhere"


@pytest.mark.parametrize("how", ["rows", "findings", "tests", "another record", "of the future", "another period"])
def test_a_text_that_is_not_what_there_is_signs_nothing(room: SignOffRoom, how: str) -> None:
    text = room.root / "text"
    room.asked(*room.period, "--write", str(text))
    given = SIGN_PERIOD.read(text.read_text())
    changed = {
        "rows": ("rows: 1\n", "rows: 2\n"),
        "findings": (f"findings: {given.about.findings}\n", f"findings: {given.about.findings + 1}\n"),
        "tests": ("tests-by-command: 0\n", "tests-by-command: 1\n"),
        "another record": (f"head: {given.about.head}", f"head: {'0' * 64}"),
        "of the future": (f"made: {given.made:%Y}", f"made: {given.made.year + 1}"),
        "another period": (f"begins: {given.about.begins:%Y-%m-%dT%H}", f"begins: {given.about.begins:%Y-%m-%dT}02"),
    }[how]
    assert changed[0] in text.read_text()
    whole = text.read_text()
    text.write_text(whole.replace(*changed))
    text.with_name("text.sig").write_text(signed(text.read_text(), room.ana, NAMESPACE))
    done = room.asked("--signed", str(text))
    assert done.code == 2 and not room.records(), done
    text.write_text(whole)
    text.with_name("text.sig").write_text(signed(whole, room.ana, NAMESPACE))
    assert room.asked("--signed", str(text)).code == 0, "the twin"


def test_what_came_between_writing_and_signing_is_not_signed(room: SignOffRoom) -> None:
    text = room.root / "text"
    room.asked(*room.period, "--write", str(text))
    text.with_name("text.sig").write_text(signed(text.read_text(), room.ana, NAMESPACE))
    room.wrote(room.end + timedelta(hours=1), "backup.start", run="later", trigger={"by": "command"})
    assert room.asked("--signed", str(text)).code == 0, "the twin: what is of another period"
    room.backup(room.start + timedelta(hours=5))
    text = room.root / "text2"
    room.asked(*room.period, "--write", str(text))
    text.with_name("text2.sig").write_text(signed(text.read_text(), room.dan, NAMESPACE))
    room.tested("root", hours=7)
    done = room.asked("--signed", str(text))
    assert done.code == 2 and "not what this ledger says" in done.json["error"], done


def test_only_of_some_plans(room: SignOffRoom) -> None:
    done = room.sign(None, "--plan", "p")
    assert done.code == 0 and done.json["signed_off"]["plans"] == ["p"], done
    assert room.sign(None, "--plan", "nonesuch").code == 2


def test_the_list_takes_nothing_else(room: SignOffRoom) -> None:
    assert room.asked("--list").json == {"sign_offs": []} and room.asked("--list").code == 0
    assert room.asked("--list", "--from", "2026-01-01").code == 2
    with pytest.raises(UsageProblem):
        SIGN_PERIOD.read("ccdr, to be signed, format 3\nto: sign a period off\n")


def test_the_key_of_the_ledgers_checkpoints_signs_nothing(room: SignOffRoom) -> None:
    """Nor one that was replaced and is gone from here: it was the host's when it signed them."""
    assert room.site.run("ledger", "key", "create").code == 0
    (pem,) = (room.site.state / "keys/ledger").glob("*.pem")
    by = room.root / "as OpenSSH has it"
    by.write_bytes(pem.read_bytes())
    by.chmod(0o600)
    subprocess.run(["ssh-keygen", "-q", "-p", "-N", "", "-f", by], check=True, capture_output=True)
    argv = ["ssh-keygen", "-y", "-f", by]
    public = subprocess.run(argv, check=True, capture_output=True, text=True).stdout
    signers(room.signers, {"ana@x": public.strip(), "dan@x": room.dan})
    assert str(pem) in refused(room, by)
    assert room.site.run("ledger", "key", "rotate").code == 0 and not pem.exists()
    (first, _) = room.site.records("ledger.key")
    assert f"a key of this host (record {first['seq']})" in refused(room, by)
    assert room.sign(room.dan).code == 0
