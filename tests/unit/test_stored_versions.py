"""Nothing is taken from a stored version of a plan but files of names that a plan and its restore tests may have."""

from __future__ import annotations

import io
import re
import tarfile
from datetime import UTC, datetime, timedelta
from pathlib import Path, PurePosixPath

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ccdr.jobs.plan_in_repository.bootstrap import as_target
from ccdr.jobs.plan_in_repository.stored_versions import (
    MOST_FILES,
    Planted,
    _files,
    listed,
    may_be_named,
    name_within,
    newest_first,
)
from ccdr.model.errors import UsageProblem
from ccdr.storage.listing import RepoSnapshot

NOW = datetime(2026, 11, 24, 12, tzinfo=UTC)
ROOT = "/var/lib/ccdr/plans/p/abc"
RIGHT = re.compile(r"(plans|restore_tests)/[a-z0-9][a-z0-9_-]{0,62}\.yaml", re.ASCII)
ODD = st.text(alphabet="ab/._-\\\0\n ~A%é:*", max_size=24) | st.sampled_from(
    ["..", "plans/../x.yaml", "/etc/passwd", "plans/p.yaml\n", "plans//p.yaml", "plans/.yaml", "restore_tests/-.yaml",
     "plans/p.YAML", "plans/p.yaml/", "./plans/p.yaml", "plans/p.yml", "plans/é.yaml", "plans/p.yaml.yaml"]
)  # fmt: skip


@given(ODD)
def test_only_names_of_plans_and_restore_tests_pass(name: str) -> None:
    assert may_be_named(name) == (RIGHT.fullmatch(name) is not None)
    if may_be_named(name):
        path = PurePosixPath(name)
        assert not path.is_absolute() and ".." not in path.parts and len(path.parts) == 2


@given(ODD, st.sampled_from([ROOT, "/", "/a", "relative", "", "-x"]))
def test_whatever_a_member_is_called_it_stays_below_its_root(path: str, root: str) -> None:
    name = name_within(path, root)
    if name:
        assert not name.startswith("/") and ".." not in PurePosixPath(name).parts and "\0" not in name
        assert (PurePosixPath(root) / name) == PurePosixPath("/") / path


def archive(*members: tuple[str, bytes, bytes]) -> bytes:
    """A tar of (name, type, contents)."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:", format=tarfile.PAX_FORMAT) as tar:
        for name, kind, contents in members:
            info = tarfile.TarInfo(name)
            info.type, info.size, info.linkname = kind, len(contents), "/etc/passwd"
            tar.addfile(info, io.BytesIO(contents))
    return out.getvalue()


ABOVE = ROOT.lstrip("/")
GOOD = (f"{ABOVE}/plans/p.yaml", tarfile.REGTYPE, b"plan: p\n")


def test_a_plan_and_its_restore_tests_are_taken() -> None:
    """The healthy twin of all below."""
    test = (f"{ABOVE}/restore_tests/c.yaml", tarfile.REGTYPE, b"x")
    below = (f"{ABOVE}/plans", tarfile.DIRTYPE, b"")
    assert _files(archive(below, GOOD, test), ROOT) == {"plans/p.yaml": b"plan: p\n", "restore_tests/c.yaml": b"x"}


@pytest.mark.parametrize(
    "member",
    [
        (f"{ABOVE}/../../../../etc/cron.d/x", tarfile.REGTYPE, b"x"),
        ("etc/cron.d/x", tarfile.REGTYPE, b"x"),
        (f"{ABOVE}/plans/q.yaml", tarfile.SYMTYPE, b""),
        (f"{ABOVE}/plans/q.yaml", tarfile.LNKTYPE, b""),
        (f"{ABOVE}/plans/q.yaml", tarfile.FIFOTYPE, b""),
        (f"{ABOVE}/plans/q.yaml", tarfile.CHRTYPE, b""),
        (f"{ABOVE}/plans/.ccdr-bootstrap.json", tarfile.REGTYPE, b"{}"),
        (f"{ABOVE}/secrets", tarfile.DIRTYPE, b""),
        (f"{ABOVE}/plans/p.yaml", tarfile.REGTYPE, b"twice"),
        (f"{ABOVE}/restore_tests/h.yaml", tarfile.REGTYPE, b"#" * (1 << 20) + b"\n"),
    ],
    ids=lambda m: f"{m[0][-16:]}-{m[1].decode()}",
)
def test_anything_else_refuses_all_of_it(member: tuple[str, bytes, bytes]) -> None:
    with pytest.raises(Planted):
        _files(archive(GOOD, member), ROOT)


def test_too_many_files_refuse_all_of_it() -> None:
    many = [(f"{ABOVE}/restore_tests/t{n}.yaml", tarfile.REGTYPE, b"x") for n in range(MOST_FILES)]
    with pytest.raises(Planted):
        _files(archive(*many, GOOD), ROOT)


def stored(tags: dict[str, str], paths: tuple[str, ...] = (ROOT,), at: datetime = NOW) -> RepoSnapshot:
    every = {"kind": "plan", "plan": "p", "version": "a" * 64, "plan_format": "2", **tags}
    return RepoSnapshot("f" * 64, at, at, paths, tuple(f"{k}={v}" for k, v in every.items()))


@pytest.mark.parametrize(
    "paths", [(), (ROOT, ROOT), ("relative",), ("--password-command=touch x",), ("/" + "x" * 5000,)]
)
def test_a_root_that_no_host_has_is_passed_over(paths: tuple[str, ...]) -> None:
    versions, refused = listed([stored({}, paths)], NOW)
    assert versions == [] and len(refused) == 1 and not any(path in refused[0] for path in paths)


def test_what_others_wrote_of_themselves_is_harmless_to_a_terminal() -> None:
    [version], refused = listed([stored({"writer": "\x1b[2Jroot", "host": "h" * 500})], NOW)
    assert refused == [] and version.writer == "?[2Jroot" and len(version.host or "") == 100


def test_each_version_is_told_once_newest_first() -> None:
    one, two = (stored({"version": digit * 64}, at=NOW - timedelta(hours=n)) for n, digit in ((3, "a"), (2, "b")))
    versions, _ = listed([one, two, stored({"version": "a" * 64}, at=NOW)], NOW)
    assert [v.digest[0] for v in newest_first(versions, "p")] == ["a", "b"]


def test_the_target_is_absent_or_empty(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    (tmp_path / "file").touch()
    for wrong in ("loop", "file", "file/x", "no/where", "nul\0"):
        with pytest.raises(UsageProblem):
            as_target(tmp_path / wrong)
    assert as_target(tmp_path / "new") == tmp_path / "new"
