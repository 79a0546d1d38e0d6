"""What a person attests is recorded by digests, holds until its day, and is STALE after."""

from __future__ import annotations

import json
import subprocess
from datetime import timedelta
from hashlib import sha256
from pathlib import Path

import pytest
from msgspec.structs import replace
from syrupy.assertion import SnapshotAssertion
from tests.support.clocks import Ticking
from tests.support.harness import Ran, Site
from tests.support.listeners import web_server
from tests.support.signed import NAMESPACE, SecurityKey, key, signed, signers
from tests.support.sparse import statement_of

from ccdr.evidence.acknowledged import exit_of
from ccdr.evidence.records.schema import schema_of
from ccdr.evidence.records.statements import DECLARE_PART
from ccdr.evidence.statements import ATTESTABLE, judge, signatures_of
from ccdr.host.clock import SystemClock
from ccdr.host.signatures import SignatureRefused
from ccdr.jobs.attesting import attest
from ccdr.jobs.statements import signer_of
from ccdr.model.errors import UsageProblem
from ccdr.run.ending import end_run
from ccdr.run.tasks import RunResult
from ccdr.telling.status import attestation_problems

WORDS = "Mrs Ionescu trained 41 agents"


class Room:
    def __init__(self, root: Path) -> None:
        self.site = Site(root)
        (root / "tree").mkdir()
        self.site.recordings(root / "tree")
        self.ana = key(root, "ana")
        self.signers = signers(root / "signers", {"ana@x": self.ana})
        self.evidence = root / "list of Mrs Ionescu.pdf"
        self.evidence.write_bytes(b"%PDF")

    def attest(self, *args: str, until: str = "365d", item: str = "staff-training", words: str = WORDS) -> Ran:
        given = ["--statement", words, "--evidence", str(self.evidence), "--until", until]
        return self.site.run("attest", item, *given, "--signers", str(self.signers), *args)

    def told(self, days: float) -> list[str]:
        """What is told of attestations when so much time has passed."""
        services = self.site.services(Ticking(SystemClock().now() + timedelta(days=days)))
        return [p.trouble.name for p in attestation_problems(services, services.histories())]

    def states(self) -> list[str]:
        return [one["state"] for one in self.site.run("attest", "--list").json["attestations"]]


@pytest.fixture
def room(tmp_path_factory: pytest.TempPathFactory) -> Room:
    return Room(tmp_path_factory.mktemp("t"))


def test_what_is_attested_holds_until_its_day_and_is_told_a_month_before(room: Room) -> None:
    assert room.site.run("attest", "--list").json["nobody_attests"] == list(ATTESTABLE)
    done = room.attest("--key", str(room.ana))
    assert done.code == 0 and done.json["attested"]["by"] == "ana@x", done
    assert room.states() == ["valid"]
    assert room.told(0) == [] and room.told(334) == []
    assert room.told(336) == ["ATTESTATION_ENDS"], "no finding yet"
    assert room.told(364) == ["ATTESTATION_ENDS"] and room.told(366) == ["ATTESTATION_STALE"]
    room.site.ledger_holds()


def test_an_empty_file_is_no_evidence(room: Room) -> None:
    room.evidence.write_bytes(b"")
    refused = room.attest("--key", str(room.ana))
    assert refused.code == 2 and "is empty" in refused.json["error"] and not room.site.records("declare.part")
    room.evidence.write_bytes(b"%PDF")
    assert room.attest("--key", str(room.ana)).code == 0


def test_only_what_is_stale_is_a_finding(room: Room) -> None:
    room.attest()
    (record,) = room.site.records("declare.part")
    newest = {"x": statement_of(record)}
    ends, stale = (list(judge(newest, SystemClock().now() + timedelta(days=days))) for days in (340, 370))
    assert exit_of(ends) == 0 and exit_of(stale) == 1 and "STALE" in stale[0].text


def test_what_holds_for_a_month_alone_is_not_told_from_its_first_day_on(room: Room) -> None:
    room.attest(item="host-patching", until="31d")
    assert room.told(0) == [] and room.told(20) == [] and room.told(25) == ["ATTESTATION_ENDS"]


def test_words_and_the_evidences_name_are_in_no_record(room: Room) -> None:
    done = room.attest("--key", str(room.ana))
    assert done.json["attested"]["statement"] == WORDS
    whole = json.dumps(room.site.records())
    assert "Ionescu" not in whole and sha256(b"%PDF").hexdigest() in whole
    assert room.evidence.read_bytes() == b"%PDF", "it stays where it is"
    for path in (room.site.state / "payloads").iterdir():
        path.unlink()
    (one,) = room.site.run("attest", "--list").json["attestations"]
    assert one["statement"] is None and one["state"] == "valid", "the words were taken back"
    room.site.ledger_holds()


def test_status_tells_what_is_stale_and_acknowledges_it(room: Room) -> None:
    """By a record that is as old as that: its clock was a year ago."""
    past = room.site.services(Ticking(SystemClock().now() - timedelta(days=40)))
    from ccdr.jobs.attesting import attest, to_attest

    until = past.clock.now() + timedelta(days=20)
    attest(to_attest("siem", None, "looked at", [room.evidence], until, past), past, None, room.signers)
    status = room.site.run("status")
    assert [t["code"] for t in status.json["attestations"]] == ["ATTESTATION_STALE"]
    assert room.states() == ["STALE"] and room.site.run("attest", "--list").code == 1
    done = room.site.run("ack", "ATTESTATION_STALE", "--until", "7d", "--why", "the auditor comes on Monday")
    assert done.code == 0, done
    (told,) = room.site.run("status").json["attestations"]
    assert told["acknowledged"] is True and room.states() == ["STALE"]


def test_a_plans_people_get_a_message_before_it_ends_and_once_it_is_stale(room: Room) -> None:
    room.attest()
    with web_server() as web:
        room.site.write("plans/urls", f"{web.url()}\n", mode=0o600)
        path = room.site.root / "plans/p.yaml"
        path.write_text(path.read_text().replace("assets:", "notify: {urls_file: urls}\nassets:", 1))
        said = []
        for days in (300, 340, 370):
            services = room.site.services(Ticking(SystemClock().now() + timedelta(days=days)))
            telling = end_run([room.site.loaded()], services, RunResult(), seconds=1.0).telling
            assert telling is not None and telling.sent
            said.append("".join(message.body for message in telling.sent))
    assert "attestation" not in said[0], "the twin: it holds"
    assert "staff-training" in said[1] and "holds until" in said[1] and "STALE" not in said[1]
    assert "it is STALE" in said[2] and "ccdr attest staff-training" in said[2]


def test_a_newer_one_takes_its_place_and_each_scope_stands_for_itself(room: Room) -> None:
    room.attest("--of", "db1", item="disk-encryption", until="30d")
    room.attest("--of", "db2", item="disk-encryption", until="366d")
    assert room.told(40) == ["ATTESTATION_STALE"]
    room.attest("--of", "db1", item="disk-encryption", until="366d")
    assert room.told(40) == [] and room.states() == ["valid", "valid"]
    done = room.site.run("attest", "disk-encryption", "--of", "db1", "--end", "--statement", "it is gone")
    assert done.code == 0 and room.states() == ["valid"]
    assert room.told(400) == ["ATTESTATION_STALE"], "what was ended is not stale"


def test_what_was_signed_elsewhere_is_taken_by_a_security_key(room: Room) -> None:
    device, text = SecurityKey(), room.site.root / "text"
    signers(room.signers, {"dan@x": device.public})
    assert room.attest("--write", str(text)).code == 0
    made = device.signed(text.read_text(), namespace="ccdr-attestation")
    text.with_name("text.sig").write_text(made)
    done = room.site.run("attest", "--signed", str(text), "--signers", str(room.signers))
    assert done.code == 0 and done.json["attested"]["user_verified"] is True
    assert done.json["attested"]["statement"] == WORDS


@pytest.mark.parametrize(
    "how", ["not who may", "for approvals", "changed", "nobody's file", "too long", "past", "no item", "no evidence"]
)
def test_what_is_not_as_it_should_be_attests_nothing(room: Room, how: str) -> None:
    text = room.site.root / "text"
    extra: tuple[str, ...] = ()
    if how in ("not who may", "for approvals", "changed"):
        room.attest("--write", str(text))
        by = key(room.site.root, "mallory") if how == "not who may" else room.ana
        space = NAMESPACE if how == "for approvals" else "ccdr-attestation"
        text.with_name("text.sig").write_text(signed(text.read_text(), by, space))
        if how == "changed":
            text.write_text(text.read_text().replace("staff-training", "siem"))
        done = room.site.run("attest", "--signed", str(text), "--signers", str(room.signers))
    elif how == "nobody's file":
        room.signers.chmod(0o666)
        done = room.attest("--key", str(room.ana))
    elif how == "no evidence":
        room.evidence.unlink()
        done = room.attest(*extra)
    else:
        until = {"too long": "367d", "past": "2020-01-01"}.get(how, "30d")
        done = room.attest(until=until, item="no-such-thing" if how == "no item" else "siem")
    assert (done.code == 2 and done.json["hint"] is not None) or how == "no evidence", done
    assert done.code == 2 and room.site.records("declare.part") == []


@pytest.mark.parametrize(("item", "until"), [("host-patching", "31d"), ("joiners-leavers", "92d"), ("siem", "366d")])
def test_what_is_suggested_would_be_taken(room: Room, item: str, until: str, wording: SnapshotAssertion) -> None:
    done = room.site.run("attest", item)
    assert done.code == 2 and done.json["hint"].endswith(f"--until {until}"), done
    measures = room.site.run("controls").json["measures"]
    steps = {one["next_step"] for m in measures for p in m["parts"] if p["id"] == item for one in p["observed"]}
    assert [step.replace(item, "ITEM").replace(str(until), "UNTIL") for step in steps] == wording
    assert room.attest(item=item, until=until).code == 0


def test_a_record_alone_has_signed_nothing(room: Room) -> None:
    room.attest("--key", str(room.ana))
    (record,) = room.site.records("declare.part")
    own, who_may, host = statement_of(record), room.signers.read_text(), room.site.services().host
    (made,), (other,) = signatures_of(own), signatures_of(statement_of(record, files=["0" * 64]))
    assert signer_of(made, own, who_may, host).name == "ana@x"
    with pytest.raises(SignatureRefused):
        signer_of(other, own, who_may, host)


def test_what_was_ended_or_attested_anew_does_not_hold_again_by_the_old_signature(room: Room) -> None:
    """It lies in the ledger, and the text can be had again from its record."""
    text = room.site.root / "text"
    room.attest("--write", str(text))
    text.with_name("text.sig").write_text(signed(text.read_text(), room.ana, "ccdr-attestation"))
    taken = ("attest", "--signed", str(text), "--signers", str(room.signers))
    assert room.site.run(*taken).code == 0
    for _ in range(2):
        done = room.site.run(*taken)
        assert done.code == 2 and "before what is recorded" in done.json["error"], done
        assert room.site.run("attest", "staff-training", "--end", "--statement", "it was not so").code == 0
        assert room.states() == []
        assert room.attest().code == 0, "the twin: it is attested anew"
    made = DECLARE_PART.read(text.read_text())
    services = room.site.services(Ticking(made.made + timedelta(days=1)))
    given = replace(made, made=made.made - timedelta(hours=1), nonce="0" * 32)
    with pytest.raises(UsageProblem, match="before what is recorded"):
        attest(given, services, None, room.signers)


def test_every_item_that_there_is_may_be_recorded() -> None:
    assert set(schema_of("statement")["$defs"]["MeasurePart"]["properties"]["item"]["enum"]) == set(ATTESTABLE)
    page = (Path(__file__).parents[3] / "docs/how-to/attest.md").read_text("utf-8")
    for item, of in ATTESTABLE.items():
        assert f"| `{item}` | {of.what} | {of.measure} | {of.longest.days} days |" in page, item


def test_openssh_itself_verifies_what_was_recorded(room: Room) -> None:
    """As an auditor does: from the record's values and the file of signers."""
    room.attest("--key", str(room.ana))
    (record,) = room.site.records("declare.part")
    sig = room.site.root / "sig"
    sig.write_text(record["by"]["signature"])
    argv = ["ssh-keygen", "-Y", "verify", "-f", room.signers, "-I", "ana@x", "-n", "ccdr-attestation", "-s", sig]
    subprocess.run(
        argv, input=DECLARE_PART.recorded(statement_of(record)).text(), text=True, check=True, capture_output=True
    )


def test_a_report_that_was_attested_is_no_newer_penetration_test(room: Room) -> None:
    """The same file, a year later, shows none of this year."""
    item = "penetration-test"
    assert room.attest("--key", str(room.ana), item=item, until="200d").code == 0
    refused = room.attest("--key", str(room.ana), item=item, until="300d")
    assert refused.code == 2 and "was attested already" in refused.json["error"], refused
    assert room.attest("--key", str(room.ana), item=item, until="100d").code == 0, "it may hold for less"
    refused = room.attest("--key", str(room.ana), item=item, until="200d")
    assert refused.code == 2, "of the last one"
    room.evidence.write_bytes(b"%PDF of this year")
    assert room.attest("--key", str(room.ana), item=item, until="300d").code == 0
    room.evidence.write_bytes(b"%PDF")
    assert room.attest("--key", str(room.ana), until="100d").code == 0
    assert room.attest("--key", str(room.ana), until="300d").code == 0, "the twin: a policy is the same as last year"


def named(room: Room, extra: str) -> None:
    """The plan anew, with this beside it."""
    plan = room.site.root / "plans/p.yaml"
    kept = [line for line in plan.read_text().splitlines() if not line.startswith(("approval:", "declarations:"))]
    plan.write_text("\n".join(kept).replace("assets:", f"{extra}assets:", 1) + "\n")


def part(room: Room, item: str) -> dict[str, object]:
    measures = room.site.run("controls").json["measures"]
    (found,) = [one for measure in measures for one in measure["parts"] if one["id"] == item]
    return dict(found)


def test_whom_the_plan_does_not_name_states_nothing(room: Room) -> None:
    """Not by their key, nor by a record that somebody wrote into the ledger."""
    ion = key(room.site.root, "ion")
    signers(room.signers, {"ana@x": room.ana, "ion@x": ion})
    assert room.attest("--key", str(ion)).code == 0 and part(room, "staff-training")["state"] == "stated"
    named(room, "declarations: {staff-training: [ana@x]}\n")
    seen = part(room, "staff-training")
    assert seen["state"] == "nothing" and "the plans name ana@x" in str(seen["observed"]), seen
    for by in (("--key", str(ion)), ()):
        refused = room.attest(*by)
        assert refused.code == 2 and "the plans name ana@x" in refused.json["error"], refused
    assert len(room.site.records("declare.part")) == 1
    assert room.attest("--key", str(room.ana)).code == 0, "the twin"
    assert part(room, "staff-training")["state"] == "stated"
    assert room.attest("--key", str(ion), item="siem").code == 0, "of that item it names nobody"


def test_where_a_plan_is_to_be_approved_its_own_signers_state(room: Room) -> None:
    """Neither nobody's word, nor that of who stands in another file."""
    ion = key(room.site.root, "ion")
    others = signers(room.site.root / "others", {"ion@x": ion})
    assert room.attest().code == 0, "the twin: unsigned is taken where nobody is to approve"
    named(room, f"approval: {{signers: {room.signers}}}\n")
    refused = [
        room.attest(),
        room.attest("--key", str(ion)),
        room.attest("--key", str(ion), "--signers", str(others)),
    ]
    assert [one.code for one in refused] == [2, 2, 2] and len(room.site.records("declare.part")) == 1, refused
    assert room.attest("--key", str(room.ana)).code == 0
    assert part(room, "staff-training")["observed"][0]["stated"]["signature"] == "verified"  # type: ignore[index]
    broken = room.site.root / "plans/q.yaml"
    broken.write_text("plan: q\n")
    assert room.attest("--key", str(room.ana)).code == 2, "whom it names is not known"


def test_a_plan_names_only_items_that_there_are(room: Room) -> None:
    named(room, "declarations: {staff-trainings: [ana@x]}\n")
    assert room.site.run("plan", "check").code == 2
    for nobody in ("[]", "[whoever has looked]"):
        named(room, f"declarations: {{staff-training: {nobody}}}\n")
        assert room.site.run("plan", "check").code == 2


def test_each_file_is_held_by_its_digest_and_signed(room: Room) -> None:
    """Left out of a record afterwards, or swapped, it is not what was signed."""
    more = room.site.write("more.txt", "more")
    done = room.attest("--key", str(room.ana), "--evidence", str(more), "--evidence", str(more))
    digests = [sha256(b"%PDF").hexdigest(), sha256(b"more").hexdigest()]
    assert done.code == 0 and done.json["attested"]["files"] == digests, done
    (record,) = room.site.records("declare.part")
    text = DECLARE_PART.recorded(statement_of(record)).text()
    assert record["files"] == digests and all(one in text for one in digests)
    assert DECLARE_PART.read(text).files == tuple(digests)
    signed_by, host = room.signers.read_text(), room.site.services().host
    own = statement_of(record)
    assert signer_of(signatures_of(own)[0], own, signed_by, host).name == "ana@x"
    for changed in (digests[:1], digests[::-1], [digests[0], "0" * 64]):
        other = statement_of(record, files=changed)
        with pytest.raises(SignatureRefused):
            signer_of(signatures_of(other)[0], other, signed_by, host)
    room.site.write("empty", "")
    assert room.attest("--key", str(room.ana), "--evidence", str(room.site.root / "empty")).code == 2
    assert len(room.site.records("declare.part")) == 1


def test_one_file_for_several_parts_is_told(room: Room) -> None:
    """Nineteen by the same two bytes do not pass for evidence."""
    alone = room.attest(item="siem")
    assert alone.json["attested"]["same_files"] == [] and "stands for" not in str(part(room, "siem"))
    assert room.attest(item="firewall-ids").json["attested"]["same_files"] == ["siem"]
    room.evidence.write_bytes(b"another")
    assert room.attest(item="password-policy").json["attested"]["same_files"] == [], "the twin"
    listed = {one["item"]: one["same_files"] for one in room.site.run("attest", "--list").json["attestations"]}
    assert listed == {"siem": ["firewall-ids"], "firewall-ids": ["siem"], "password-policy": []}
    seen = str(part(room, "siem")["observed"])
    assert "by a file that stands for firewall-ids, too" in seen and part(room, "siem")["state"] == "stated"
    page, _ = room.site.start("report").communicate()
    assert "by a file that stands for firewall-ids, too" in page
