"""Writes the sample contact centre's plan and restore tests, as a user would, and the plan of its damaged copy."""

from __future__ import annotations

import shutil
from pathlib import Path
from string import Template

from ccdr.demo.centre import Centre
from ccdr.demo.images import Images
from ccdr.demo.store import DemoStore
from ccdr.host.secret_files import new_secret, write_secret
from ccdr.jobs.services import Services
from ccdr.plans import LoadedPlan, load_plan

PLAN, BUCKET = "outbound", "ccdr-outbound"
KEY = "repository.key"
SPOOL = "/var/spool/recordings"  # where the restore tests that ship have the recordings


def write_plan(
    work: Path, centre: Centre, images: Images, server: DemoStore, own: Services, approval: str = ""
) -> LoadedPlan:
    """In `work`: `plans/`, with secrets, and `restore_tests/`. `approval` is the plan's block of that name."""
    _restore_tests(work / "restore_tests", centre)
    places = _places(work)
    secret = new_secret()
    own.record_made(secret, PLAN)
    write_secret(places / KEY, secret)
    write_secret(places / "outbound.env", server.env_file().removesuffix("\n"))
    write_secret(places / "queues.pw", centre.queues.password)
    values = _addresses(centre, images, f"s3:{server.endpoint}/{BUCKET}") | {"approval": approval}
    return _written(work, "plan.yaml", work / "restore_tests", values)


def write_damaged(elsewhere: Path, work: Path, centre: Centre, images: Images) -> LoadedPlan:
    """In `elsewhere`: a plan of its own, with the key of the plan in `work` and its restore tests."""
    key = (work / "plans" / "secrets" / KEY).read_text("ascii")
    write_secret(_places(elsewhere) / KEY, key.removesuffix("\n"))
    return _written(elsewhere, "damaged.yaml", work / "restore_tests", _addresses(centre, images, ""))


def _places(work: Path) -> Path:
    """Where its secrets lie, for nobody else to look into."""
    places = work / "plans" / "secrets"
    places.mkdir(mode=0o700, parents=True, exist_ok=True)
    return places


def _written(into: Path, template: str, restore_tests: Path, addresses: dict[str, str]) -> LoadedPlan:
    text = (Path(__file__).parent / template).read_text("utf-8")
    path = into / "plans" / f"{PLAN}.yaml"
    path.write_text(Template(text).substitute(addresses), "utf-8")
    return load_plan(path, restore_tests)


def _addresses(centre: Centre, images: Images, url: str) -> dict[str, str]:
    return {
        "url": url,
        "crm": str(centre.crm.sockets),
        "recordings": str(centre.crm.recordings),
        "dialler": str(centre.dialler.socket),
        "queues": str(centre.queues.socket),
        "cdr": str(centre.switchboard.cdr),
        "configuration": str(centre.switchboard.configuration),
        "postgres": images.postgres.name,
        "mariadb": images.mariadb.name,
        "redis": images.redis.name,
    }


def _restore_tests(into: Path, centre: Centre) -> None:
    """Those that ship with ccdr: in the package, or beside it in a checkout. Only the recordings lie elsewhere."""
    packaged = Path(__file__).parent / "restore_tests"
    shutil.copytree(packaged if packaged.is_dir() else Path(__file__).parents[3] / "restore_tests", into)
    calls = into / "calls.yaml"
    calls.write_text(calls.read_text("utf-8").replace(SPOOL, str(centre.crm.recordings)), "utf-8")
