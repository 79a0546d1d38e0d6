"""The one way to restore: into a directory, with what is needed to prove it there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ccdr.checks.base import CheckConfig
from ccdr.checks.decodable import Decodable
from ccdr.checks.identical import Identical
from ccdr.engines.files.parts import Chosen
from ccdr.host.accounts import strangers
from ccdr.host.file_times import Times
from ccdr.host.files import extent, remove_tree
from ccdr.host.links import leading_out
from ccdr.jobs.fetch import fetch, fetch_bases
from ccdr.jobs.restore.directory import Staging, opened, root_for
from ccdr.jobs.restore.parts import fetch_parts, loadable_by_hand
from ccdr.jobs.restore.request import Before
from ccdr.jobs.restore.ways import Held, Order, roots_of, skipped
from ccdr.jobs.shipping.log_archive import LOG
from ccdr.jobs.shipping.recovery import Recovery
from ccdr.model.answers import FreeText
from ccdr.model.errors import CcdrError, TestBroken, UsageProblem
from ccdr.model.values import CheckResult, Verdict, so_many
from ccdr.ports.capture import UPON, WHOLE
from ccdr.ports.check import CheckContext
from ccdr.ports.log import RecoversFiles, RecoveryTarget
from ccdr.ports.place import Place, Progress
from ccdr.sandbox import isolation
from ccdr.sandbox.box import Box
from ccdr.sandbox.docker import NOT_AS_ASKED
from ccdr.sandbox.lab import given_inside, made_below, readable_inside
from ccdr.storage.manifest import MANIFEST


@dataclass
class IntoDirectory:
    """A file tree with all its paths below the directory; of any other engine, the files that were captured: a server's
    dump is loaded nowhere, a database that is one file is looked at where it stands."""

    order: Order
    staging: Staging
    recovery: Recovery | None = None
    parts: Chosen | None = None  # of the tree these alone
    recovers: RecoversFiles | None = None  # what applies the log; None: a person does
    verified: int = 0  # files
    logged: list[CheckResult] = field(default_factory=list)
    erased: bool = False  # people were, once it had been compared with what was captured

    @property
    def _whole(self) -> bool:
        return "roots" in self.order.manifest.contents

    def will(self) -> list[str]:
        if self._whole:
            roots = ", ".join(map(str, self._roots))
            steps = [f"writes {roots} below {self.staging.target}, each at its own path"]
            return [*steps, *([f"takes parts of it: {self.parts}"] if self.parts else [])]
        steps = [f"writes into {self.staging.target} {self.order.engine.as_files(self.order.manifest)}"]
        if self.order.tables is not None:
            steps.append(f"takes tables of it: {self.order.tables}")
        if self.order.bases:
            steps.append(
                f"of it and the {len(self.order.bases)} snapshots that it depends on, put together in a sandbox"
            )
        if self.recovery is not None:
            how = "puts the log next to it" if self.recovers is None else "applies the log to it, in a sandbox"
            steps.append(f"{how}: {self.recovery.described}")
        return steps

    def passed_over(self) -> list[CheckResult]:
        dumped = not self._whole and self.order.engine.has_server
        if self.order.tables is not None:
            return self.order.of_the_whole()
        why = "it needs a server (docs/how-to/recover.md: By hand)"
        compared = [skipped(c, f"{c.beside} is not restored with it") for c in self.order.job.checks if c.beside]
        if self.parts is not None:
            compared += [skipped(c, "it is of the whole, and parts are restored") for c in self._of_the_whole]
        return [*([skipped(check, why) for check in self._asked] if dumped else []), *compared]

    @property
    def _asked(self) -> list[CheckConfig]:
        """Without what is done whatever the plan asks for: here every byte must be what was captured."""
        out: list[CheckConfig] = self._of_the_whole if self.parts is not None else []
        asked = (c for c in self.order.job.checks if not isinstance(c, Identical) and c.beside is None)
        return [c for c in asked if c not in out]

    @property
    def _of_the_whole(self) -> list[CheckConfig]:
        """What says nothing of a part: all but what looks at each file for itself."""
        kinds = (Identical, Decodable)
        return [c for c in self.order.job.checks if not isinstance(c, kinds) and c.beside is None]

    @property
    def _roots(self) -> list[str]:
        return [str(path) for path in roots_of(self.order.manifest.contents)]

    def bring(self, progress: Progress) -> None:
        order, staging = self.order, self.staging
        self._begin()
        with order.phase("fetch", f"fetching {order.snapshot.short}", progress):
            restored = self._fetched(progress)
            if self._whole:
                order.engine.complete(staging.tree, restored, order.manifest)
            fetch_bases(order.repo, order.engine, order.bases, restored, progress)
        order.reached("fetched")
        if order.bases:
            self._assemble(restored, progress)
        with order.phase("check", "comparing digests", progress):
            if self.parts is None:  # else that was done before the parts were chosen
                self.verified = self.verified or order.verified(restored)
            if self._whole:
                staging.move_capture(restored, self._roots)
            elif not order.engine.has_server:  # the manifest is ccdr's, the rest is the data itself
                (restored / MANIFEST).rename(staging.root / MANIFEST)
            order.result.notes += order.engine.hand_over(restored, staging.target, order.manifest)
            if order.tables is not None:
                order.result.notes += loadable_by_hand(order, restored, staging.out)
        if self.recovery is not None:
            self._bring_log(self.recovery, restored, progress)

    def _fetched(self, progress: Progress) -> Path:
        order, tree = self.order, self.staging.tree
        if self.parts is not None:
            return fetch_parts(order, self.parts, tree, progress)
        root = "/" if self._whole else order.snapshot.root
        only = order.wanted
        return fetch(order.repo, order.engine, order.snapshot, order.manifest, tree, progress, root=root, only=only)

    def _begin(self) -> None:
        """A new working copy, or what an earlier try has left of it: what is there is not fetched again."""
        order, staging, before = self.order, self.staging, self.order.before
        if before is None or not self._resumed or not staging.adopt(self._root_before(before)):
            if before is not None:
                order.result.left_behind += remove_tree(self._root_before(before))
            staging.begin()
            return
        top = "/" if self._whole else order.snapshot.root
        captured = Path(f"{staging.tree}{order.snapshot.root.removeprefix(top.rstrip('/'))}")
        staging.back_in(captured)
        aside = staging.root / MANIFEST
        if aside.exists():
            aside.rename(captured / MANIFEST)

    @property
    def _resumed(self) -> bool:
        """What was fetched is what it will be: nothing is put together of it."""
        return not self.order.bases and self.recovery is None and self.parts is None and self.order.tables is None

    def _root_before(self, before: Before) -> Path:
        return root_for(self.staging.target, before.run, inside=self.staging.inside)

    def _assemble(self, restored: Path, progress: Progress) -> None:
        """Of an increment and what it builds upon make one whole, in a sandbox, by whoever runs ccdr: there every file
        is proven to be as captured, and what came of it to be whole."""
        order, staging = self.order, self.staging
        made = staging.out / WHOLE
        made.mkdir(mode=0o700)
        with order.phase("load", f"putting {len(order.bases) + 1} snapshots together", progress):
            with order.sandbox(order.by_this_user, order.in_sandbox(staging.tree, staging.out)) as box:
                order.engine.start(box, order.manifest)
                order.engine.assemble(box, restored, order.manifest, made)
            for name in (*(p.name for p in made.iterdir()), UPON, WHOLE):
                order.result.left_behind += remove_tree(restored / name)
            for path in made.iterdir():
                path.rename(restored / path.name)
        self.verified = int(order.manifest.contents["files"])

    def _bring_log(self, recovery: Recovery, restored: Path, progress: Progress) -> None:
        order, staging = self.order, self.staging
        fetched = staging.tree
        if self.recovers is not None:
            fetched = staging.root / LOG
            fetched.mkdir(mode=0o700)
        with order.phase("fetch", "fetching the log", progress):
            self.logged.append(recovery.fetch(fetched, order.run.directory("log-cache"), order.services))
        if self.recovers is not None:
            with order.phase("load", f"applying the log to {order.job.asset}", progress):
                self._apply(recovery, self.recovers, restored, fetched)
            return
        order.result.notes.append(
            f"the log in {staging.target / LOG} is not applied, and no server applies it by itself: restore it where "
            "Docker runs, or apply it by hand in a container (docs/how-to/recover.md: By hand: a shipped log), before "
            "a server is started on it"
        )
        order.result.notes += self._outside(restored, fetched / LOG, recovery.choice.target)

    def _apply(self, recovery: Recovery, recovers: RecoversFiles, restored: Path, fetched: Path) -> None:
        """In a sandbox that sees nothing of this host but these files. As root they are its user's meanwhile."""
        order, staging = self.order, self.staging
        needs, owner, host = recovers.needs(order.manifest), restored.stat(), order.services.host
        if os.geteuid() != 0:
            needs = replace(needs, user=None)
        room = replace(order.in_sandbox(fetched, staging.out), home=restored)
        readable_inside(host, fetched)
        boxes: list[Box] = []
        with contextlib.ExitStack() as stack:

            def opened(outside: Mapping[str, str]) -> Box:
                stack.close()
                asked = replace(room, outside=made_below(restored, outside))
                box = stack.enter_context(order.sandbox(needs, asked))
                if box.differs:
                    raise TestBroken(isolation.not_shut_off(box.differs), hint=NOT_AS_ASKED)
                given_inside(host, box, staging.out, [restored])
                boxes.append(box)
                return box

            order.engine.start(opened({}), order.manifest)
            self.logged.append(recovery.carry_out(recovers, boxes[-1], restored, fetched, order.manifest, opened))
            then = recovers.leave(boxes[-1], restored, staging.target)
        argv = ["chown", "-R", "-h", f"{owner.st_uid}:{owner.st_gid}", "--", str(restored)]
        host.run(argv, what="taking the files back")
        applied = f"the log is applied: give {staging.target} to the server's user, and {then}"
        order.result.notes += [applied, *recovery.lost]

    def _outside(self, restored: Path, log: Path, target: RecoveryTarget) -> list[str]:
        """What this host can tell of the paths at which the log makes files. UsageProblem where one is there: whoever
        applies it would write to what is somebody else's."""
        order = self.order
        need = order.engine.client(order.engine.sandbox(order.manifest).major)
        host = order.services.host.with_(dirs=need.host_dirs if need else ())
        try:
            paths = order.engine.hand_over_log(host, restored, log, order.manifest, target)
        except CcdrError:
            return ["not known: does the log make files at paths of the source's? Nothing on this host tells"]
        if not paths:
            return []
        order.result.words += FreeText("".join(f"the log makes files at {path}\n" for path in paths))
        if there := [path for path in paths if os.path.lexists(path)]:
            raise UsageProblem(
                f"the log makes files at {so_many(len(paths), 'path')} of the source's, and this host has "
                f"{so_many(len(there), 'of them', 'of them')}: whoever applies it would write there",
                hint="restore it where Docker runs: there the log is applied in a container",
            )
        return [f"the log makes files at {so_many(len(paths), 'path')} of the source's, told above"]

    def check(self, progress: Progress) -> list[CheckResult]:
        order = self.order
        with order.phase("check", f"checking {order.job.asset}", progress):
            asked = self._asked
            if self.erased:
                return self._but_identical(asked, progress)
            if not self._whole:
                count = self.verified
                equal = CheckResult(
                    "identical", "captured files", Verdict.PASS, so_many(count, "file"), f"{count}, equal"
                )
                if order.engine.has_server:
                    return [equal, *self.logged, *self.passed_over()]
                looked = self._in_sandbox([Identical(kind="identical"), *asked], progress)
                return [equal, *looked, *self.passed_over()]
            same = order.check([Identical(kind="identical")], order.engine, self._bench(None), progress)
            plain = order.check([c for c in asked if not c.needs_sandbox], order.engine, self._bench(None), progress)
            boxed = self._in_sandbox([c for c in asked if c.needs_sandbox], progress)
            return [*same, *plain, *boxed, *self.passed_over()]

    def _but_identical(self, asked: list[CheckConfig], progress: Progress) -> list[CheckResult]:
        why = "it was compared before people were erased from it, who were erased at the source"
        order, sandboxed = self.order, not self._whole
        plain = [] if sandboxed else [c for c in asked if not c.needs_sandbox]
        looked = order.check(plain, order.engine, self._bench(None), progress)
        looked += self._in_sandbox([c for c in asked if c not in plain], progress)
        return [skipped(Identical(kind="identical"), why), *looked, *self.passed_over()]

    def _bench(self, box: Place | None) -> CheckContext:
        order, staging = self.order, self.staging
        host, digest = order.services.host, order.services.digest
        captured = staging.capture if self._whole else staging.tree
        return CheckContext(order.manifest, staging.tree, captured, staging.out, box, host, digest)

    def _in_sandbox(self, checks: list[CheckConfig], progress: Progress) -> list[CheckResult]:
        """Checks that run programs."""
        if not checks:
            return []
        order = self.order
        results: list[CheckResult] = []
        try:
            with self._sandbox() as context:
                results += order.check(checks, order.engine, context, progress)
        except TestBroken as error:
            results += [skipped(c, str(error), Verdict.INCONCLUSIVE) for c in checks[len(results) :]]
        return results

    @contextlib.contextmanager
    def _sandbox(self, part: str = "") -> Iterator[CheckContext]:
        """Programs look at the tree from there, as in a restore test; it is mounted read-only. TestBroken where there
        is none."""
        order, staging = self.order, self.staging
        asked = order.in_sandbox(staging.tree, staging.out, storage=order.job.engine.storage, part=part)
        with opened(staging.tree), order.sandbox(order.engine.sandbox(order.manifest), asked) as box:
            context = self._bench(box)
            if order.engine.in_sandbox:
                order.engine.start(box, order.manifest)
                order.engine.load(box, context.restored, order.manifest)
            yield context

    def finish(self, progress: Progress) -> list[str]:
        with self.order.phase("finish", f"naming it {self.staging.target}", progress):
            if not self.order.engine.has_server and os.geteuid() == 0:
                self.order.result.notes += strangers(self.staging.tree, self.staging.target)
            if self._whole:
                self._tell_links()
            self.staging.finish(self.order.services.host, keeps_links=self._whole)
            return self.staging.remove()

    def _tell_links(self) -> None:
        with contextlib.suppress(OSError):  # a directory that whoever runs ccdr may not read
            out = sum(1 for _ in leading_out(self.staging.tree, self.staging.target))
            lead = f"{so_many(out, 'symbolic link')} in it lead elsewhere, as at the source: to what is there now"
            self.order.result.notes += [lead] if out else []

    def named(self) -> bool | None:
        return self.staging.named

    def settle(self) -> list[str]:
        return self.staging.cleared(self.order.services.host, self.order.result.findings)

    def undo(self) -> list[str]:
        return self.staging.remove()

    def rest(self) -> str | None:
        if not self._resumed or not self.staging.tree.is_dir():
            return None
        return f"what was fetched so far is in {self.staging.root}: `ccdr recover --resume` goes on with it"

    def token(self) -> Mapping[str, object]:
        files, size = extent(self.staging.tree)
        times = Times.of(self.staging.tree, moved=self.staging.inside)
        return {"inodes": self.staging.inodes(), "files": files, "bytes": size, **times.as_facts()}

    @contextlib.contextmanager
    def beside(self, *, programs: bool) -> Iterator[Held | None]:
        """A tree is looked at as it stands, its programs in a sandbox where it is mounted read-only."""
        if not self._whole and self.order.engine.has_server:
            yield None
            return
        if not programs:
            yield Held(self.order.engine, self._bench(None))
            return
        with self._sandbox("beside") as context:
            yield Held(self.order.engine, context)

    def standing(self) -> str:
        return f"the restored data is in {self.staging.tree}: move it yourself, or remove {self.staging.root}"
