"""A host that is the same each time: its clock, name, account, keys and random numbers. What makes it so is put in place
for good: for a process of its own."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import count
from pathlib import Path
from typing import Any

from click.testing import CliRunner
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

import ccdr
from ccdr import cli, wiring
from ccdr.evidence.checkpoints.checkpoint import TOLD
from ccdr.evidence.checkpoints.names import ANCHORS
from ccdr.evidence.checkpoints.receipts import name_of, noted
from ccdr.evidence.ledger import ledger
from ccdr.evidence.lineage.own_records import ANCHORED
from ccdr.evidence.records.statements import SIGN_PERIOD, STATEMENT
from ccdr.host import who
from ccdr.host.clock import SystemClock
from ccdr.host.state import State
from ccdr.jobs.checkpoints import creation as signing_keys
from ccdr.jobs.checkpoints.creation import make
from ccdr.jobs.checkpoints.store import directory_of
from ccdr.jobs.in_force import record
from ccdr.jobs.pausing import pause
from ccdr.jobs.services import Services
from ccdr.model.values import FileDigest, Manifest, rfc3339, source_digest
from ccdr.setup import migrate
from ccdr.storage.manifest import manifest_text, snapshot_of
from ccdr.telling import metrics
from ccdr.telling.copies import CopiedAsset, CopyStatus, CopyTest
from ccdr.telling.report import Period, build, make_report
from ccdr.telling.signing_off import to_sign_off
from ccdr.telling.status import status
from tests.support.clocks import Clock
from tests.support.harness import Site
from tests.support.manifests import SAID
from tests.support.records import body_of, record_in, record_kind
from tests.support.signed import SecurityKey

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
VERSION, TENANT = "1.0.0", "acme"
TREE = Path("/srv/recordings")
REPOSITORY = "{url: 's3:https://s3.example/bucket/p', password_file: key, lock: {keep: 35d, env_file: verify.env}}"
MORE = f"""\
tenant: {TENANT}
copies: {{offsite: {{url: 'sftp:backup@far:/srv/p', password_file: far.key, site: Cluj, schedule: "0 4 * * *"}}}}
notify: {{urls_file: urls}}
access: {{verify: {{env_file: verify.env}}}}
runbook: {{start: {{kind: command, argv: ['false']}}, well: {{kind: confirm, question: well?}}}}
assets:"""


def random() -> Iterator[bytes]:
    """32 bytes, others each time."""
    return (sha256(b"%d" % number).digest() for number in count())


def fix() -> None:
    """From here on this process is on that host."""
    os.environ |= {"TZ": "UTC", "HOME": "/root"}
    os.environ.pop("SUDO_USER", None)
    sys.argv = ["ccdr"]
    os.sync, os.fsync = lambda: None, lambda _: None
    socket.gethostname = lambda: "db1"
    wiring.opened = lambda _, clock: migrate.opened(Path("state"), clock)  # a path that is told is the same anywhere
    build.default_state = lambda: Path("state")  # which is not told then
    ledger.whoami = lambda: "alice"
    State.id = property(lambda _: "0123456789ab")
    who.who_is = lambda *_: who.Who(1000, 1000, "pts/0", who.TERMINAL, None)
    for module in [one for name, one in sys.modules.items() if name.split(".")[0] == "ccdr"]:
        if getattr(module, "__version__", None) == ccdr.__version__ and module is not ccdr:
            module.__version__ = VERSION
    ccdr.__version__ = VERSION


class Lived:
    """A plan of one asset, two backups, and two restore tests, of which the first is FAIL."""

    def __init__(self, root: Path, clock: Clock) -> None:
        os.chdir(root)
        numbers, keys = random(), random()
        wiring.SystemClock = lambda: clock
        SystemClock.now = lambda _: clock.now()
        secrets.token_hex = lambda size=32: next(numbers)[:size].hex()
        Ed25519PrivateKey.generate = lambda: Ed25519PrivateKey.from_private_bytes(next(keys))
        self.clock, self.site = clock, Site(Path())
        self.site.recordings(TREE, repository=REPOSITORY)
        plan = Path("plans/p.yaml")
        plan.write_text(plan.read_text().replace("assets:", MORE, 1))
        for name, text in (
            ("far.key", "correct horse battery"),
            ("urls", "json://127.0.0.1:1/"),
            ("verify.env", "AWS_ACCESS_KEY_ID=x"),
        ):
            self.site.write(f"plans/{name}", f"{text}\n", mode=0o600)
        self.services: Services = self.site.services(clock)
        clock.at = NOW - timedelta(days=2)
        record(self.site.loaded(), self.services)
        for number, verdict in enumerate(("FAIL", "PASS"), 1):
            clock.on(hours=20)
            self._backed_up(number)
            self.tested(f"t{number}", number, verdict)

    def add(self, kind: str, run: str | None = None, *, asset: str | None = "recordings", **body: Any) -> None:
        """With what it cannot do without, and with these keys; a mapping's other keys have a value each."""
        self.clock.on(seconds=10)
        full, spare = body_of(kind), body_of(kind, full=False)
        more = {key: full[key] | value if isinstance(value, dict) else value for key, value in body.items()}
        whole = spare | more | ({"tenant": TENANT} if "tenant" in full else {})
        record_in(self.services.ledger, record_kind(kind), plan="p", asset=asset, run=run, body=whole)

    def _backed_up(self, number: int) -> None:
        self.add("backup.start", f"b{number}")
        at, run, files = self.clock.at, f"b{number}", {"files.jsonl": FileDigest(1, "a" * 64)}
        known = {"source": str(TREE)}
        manifest = Manifest("p", "recordings", run, "files", "scan", "db1", at, 0.0, {}, known, files, attested=SAID)
        text = manifest_text(manifest)
        stored = snapshot_of(manifest, text, f"{number:064x}", "/r", at)
        self.services.catalogue.add(stored, text)
        snapshot = {"id": stored.id, "consistent_point": rfc3339(at), "manifest_sha256": stored.manifest_sha256}
        snapshot |= {"source_sha256": source_digest(str(TREE)), "bytes": 4096, "upon": [], "needed_from": None}
        self.add("backup.end", f"b{number}", result="STORED", snapshot=snapshot, beside_source="disk")

    def tested(self, run: str, number: int, verdict: str) -> None:
        """The backup of this number."""
        self.add("restore_test.start", run)
        check = {"kind": "identical", "name": "identical", "status": verdict, "expected": "1", "actual": "1"}
        tested = {
            "id": f"{number:064x}",
            "source_sha256": source_digest(str(TREE)),
            "selected": "latest",
            "verdict": verdict,
        }
        self.add(
            "restore_test.end", run, verdict=verdict, checks=[check], snapshot=tested,
            rpo={"verdict": "MET"}, rto={"achieved_s": 5.0, "basis": "throwaway", "verdict": "MET"},
        )  # fmt: skip

    def run(self, *words: str) -> str:
        """What a command prints with `--json`, in this process."""
        places = ("--plans", "plans", "--restore-tests", "restore_tests", "--state", "state")
        done = CliRunner().invoke(cli.main, [*places, *words, "--json"])
        document = json.loads(done.stdout)
        assert "error" not in document, (words, done.output)
        return done.stdout.replace(str(Path.cwd()), "/srv/ccdr")

    def metrics(self) -> bytes:
        """Every metric, all of the plan's history told."""
        size, copied = {"repository_bytes": 10**6}, {"there": {"recordings": 3}, "copy": "offsite"}
        self.add("missed")
        for kind, body in (("prune.end", size), ("check.end", size), ("copy.end", copied)):
            self.add(kind, "r", asset=None, **body)
        pause(self.site.loaded(), self.services, timedelta(hours=4), "why")
        at, path = self.clock.at, Path("ccdr.prom")
        held = CopiedAsset(at, at, at, CopyTest(at, "PASS", None))
        copy = CopyStatus("p", "offsite", "Cluj", at, "DONE", {"recordings": held}, 3, self.clock.now())
        run = metrics.RunFacts(self.clock.now(), 12.5, 1, {"p": 2}, verified=at, ledger_holds=True)
        metrics.write(
            path, status([self.site.loaded()], self.services), {"p": ()}, self.services.histories(), run, [copy]
        )
        return path.read_bytes()

    def exported(self, *words: str) -> dict[str, bytes]:
        """A package, by the names of its files."""
        self.run("ledger", "export", "package", *words)
        paths = sorted(path for path in Path("package").rglob("*") if path.is_file())
        files = {path.relative_to("package").as_posix(): path.read_bytes() for path in paths}
        shutil.rmtree("package")
        return files

    def vouched_for(self) -> None:
        """A line was torn by a crash; a key signs, somebody signs the period off, an anchor has a checkpoint."""
        with next(self.services.ledger.directory.glob("*.jsonl")).open("ab") as segment:
            segment.write(b'{"seq":')
        signing_keys.create(self.services)
        self._signed_off(SecurityKey(private=Ed25519PrivateKey.generate()))
        checkpoint = make(self.services).checkpoint
        receipt = noted(TOLD, "mail", checkpoint, self.clock.at, {"sha256": "0" * 64})
        ledger = self.services.lineage().ledger
        anchors = directory_of(self.services.state, ledger or "") / ANCHORS
        anchors.mkdir()
        (anchors / name_of(checkpoint.size, "mail", TOLD)).write_bytes(receipt.contents)
        digests = {"checkpoint_sha256": sha256(checkpoint.contents).hexdigest(), "receipt_sha256": receipt.sha256}
        about = {"name": "mail", "anchor": TOLD, "size": checkpoint.size, "at": rfc3339(receipt.at)}
        record_in(self.services.ledger, ANCHORED, plan=None, asset=None, run=None, body=about | digests)

    def _signed_off(self, by: SecurityKey) -> None:
        period = Period(NOW - timedelta(days=3), self.clock.at, until_now=False)
        report = make_report([self.site.loaded()], self.services, period, command="ccdr report")
        given = to_sign_off(report, self.services)
        signature = {"name": "ana", "signature": by.signed(given.text(), namespace=given.row.namespace)}
        body = body_of(SIGN_PERIOD.kind)
        body |= {**given.body(), "by": body["by"] | signature}
        record_in(self.services.ledger, STATEMENT, plan=None, asset=None, run=None, body=body)
