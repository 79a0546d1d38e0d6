"""`ccdr ledger export DIR`: all of the ledger, as a bag that verifies anywhere."""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys

import pytest
from tests.support.packages import Exporting, made
from tests.support.recorded import test
from tests.support.small_disk import NO_BYTECODE

from ccdr.jobs.checkpoints.creation import make


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
    results = {}
    for path in (exporting.package / "data/tests").iterdir():
        body = json.loads(path.read_text())
        statement = json.loads(base64.b64decode(body["payload"]))
        assert statement["predicateType"] == "https://in-toto.io/attestation/test-result/v0.1"
        results[path.name] = statement["predicate"]["result"]
    assert results == {"t1.dsse.json": "PASSED", "t2.dsse.json": "FAILED"}


def test_the_files_of_plans_that_lie_there_now_change_nothing(exporting: Exporting) -> None:
    (exporting.root / "none").mkdir()
    assert exporting.export("--plans", str(exporting.root / "none")).code == 0
    assert json.loads((exporting.package / "data/report.json").read_bytes())["plans"][0]["owner"] == "ops@example.test"
    assert exporting.by_pin() == (0, "verified", [])


def test_a_verifier_needs_no_plans_no_state_and_no_modules_of_what_it_does_not_do(exporting: Exporting) -> None:
    exporting.export()
    nowhere = exporting.root / "nowhere"
    nowhere.mkdir()
    code = (
        "import sys\n"
        "from ccdr.cli import main\n"
        "sys.argv = ['ccdr', 'ledger', 'verify', *sys.argv[1:]]\n"
        "try:\n    main()\n"
        "finally:\n"
        "    print([one for one in ('docker', 'boto3', 'botocore', 'apprise') if one in sys.modules])\n"
    )
    words = [str(exporting.package), "--pin", exporting.pin, "--anchor", str(exporting.anchor)]
    done = subprocess.run(
        [sys.executable, "-c", code, *words], cwd=nowhere, capture_output=True, text=True,
        env={"HOME": str(nowhere), "PATH": "", "XDG_STATE_HOME": str(nowhere / "state")},
    )  # fmt: skip
    assert done.returncode == 0 and done.stdout.splitlines()[-1] == "[]", done
    assert list(nowhere.iterdir()) == [], "it makes no state directory"


def test_a_disk_that_is_full_leaves_nothing_half_written(exporting: Exporting) -> None:
    limited = [
        "bash", "-c", 'ulimit -f 8; trap "" XFSZ; exec "$@"', "-", sys.executable, "-m", "ccdr", "--state",
        str(exporting.world.site.state), "--plans", str(exporting.world.site.root / "plans"),
        "ledger", "export", str(exporting.package),
    ]  # fmt: skip
    done = subprocess.run(limited, capture_output=True, text=True, env={**os.environ, **NO_BYTECODE})
    assert done.returncode == 3 and "cannot be written" in done.stderr, done
    assert not [path for path in exporting.root.iterdir() if "package" in path.name]


def test_a_package_of_another_host_is_collected(exporting: Exporting) -> None:
    exporting.export()
    (exporting.root / "central").mkdir()
    central = made(exporting.root / "central")
    done = central.world.site.run("ledger", "collect", str(exporting.package))
    assert done.code == 0, done
    whole = central.export()
    assert len(whole.json["ledgers"]) == 2, whole
    assert central.verify() == (3, "internally consistent", [])
    central.anchor.write_bytes(make(central.services).checkpoint.contents)
    assert central.by_pin() == (0, "verified", []), "our anchored record vouches for how it was taken in"
    (exporting.package / "data/LIMITS.txt").write_text("none")
    assert central.world.site.run("ledger", "collect", str(exporting.package)).code == 1
    exporting.export("--plan", "p", to=exporting.root / "part")
    assert central.world.site.run("ledger", "collect", str(exporting.root / "part")).code == 2


def test_two_tests_of_one_run_have_a_statement_each(exporting: Exporting) -> None:
    """Else whoever writes a second one, that passed, hides the first."""
    test(exporting.world.ledger, "t2", "recordings-b3", "PASS", "recordings")
    exporting.export()
    results = {}
    for path in (exporting.package / "data/tests").iterdir():
        payload = json.loads(base64.b64decode(json.loads(path.read_text())["payload"]))
        of = payload["subject"][0]["annotations"]["record"]
        results[path.name.replace(f".{of}.", ".N.")] = payload["predicate"]["result"]
    assert results == {"t1.dsse.json": "PASSED", "t2.dsse.json": "FAILED", "t2.N.dsse.json": "PASSED"}
    assert exporting.verify() == (3, "internally consistent", [])


@pytest.mark.parametrize("option", ["--pin", "--anchor"])
def test_what_lies_in_the_package_vouches_for_nothing_there(exporting: Exporting, option: str) -> None:
    exporting.export()
    inside = exporting.package / "data/mine"
    inside.write_bytes(exporting.pin.encode() if option == "--pin" else exporting.anchor.read_bytes())
    with_it = ["--pin", exporting.pin, "--anchor", str(exporting.anchor), option]
    done = exporting.world.site.run("ledger", "verify", str(exporting.package), *with_it, str(inside))
    assert done.code == 2 and "vouches for nothing" in done.json["error"], done
