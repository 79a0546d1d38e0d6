"""What tests share: a real source, a place of one's own with plans and state, faults that can be had for real."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sqlite3
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar

from ccdr.evidence.ledger.ledger import Ledger
from ccdr.evidence.ledger.verification import verify
from ccdr.host.clock import SystemClock
from ccdr.jobs.restore_test import RestoreTest, restore_test
from ccdr.jobs.services import Services
from ccdr.model.values import Manifest
from ccdr.plans import LoadedPlan, load_named
from ccdr.plans.job import Job
from ccdr.ports.place import Place
from ccdr.wiring import services
from tests.support import warm
from tests.support.inside import inside, names
from tests.support.records import kind_in
from tests.support.repositories import new_repository
from tests.support.schema import ledger_misfits

PASSWORD = "correct horse battery staple"
CCDR = [sys.executable, "-m", "ccdr"]


@dataclass(frozen=True)
class Source:
    """The PostgreSQL server of docker-compose.yml. Each test makes a database of its own."""

    container: str
    sockets: Path

    def psql(self, sql: str, database: str = "postgres", *, check: bool = True) -> str:
        argv = [*inside(self.container), "psql", "-X", "-q", "-A", "-t", "-h", "/sockets"]
        argv += ["-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-f", "-"]
        done = subprocess.run(argv, input=sql, capture_output=True, text=True, check=False)
        if check and done.returncode != 0:
            raise AssertionError(done.stderr)
        return done.stdout.strip()

    @contextmanager
    def session(self, sql: str, database: str) -> Iterator[subprocess.Popen[str]]:
        """A session that has run `sql` and stays open: it may hold a lock."""
        argv = [*inside(self.container), "psql", "-X", "-q", "-A", "-t", "-h", "/sockets"]
        argv += ["-U", "postgres", "-d", database]
        process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert process.stdin and process.stdout
        process.stdin.write(f"{sql}\n\\echo ready\n")
        process.stdin.flush()
        while process.stdout.readline().strip() != "ready":
            assert process.poll() is None
        try:
            yield process
        finally:
            process.stdin.close()
            process.wait(10)


SMALL = """
create role app_reader;
create type call_state as enum ('ringing', 'answered', 'lost');
create table customer (id int generated always as identity primary key, name text not null unique, note text);
create table call (
  id bigserial primary key, customer_id int not null references customer (id), state call_state not null,
  started_at timestamptz not null, seconds int check (seconds >= 0));
create index call_by_customer on call (customer_id);
create view answered as select * from call where state = 'answered';
create function stamp() returns trigger language plpgsql as $$ begin new.note := coalesce(new.note, '-'); return new; end $$;
create trigger stamp_customer before insert on customer for each row execute function stamp();
grant select on call to app_reader;
insert into customer (name) select 'Ștefan „' || g || '” \\ tab' || chr(9) from generate_series(1, 200) g;
insert into call (customer_id, state, started_at, seconds)
  select 1 + g % 200, (array['ringing', 'answered', 'lost'])[1 + g % 3]::call_state, now() - g * interval '1 minute', g % 600
  from generate_series(1, 3000) g;
select lo_from_bytea(0, 'a voice mail') \\g /dev/null
"""


@contextmanager
def small_database(source: Source, name: str) -> Iterator[str]:
    """A database with one of everything that a dump must bring back, and the role NAME_reader."""
    source.psql(f"create database {name} template template0")
    source.psql(SMALL.replace("app_reader", f"{name}_reader"), name)
    yield name
    source.psql(f"drop database {name} with (force)")
    source.psql(f"drop role {name}_reader")


# A SQLite database with one of everything that a copy must bring back.
SQLITE_SMALL = r"""
pragma journal_mode = wal;
pragma user_version = 12;
pragma application_id = 4242;
create table customer (id integer primary key autoincrement, name text not null unique, note text);
create table call (
  id integer primary key, customer_id integer not null references customer (id), state text not null
    check (state in ('ringing', 'answered', 'lost')), started_at text not null, seconds int, voice blob);
create index call_by_customer on call (customer_id);
create view answered as select * from call where state = 'answered';
create trigger stamp after insert on customer begin update customer set note = coalesce(note, '-') where id = new.id; end;
with recursive n(g) as (select 1 union all select g + 1 from n where g < 200)
  insert into customer (name) select 'Ștefan „' || g || '” \ tab' || char(9) from n;
with recursive n(g) as (select 1 union all select g + 1 from n where g < 3000)
  insert into call select g, 1 + g % 200, (case g % 3 when 0 then 'ringing' when 1 then 'answered' else 'lost' end),
    datetime('now', '-' || g || ' minutes'), g % 600, zeroblob(g % 90) from n;
"""


def ask_sqlite(path: Path, sql: str) -> list[Any]:
    """Run statements, one a `;`; the rows of the last one. Whatever was made beside the database is gone afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as database:
        *first, last = [s for s in _statements(sql) if s.strip()]
        for statement in first:
            database.execute(statement)
        return database.execute(last).fetchall()


def _statements(sql: str) -> Iterator[str]:
    text = ""
    for part in sql.split(";"):
        text += part + ";"
        if sqlite3.complete_statement(text):
            yield text
            text = ""
    yield text.removesuffix(";")


CRM_CHECKS = """
restore_test: crm
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
  - {kind: freshness, query: "select max(started_at) from call", within: 24h}
  - {kind: sql, name: every call has a customer, expect: 0,
     query: "select count(*) from call c left join customer u on u.id = c.customer_id where u.id is null"}
"""


CDR_CHECKS = """
restore_test: cdr
checks:
  - {kind: identical}
  - {kind: integrity}
  - {kind: rows, table: call, at_least: 3000}
  - {kind: freshness, query: "select max(started_at) from call", within: 24h}
  - {kind: sql, name: every call has a customer, expect: 0,
     query: "select count(*) from call c left join customer u on u.id = c.customer_id where u.id is null"}
"""


@dataclass(frozen=True)
class Ran:
    """What one `ccdr` command did. `json` is its document, where --json was asked for."""

    code: int
    stdout: str
    stderr: str
    json: Any = None

    def __str__(self) -> str:
        return f"exit {self.code}\n{self.stdout}\n{self.stderr}"


def texts(findings: Iterable[Mapping[str, Any]]) -> list[str]:
    """What findings of a record, or of `--json`, say."""
    return [str(one["text"]) for one in findings]


@dataclass
class Site:
    """A directory with plans, restore tests, state and a local repository, and `ccdr` run on it.

    The first plan brings an empty repository that opens at once (see `tests/repositories.py`). `bare`: it does not, where
    the test is about a repository that is not there, or about the backup that makes it. `umask` is what `run` gives to
    `ccdr`; -1 is our own.
    """

    root: Path
    env: dict[str, str] = field(default_factory=dict)
    bare: bool = False
    umask: int = -1
    warm: ClassVar[bool] = True  # need Python not start anew? See tests/e2e/conftest.py

    def __post_init__(self) -> None:
        for name in ("plans", "restore_tests"):
            (self.root / name).mkdir(exist_ok=True)
        self.write("plans/key", PASSWORD + "\n", mode=0o600)

    @property
    def repo(self) -> Path:
        return self.root / "repo"

    @property
    def state(self) -> Path:
        return self.root / "state"

    def write(self, name: str, text: str, *, mode: int = 0o644) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
        path.chmod(mode)
        return path

    def with_repository(self) -> Site:
        """Have an empty repository, if there is none."""
        if not self.repo.exists():
            new_repository(self.repo, PASSWORD)
        return self

    @property
    def log(self) -> Path:
        """The repository of the log that is shipped: ccdr makes it with the first that it stores, if there is none."""
        return self.repo / "log"

    def plan(self, assets: str, *, name: str = "p", repository: str | None = None, extra: str = "") -> None:
        """Write plans/<name>.yaml; `assets` is YAML, indented as it pleases."""
        url = repository or f"{{url: {self.repo}, password_file: key}}"
        head = f"plan: {name}\nservice: A test\nowner: ops@example.test\nobjectives: {{rpo: 1h, rto: 30m, mtd: 4h}}\n"
        body = textwrap.indent(textwrap.dedent(assets).strip("\n"), "  ")
        if not repository and not self.bare and not any((self.root / "plans").glob("*.yaml")):
            self.with_repository()
            if "log_shipping:" in body:
                new_repository(self.log, PASSWORD)
        self.write(f"plans/{name}.yaml", f"{head}repository: {url}\n{extra}assets:\n{body}\n")

    def crm(self, source: Source, database: str, extra: str = "", checks: str = CRM_CHECKS, **kwargs: Any) -> None:
        """A plan with one PostgreSQL asset `crm`; `extra` is more YAML of the asset, one key a line."""
        more = "".join(f"\n  {line}" for line in textwrap.dedent(extra).strip().splitlines())
        self.write("restore_tests/crm.yaml", checks)
        self.plan(
            f"crm:\n  engine: postgres\n  connection: {{host: {source.sockets}, user: postgres, database: {database}}}\n"
            f'  backup: {{schedule: "*/30 * * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [crm]}}{more}',
            **kwargs,
        )

    def recordings(self, tree: Path, extra: str = "", checks: str | None = None, **kwargs: Any) -> None:
        """A plan with one file asset `recordings`, settle time 1 s."""
        more = "".join(f"\n  {line}" for line in textwrap.dedent(extra).strip().splitlines())
        self.write(
            "restore_tests/recordings.yaml", checks or "restore_test: recordings\nchecks:\n  - {kind: identical}\n"
        )
        self.plan(
            f"recordings:\n  engine: files\n  paths: [{tree}]\n  settle: 1s\n"
            f'  backup: {{schedule: "15 * * * *"}}\n  restore_test: {{schedule: "0 3 * * 0", checks: [recordings]}}{more}',
            **kwargs,
        )

    def cdr(self, database: Path, extra: str = "", checks: str | None = None, **kwargs: Any) -> None:
        """A plan with one SQLite asset `cdr`."""
        more = "".join(f"\n  {line}" for line in textwrap.dedent(extra).strip().splitlines())
        self.write("restore_tests/cdr.yaml", checks or CDR_CHECKS)
        self.plan(
            f"cdr:\n  engine: sqlite\n  path: {json.dumps(str(database))}\n  limits: {{lock_wait: 1s}}\n"
            f'  backup: {{schedule: "*/30 * * * *"}}\n  restore_test: {{schedule: "0 3 * * *", checks: [cdr]}}{more}',
            **kwargs,
        )

    def argv(self, *args: str) -> list[str]:
        base = ["--plans", str(self.root / "plans"), "--restore-tests", str(self.root / "restore_tests")]
        return [*CCDR, *base, "--state", str(self.state), *args]

    def run(self, *args: str, env: dict[str, str] | None = None, timeout: float = 180) -> Ran:
        """Run `ccdr ARGS --json` to its end; never a traceback, whatever happens."""
        done = self.plainly(*args, "--json", env=env, timeout=timeout)
        document = json.loads(done.stdout) if done.stdout.strip() else None
        return Ran(done.returncode, done.stdout, done.stderr, document)

    def plainly(
        self, *args: str, env: dict[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Run `ccdr ARGS` to its end, as cron does: for people, and no terminal."""
        whole, argv = {**os.environ, **self.env, **(env or {})}, self.argv(*args)
        if Site.warm and argv[:3] == CCDR:
            done = warm.run(argv[3:], env=whole, timeout=timeout, umask=self.umask)
        else:
            done = subprocess.run(
                argv,
                capture_output=True,
                text=True,
                errors="replace",
                stdin=subprocess.DEVNULL,
                env=whole,
                timeout=timeout,
                check=False,
                umask=self.umask,
            )
        assert "Traceback" not in done.stderr, done.stderr
        return done

    def start(self, *args: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
        """Start `ccdr ARGS`; its plain progress lines come on standard error. It hears signals, as in a terminal, also
        where what runs the tests is deaf to them."""
        whole, argv = {**os.environ, **self.env, **(env or {})}, self.argv(*args)
        if Site.warm and argv[:3] == CCDR:
            return warm.start(argv[3:], env=whole)
        return subprocess.Popen(
            ["env", "--default-signal=INT,HUP", *argv],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=whole,
        )

    def backed_up(self, asset: str | None = None, **kwargs: Any) -> Ran:
        """A backup that must succeed: of all assets, or of one."""
        done = self.run("backup", "p", *(["--asset", asset] if asset else []), **kwargs)
        assert done.code == 0, done
        return done

    def words(self) -> str:
        """What programs said, where it is kept for a person's eyes."""
        return "".join(path.read_text("utf-8") for path in sorted((self.state / "private").glob("*.txt")))

    def records(self, kind: str | None = None) -> list[dict[str, Any]]:
        found = [dict(r) for r in Ledger(self.state / "ledger", SystemClock()).records()]
        return [r for r in found if kind in (None, kind_in(r))]

    def ledger_holds(self) -> None:
        """And every record in it is as its published schema says."""
        found = verify(self.state / "ledger")
        assert found.ok, found.problems
        assert not (wrong := ledger_misfits(self.state / "ledger")), wrong

    def services(self, clock: Any = None) -> Services:
        made = services(self.state)
        if clock is None:
            return made
        return Services(
            clock=clock,
            state=made.state,
            ledger=Ledger(made.state.ledger, clock, begin=made.ledger._begin),
            catalogue=made.catalogue,
            lab=made.lab,
            host=made.host,
        )

    def loaded(self, name: str = "p") -> LoadedPlan:
        return load_named(name, self.root / "plans", self.root / "restore_tests")

    def damaged_test(self, damage: Damage, *, asset: str = "crm", selection: str = "latest") -> RestoreTest:
        """A restore test in which `damage` is done after the load, before the checks: real, in the sandbox."""
        loaded = self.loaded()
        engine = loaded.plan.assets[asset]
        changed = damaged(type(engine), damage).model_construct(
            **{name: getattr(engine, name) for name in type(engine).model_fields}
        )
        plan = loaded.plan.model_copy(update={"assets": {**loaded.plan.assets, asset: changed}})
        job = Job(LoadedPlan(plan, loaded.path, loaded.sha256, loaded.checks, loaded.restore_tests, None), asset)
        return restore_test(job, selection, self.services(), Quiet())


Damage = Callable[[Place, Path, Manifest], None]


def damaged(kind: type[Any], damage: Damage) -> type[Any]:
    """The engine, but for what it loads: that is damaged right after."""

    class Damaged(kind):  # type: ignore[misc]
        def load(self, box: Place | None, restored: Path, manifest: Manifest) -> None:
            super().load(box, restored, manifest)
            damage(box, restored, manifest)

    return Damaged


def sql_damage(sql: str, database: str) -> Damage:
    """Run `sql` in the restored database, as its superuser."""

    def damage(box: Place, restored: Path, manifest: Manifest) -> None:
        env = {"PGHOST": "/ccdr/run", "PGUSER": "postgres", "PGDATABASE": database}
        box.run(["psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", "-"], stdin=sql, env=env)

    return damage


class Quiet:
    """`Progress` for nobody."""

    def step(self, text: str) -> None: ...

    def amount(self, done: int, total: int | None) -> None: ...


@dataclass
class ShiftedClock:
    """The system's clocks, the wall clock shifted: as if somebody had set it."""

    shift: timedelta = timedelta(0)

    def now(self) -> datetime:
        return datetime.now(UTC) + self.shift

    def monotonic(self) -> float:
        return time.monotonic()


def containers() -> set[str]:
    """Names of all containers that carry our label."""
    return set(names("ccdr.run"))


def eventually(condition: Callable[[], bool], seconds: float = 15) -> bool:
    """Wait for a condition that something else brings about, and leave the processor to that: one that takes long to
    ask for is asked for less often."""
    deadline = time.monotonic() + seconds
    while (asked := time.monotonic()) < deadline:
        if condition():
            return True
        time.sleep(max(0.05, 2 * (time.monotonic() - asked)))
    return condition()


def killed(process: subprocess.Popen[str]) -> None:
    """By SIGKILL, and all that it had started is gone too: the kernel ends that, and who reaps orphans may take seconds.
    Until then restic takes the lock of a dead one for that of a living. It is stopped first: what it started after we
    had looked would be waited for by nobody."""
    if process.poll() is None:
        os.kill(process.pid, signal.SIGSTOP)  # not by Popen, which would collect one that has ended meanwhile
        assert eventually(lambda: (told := _stat(process.pid)) is None or told[0] in "TtZ")
    started = _below(process.pid)
    process.kill()
    process.wait()
    assert eventually(lambda: not any(Path(f"/proc/{pid}").exists() for pid in started), 30)


def _below(pid: int) -> set[int]:
    """Its children, and theirs."""
    told = {pid: _stat(pid) for pid in map(int, filter(str.isdigit, os.listdir("/proc")))}
    parents = {one: int(stat[1]) for one, stat in told.items() if stat}
    found, known = {pid}, 0
    while len(found) > known:
        known = len(found)
        found |= {child for child, parent in parents.items() if parent in found}
    return found - {pid}


def _stat(pid: int) -> list[str] | None:
    """What the kernel tells of a process: its state, its parent and more; None where there is none."""
    with contextlib.suppress(OSError):
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    return None


def in_background(function: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=function, daemon=True)
    thread.start()
    return thread


def image_on(directory: Path) -> list[str]:
    """The words before an image's name that run it, as root and without a network, on one of our directories."""
    argv = ["docker", "run", "--rm", "--network", "none", "--user", "root", "--entrypoint", ""]
    return [*argv, "-v", f"{directory}:{directory}"]
