"""Is the restored server the captured one, and is what it holds sound?

Files are compared by PostgreSQL's own manifest, before the server starts (`cluster.verify`): a test that has come this
far has them whole. What is compared afterwards is what the server makes of them.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from ccdr.engines.comparison import judged, named
from ccdr.engines.postgres import questions
from ccdr.engines.postgres.connection import answer
from ccdr.engines.postgres.physical import cluster, facts
from ccdr.engines.postgres.physical.capture import emptied
from ccdr.engines.servers.sandbox import image_that_has_it
from ccdr.host.interrupts import each_to_its_end
from ccdr.model.answers import lacking
from ccdr.model.errors import CommandFailed, TestBroken
from ccdr.model.values import CheckResult, Manifest, Verdict
from ccdr.ports.check import CheckContext

# pg_basebackup leaves out what is a link in the data directory, and no file of it is listed then.
_FILELESS = """\
select translate(format('no file of %s.%s.%s', current_database(), n.nspname, c.relname), e'\\n', ' ')
from pg_class c join pg_namespace n on n.oid = c.relnamespace
where c.relkind in ('r', 'i', 'S', 't', 'm') and c.relpersistence <> 't'
  and pg_stat_file(pg_relation_filepath(c.oid), true) is null order by n.nspname, c.relname
"""
SUBSCRIPTIONS = "pg_subscription"
SERVER = "select system_identifier, timeline_id from pg_control_system(), pg_control_checkpoint();"


def identical(context: CheckContext, env: Mapping[str, str]) -> Iterator[CheckResult]:
    """Files, server, and each database's definitions."""
    contents: Mapping[str, Any] = context.manifest.contents
    verified = context.sandbox.run(["cat", cluster.VERIFIED], ok=(0, 1)).code == 0
    count = f"{contents['files']} files and {len(context.manifest.files)} beside them"
    if parents := context.manifest.upon:
        count += f", put together of {len(parents) + 1} snapshots"
    lost = None if context.recovered else emptied(contents)  # which are so by then, the log's own result tells
    equal = f"{count}, equal by SHA-256{f'; {lost}' if lost else ''}"
    yield judged("files (pg_verifybackup)", [] if verified else ["not verified"], count, equal, joint=", ")
    with _image_to_blame(context.manifest):
        yield _server(context, env)
        if context.recovered:
            return  # by a log that may hold other definitions
        databases = sorted(contents["catalogues"].items())
        work = [partial(_definitions, context, {**env, "PGDATABASE": name}, name, held) for name, held in databases]
        yield from each_to_its_end(work, facts.AT_ONCE)


@contextlib.contextmanager
def _image_to_blame(manifest: Manifest) -> Iterator[None]:
    """A database may need a locale, or a library, that the image does not have."""
    try:
        yield
    except CommandFailed as error:
        if error.stderr.search(questions.LACKS):
            raise TestBroken(
                f"{error.the_image} lacks something that the restored server needs: {lacking(error.stderr)}",
                hint=f"{image_that_has_it(manifest)}; or leave it out (`server_settings:`)",
            ) from None
        raise


def _server(context: CheckContext, env: Mapping[str, str]) -> CheckResult:
    contents: Mapping[str, Any] = context.manifest.contents
    identifier, timeline = answer(context.sandbox, env, SERVER, "asking the server").strip().split("|")
    wrong = questions.of_each(context.sandbox, env, _FILELESS)
    if identifier != contents["system_identifier"]:
        wrong.append(f"its identifier is {identifier}")
    if int(timeline) < contents["timeline"]:  # one that replays more of the log may begin a new one
        wrong.append(f"its timeline is {timeline}")
    expected = f"identifier {contents['system_identifier']}, timeline {contents['timeline']}"
    begun = ", begun at the end of recovery" if int(timeline) > contents["timeline"] else ""
    return judged("server", wrong, expected, f"identifier {identifier}, timeline {timeline}{begun}", joint=", ")


def _let_go(context: CheckContext, env: Mapping[str, str]) -> int:
    """How many subscriptions there are, if each is as a new server has it once it was settled; -1 where one is not."""
    sql = (
        "select case when bool_or(subenabled or subslotname is not null) then -1 else count(*) end from pg_subscription"
    )
    return int(answer(context.sandbox, env, sql, "asking for subscriptions"))


def _definitions(context: CheckContext, env: Mapping[str, str], name: str, captured: Mapping[str, str]) -> CheckResult:
    """Only what certainly did not change while the backup ran is compared: the same rows, by the same transactions."""
    contents: Mapping[str, Any] = context.manifest.contents
    asking = {**env, "PGOPTIONS": f"{env['PGOPTIONS']} {facts.PINNED} {facts.UTC}", "PGCLIENTENCODING": "UTF8"}
    shared = name == contents["database"]
    restored = facts.catalogues(context.sandbox, asking, contents["horizon"], shared=shared)
    differing = [key for key, digest in sorted(captured.items()) if restored.get(key) != digest]
    if SUBSCRIPTIONS in differing and _let_go(context, env) >= int(captured[SUBSCRIPTIONS].split()[0]):
        differing.remove(SUBSCRIPTIONS)
    wrong = [f"{key} differs" for key in differing]
    rows = sum(int(digest.split()[0]) for digest in captured.values())
    expected = f"{len(captured)} catalogues, {rows} rows"
    changed = sorted(restored.keys() - captured.keys())
    note = f"; not compared, changed meanwhile or not to be read: {named(changed, ', ')}" if changed else ""
    return judged(f"definitions in {name}", wrong, expected, f"{expected}, equal by SHA-256{note}", joint=", ")


def integrity(
    context: CheckContext, env: Mapping[str, str], settings: Mapping[str, str], jobs: int
) -> Iterator[CheckResult]:
    """After a physical restore this tests the backup itself, and so the source's files as they were."""
    box, manifest = context.sandbox, context.manifest
    note = "; pages bear no checksums at the source"
    if manifest.contents["data_checksums"]:
        note = ""
        findings = cluster.checksums(box, settings)
        yield CheckResult(
            kind="integrity",
            name="pg_checksums --check",
            status=Verdict.FAIL if findings else Verdict.PASS,
            expected="every page as its checksum says",
            actual=f"{len(findings)} lines of findings" if findings else "every page is",
            detail="\n".join(findings[:20]) or None,
        )
    args = [f"-j{jobs}", "--all"]
    with _image_to_blame(context.manifest):
        findings = questions.amcheck(context, env, args)
        if findings and (moved := cluster.collations(box, env)):
            # An index is in the order of the source's libraries: only what does not depend on it tells anything.
            findings = questions.amcheck(context, env, [*args, "--no-dependent-indexes"])
            if not findings:
                raise TestBroken(
                    f"the image sorts text otherwise than the source: {moved}; its indexes cannot be checked",
                    hint="name an image with the source's C library and ICU (`image:`)",
                )
    yield questions.amcheck_result("pg_amcheck --all --heapallindexed", findings, note)
