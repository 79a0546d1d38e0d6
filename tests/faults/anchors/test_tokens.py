"""A time-stamping authority's token: what proves a ledger by it, and what does not."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.support.tsa import Authority

from ccdr.evidence.checkpoints.timestamps import NotVerified, certificates_of, over, verified

from .conftest import Anchored


def token_of(anchored: Anchored) -> Path:
    (only,) = anchored.receipts.glob("*.tsr")
    return only


def test_a_checkpoint_is_anchored_and_openssl_verifies_the_token(anchored: Anchored) -> None:
    done = anchored.checkpoint()
    assert done.code == 0, done
    (outcome,) = done.json["anchors"]
    assert outcome["name"] == "tsa" and outcome["why"] is None and outcome["records"] == done.json["records"]
    assert anchored.tsa.authority.verifies(token_of(anchored), Path(done.json["path"]))
    assert anchored.kinds() == ["ledger.begin", "ledger.key", "ledger.anchors", "ledger.anchored"]
    anchored.site.ledger_holds()


def test_by_pin_and_certificate_it_is_verified_and_by_neither_it_is_not(anchored: Anchored) -> None:
    size = anchored.checkpoint().json["records"]
    anchored.works()
    done = anchored.site.run("ledger", "verify", "--pin", anchored.pin, "--tsa", str(anchored.tsa.authority.ca))
    assert (done.code, done.json["says"]) == (0, "verified")
    assert done.json["boundary"]["record"] == size and done.json["boundary"]["anchored"]
    assert anchored.verify() == (3, "internally consistent", [])  # anchors are configured: it is held to them
    assert anchored.verify("--pin", anchored.pin) == (3, "internally consistent", [])
    assert anchored.verify("--tsa", str(anchored.tsa.authority.ca)) == (3, "internally consistent", [])


def test_without_anchors_the_live_ledger_is_held_to_none(anchored: Anchored) -> None:
    anchored.configured()
    assert anchored.checkpoint().code == 0
    assert anchored.verify() == (0, "internally consistent", [])


def test_another_authority_s_certificate_proves_nothing(
    anchored: Anchored, authorities: tuple[Authority, Authority]
) -> None:
    assert anchored.checkpoint().code == 0
    assert anchored.by_tsa_and_pin(authorities[1].ca) == (3, "internally consistent", [])


def test_a_token_of_another_authority_is_not_kept(anchored: Anchored, authorities: tuple[Authority, Authority]) -> None:
    anchored.tsa.answer = authorities[1].answer
    done = anchored.checkpoint()
    assert done.code == 3 and "no certificate that was given" in done.json["anchors"][0]["why"]
    assert not list(anchored.receipts.glob("*.tsr")) and "ledger.anchored" not in anchored.kinds()
    anchored.tsa.answer = None
    assert anchored.checkpoint().code == 0 and anchored.by_tsa_and_pin()[:2] == (0, "verified")


def test_a_token_over_another_checkpoint_is_not_kept(anchored: Anchored) -> None:
    anchored.tsa.answer = lambda _: anchored.tsa.authority.token(b"another\n")
    done = anchored.checkpoint()
    assert done.code == 3 and "over something else" in done.json["anchors"][0]["why"]
    assert not list(anchored.receipts.glob("*.tsr"))


def test_an_answer_to_another_question_is_not_kept(anchored: Anchored) -> None:
    """Over the same checkpoint, from earlier: its random number is another."""
    newest = anchored.checkpoint("--no-anchors")
    anchored.tsa.answer = lambda _: anchored.tsa.authority.token(Path(newest.json["path"]).read_bytes())
    anchored.configured(anchored.by_tsa())
    made = anchored.checkpoint()
    anchored.tsa.answer = lambda _: anchored.tsa.authority.token(Path(made.json["path"]).read_bytes())
    done = anchored.checkpoint()
    assert done.code == 3 and "random number" in done.json["anchors"][0]["why"]


def test_a_token_whose_certificate_had_expired_is_not_kept(anchored: Anchored) -> None:
    anchored.tsa.authority.certified("-not_before", "20200101000000Z", "-not_after", "20210101000000Z")
    done = anchored.checkpoint()
    assert done.code == 3 and not list(anchored.receipts.glob("*.tsr")), done


def test_a_token_that_was_moved_to_another_checkpoint_is_found(anchored: Anchored) -> None:
    assert anchored.checkpoint().code == 0
    first = token_of(anchored)
    anchored.works()
    second = anchored.checkpoint("--no-anchors").json["records"]
    (anchored.receipts / f"{second:012}.tsa.tsr").write_bytes(first.read_bytes())
    assert anchored.by_tsa_and_pin()[2] == ["ANCHOR_WRONG"]
    (anchored.receipts / f"{second:012}.tsa.tsr").unlink()
    assert anchored.by_tsa_and_pin() == (0, "verified", [])


def test_an_altered_token_and_one_that_is_gone_are_found(anchored: Anchored) -> None:
    assert anchored.checkpoint().code == 0
    token = token_of(anchored)
    whole = token.read_bytes()
    token.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert anchored.by_tsa_and_pin() == (1, None, ["ANCHOR_MISSING"])
    token.write_bytes(b"no token")
    assert set(anchored.verify()[2]) == {"ANCHOR_MISSING", "ANCHOR_WRONG"}
    token.unlink()
    assert anchored.verify() == (1, None, ["ANCHOR_MISSING"])
    token.write_bytes(whole)
    assert anchored.by_tsa_and_pin() == (0, "verified", [])


def test_whoever_signs_anew_by_the_host_s_key_is_found_by_the_token(anchored: Anchored) -> None:
    """Root on the host has the key: not the authority's."""

    from ccdr.jobs.checkpoints.creation import make

    assert anchored.checkpoint().code == 0
    before = token_of(anchored)
    kept, number = before.read_bytes(), before.name
    segment = next((anchored.site.state / "ledger").glob("*.jsonl"))
    lines = segment.read_bytes().splitlines(keepends=True)
    segment.write_bytes(b"".join(lines[:-2]))
    shutil.rmtree(anchored.receipts.parent)
    for name in ("chain.json", "verified.json"):
        (anchored.site.state / name).unlink(missing_ok=True)
    anchored.works()
    make(anchored.site.services())
    assert anchored.by_tsa_and_pin()[0] == 3  # nothing is there that proves it
    (anchored.receipts).mkdir()
    (anchored.receipts / number).write_bytes(kept)
    assert anchored.by_tsa_and_pin()[0] == 1


def copied(anchored: Anchored, to: Path, *, receipts: bool = True) -> Path:
    """What an auditor gets: lines, id, checkpoints and receipts."""
    shutil.copytree(anchored.site.state / "ledger", to)
    if receipts:
        shutil.copytree(anchored.receipts.parent, to / "checkpoints")
    return to


def test_a_copy_is_verified_by_a_token_without_any_plan(anchored: Anchored, tmp_path: Path) -> None:
    assert anchored.checkpoint().code == 0
    copy = copied(anchored, tmp_path / "copy")
    brought = ("--pin", anchored.pin, "--tsa", str(anchored.tsa.authority.ca))
    assert anchored.verify(str(copy), *brought) == (0, "verified", [])
    (copy / "checkpoints" / "anchors" / token_of(anchored).name).unlink()
    assert anchored.verify(str(copy), *brought) == (1, None, ["ANCHOR_MISSING"])
    bare = copied(anchored, tmp_path / "bare", receipts=False)
    done = anchored.site.run("ledger", "verify", str(bare), *brought)
    assert done.code == 3 and "no receipt lies with this copy" in " ".join(done.json["notes"])


def test_of_the_live_ledger_all_receipts_gone_is_a_finding(anchored: Anchored) -> None:
    assert anchored.checkpoint().code == 0
    shutil.rmtree(anchored.receipts.parent)
    assert anchored.verify()[2] == ["ANCHOR_MISSING"]


def test_the_answer_says_since_when_by_the_first_and_the_newest(anchored: Anchored) -> None:
    """A ledger that was written anew has no anchor from before: that shows in the first one's time."""
    first = anchored.checkpoint().json["records"]
    anchored.works()
    newest = anchored.checkpoint().json["records"]
    done = anchored.site.run("ledger", "verify", "--pin", anchored.pin, "--tsa", str(anchored.tsa.authority.ca))
    boundary = done.json["boundary"]
    assert (boundary["first_record"], boundary["record"]) == (first, newest)
    assert boundary["first_anchored"] <= boundary["anchored"]


@pytest.mark.parametrize(
    "contents", [b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"]
)
def test_what_is_no_certificate_is_refused(anchored: Anchored, tmp_path: Path, contents: bytes) -> None:
    (tmp_path / "x.pem").write_bytes(contents)
    done = anchored.site.run("ledger", "verify", "--tsa", str(tmp_path / "x.pem"))
    assert done.code == 2 and "no certificate in PEM" in done.stderr


def forged_by_a_server_certificate(authority: Authority, data: bytes, *, beside: bool) -> bytes:
    """A token by the key of a web server that the same CA has certified; `beside`: with a certificate of the forger's
    own, of the same issuer's name and number, that is for time-stamping."""
    at = authority.at
    (at / "tls.cnf").write_text("[tls]\nkeyUsage = critical,digitalSignature\nextendedKeyUsage = serverAuth\n")
    new = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-config", "ts.cnf")
    authority.openssl(*new, "-subj", "/CN=www", "-keyout", "tls.key", "-out", "tls.csr")
    signed = ("x509", "-req", "-in", "tls.csr", "-set_serial", "99", "-days", "9")
    authority.openssl(
        *signed, "-CA", "ca.pem", "-CAkey", "ca.key", "-extfile", "tls.cnf", "-extensions", "tls", "-out", "tls.pem"
    )
    authority.openssl(*new, "-x509", "-days", "9", "-extensions", "v3_ca", "-keyout", "own.key", "-out", "own.pem")
    authority.openssl(
        *signed, "-CA", "own.pem", "-CAkey", "own.key", "-extfile", "ts.cnf", "-extensions", "v3_tsa", "-out", "f.pem"
    )
    (at / "true.tsr").write_bytes(authority.token(data))
    authority.openssl("ts", "-reply", "-in", "true.tsr", "-token_out", "-out", "true.tok")
    authority.openssl("cms", "-verify", "-noverify", "-inform", "DER", "-in", "true.tok", "-out", "tst.der")
    more = ("-certfile", "f.pem") if beside else ()
    authority.openssl(
        "cms", "-sign", "-cades", "-in", "tst.der", "-binary", "-nodetach", "-outform", "DER", "-md", "sha256",
        "-econtent_type", "1.2.840.113549.1.9.16.1.4", "-signer", "tls.pem", "-inkey", "tls.key", *more,
        "-out", "forged.cms",
    )  # fmt: skip
    body = bytes.fromhex("3003020100") + (at / "forged.cms").read_bytes()
    return b"\x30\x82" + len(body).to_bytes(2, "big") + body


@pytest.mark.parametrize("beside", [False, True])
def test_a_token_by_a_server_s_certificate_of_the_same_ca_proves_nothing(anchored: Anchored, *, beside: bool) -> None:
    authority = anchored.tsa.authority
    certificates = certificates_of(authority.ca.read_bytes())
    assert verified(authority.token(b"data\n"), b"data\n", certificates), "the healthy twin"
    forged = forged_by_a_server_certificate(authority, b"data\n", beside=beside)
    over(forged, b"data\n")  # it is a token over that
    with pytest.raises(NotVerified):
        verified(forged, b"data\n", certificates)
