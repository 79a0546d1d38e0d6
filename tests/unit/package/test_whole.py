"""`ccdr ledger export DIR`: all of the ledger, as a bag that verifies anywhere."""

from __future__ import annotations

import json
import subprocess

from tests.support.packages import Exporting


def test_a_package_of_all_of_it_is_verified_by_pin_and_anchor(exporting: Exporting) -> None:
    done = exporting.export()
    assert done.code == 0, done
    assert done.json["records"] == done.json["shown"] and done.json["statements"] == 2
    assert exporting.verify() == (3, "internally consistent", [])
    assert exporting.verify("--pin", exporting.pin) == (3, "internally consistent", [])
    assert exporting.by_pin() == (0, "verified", [])


def test_sha256sum_finds_every_file_as_it_was_written(exporting: Exporting) -> None:
    exporting.export()
    for manifest in ("tagmanifest-sha256.txt", "manifest-sha256.txt"):
        done = subprocess.run(
            ["sha256sum", "--check", "--quiet", "--strict", manifest], cwd=exporting.package, capture_output=True
        )
        assert done.returncode == 0, done
    listed = (exporting.package / "manifest-sha256.txt").read_text()
    for name in ("population.csv", "report.html", "report.json", "controls.json", "LIMITS.txt", "README.txt"):
        assert f"  data/{name}\n" in listed


def test_it_ends_with_a_checkpoint(exporting: Exporting) -> None:
    exporting.noted()
    done = exporting.export()
    name = f"{done.json['records']:012}.txt"
    assert list(exporting.package.glob(f"data/checkpoints/*/{name}"))


def test_statements_are_of_tests_that_passed_or_failed(exporting: Exporting) -> None:
    exporting.export()
    import base64

    results = {}
    for path in (exporting.package / "data/tests").iterdir():
        body = json.loads(path.read_text())
        statement = json.loads(base64.b64decode(body["payload"]))
        assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
        results[path.name] = statement["predicate"]["result"]
    assert results == {"t1.dsse.json": "PASSED", "t2.dsse.json": "FAILED"}
