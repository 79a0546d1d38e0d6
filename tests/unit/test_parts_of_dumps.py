"""Tables of a dump: which entries and lines bring them back, and what is said where a method cannot."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from tests.support.manifests import SAID

from ccdr.engines.mariadb.dump import parts as of_mariadb
from ccdr.engines.postgres.dump import parts as of_postgres
from ccdr.jobs.restore.parts import refuse_parts
from ccdr.jobs.restore.request import Request
from ccdr.model.errors import UsageProblem
from ccdr.model.values import FileDigest, Manifest
from ccdr.plans.job import Job
from ccdr.plans.targets import NewServer
from ccdr.ports.place import Place

# As `pg_restore -l -v` says it.
LISTED = """;
; Selected TOC Entries:
;
6; 2615 16385 SCHEMA - s postgres
854; 1247 16387 TYPE public st postgres
219; 1259 16390 TABLE public agent postgres
218; 1259 16389 SEQUENCE public agent_id_seq postgres
;	depends on: 219
4129; 0 0 SEQUENCE OWNED BY public agent_id_seq postgres
;	depends on: 218
221; 1259 16401 TABLE public call postgres
;	depends on: 854 854
4131; 0 0 ACL public TABLE call postgres
;	depends on: 221
220; 1259 16400 SEQUENCE public call_id_seq postgres
;	depends on: 221
224; 1259 16432 TABLE public inh postgres
;	depends on: 219
225; 1259 16432 VIEW public v postgres
;	depends on: 221 221 854
222; 1259 16418 TABLE s part postgres
;	depends on: 6
223; 1259 16421 TABLE s part1 postgres
;	depends on: 222 6
3955; 0 0 TABLE ATTACH s part1 postgres
;	depends on: 223 222
3956; 2604 16393 DEFAULT public agent id postgres
;	depends on: 219 218 219
4117; 0 16390 TABLE DATA public agent postgres
;	depends on: 219
4119; 0 16401 TABLE DATA public call postgres
;	depends on: 221
4121; 0 16424 TABLE DATA public inh postgres
;	depends on: 224
4132; 0 0 SEQUENCE SET public agent_id_seq postgres
;	depends on: 218
4133; 0 0 SEQUENCE SET public call_id_seq postgres
;	depends on: 220
3962; 2606 16397 CONSTRAINT public agent agent_pkey postgres
;	depends on: 219
3964; 2606 16406 CONSTRAINT public call call_pkey postgres
;	depends on: 221
3965; 1259 16417 INDEX public call_st_idx postgres
;	depends on: 221
3966; 2606 16407 FK CONSTRAINT public call call_agent_fkey postgres
;	depends on: 219 3962 221
3967; 2606 16412 FK CONSTRAINT public call call_up_fkey postgres
;	depends on: 221 221 3964
3968; 2606 16412 FK CONSTRAINT public inh inh_agent_fkey postgres
;	depends on: 224 219 3962
3970; 2620 16412 TRIGGER public call stamp postgres
;	depends on: 221
4114; 0 16401 ROW SECURITY public call postgres
;	depends on: 221
4115; 3256 16431 POLICY public call p postgres
;	depends on: 221 221 219
"""
# The same of a table that is partitioned by range, and one of its partitions by list.
PARTITIONED = """;
6; 2615 16384 SCHEMA - s postgres
218; 1259 16385 TABLE public customer postgres
220; 1259 16391 TABLE s cdr postgres
;	depends on: 6
221; 1259 16402 TABLE s cdr_2025 postgres
;	depends on: 6 220
222; 1259 16411 TABLE s cdr_2026 postgres
;	depends on: 220 6
223; 1259 16420 TABLE s cdr_2026_1 postgres
;	depends on: 6 222
224; 1259 16429 TABLE s cdr_2026_x postgres
;	depends on: 6 222
219; 1259 16390 SEQUENCE s cdr_id_seq postgres
;	depends on: 220 6
3951; 0 0 TABLE ATTACH s cdr_2025 postgres
;	depends on: 221 220
3952; 0 0 TABLE ATTACH s cdr_2026 postgres
;	depends on: 222 220
3953; 0 0 TABLE ATTACH s cdr_2026_1 postgres
;	depends on: 223 222
3954; 0 0 TABLE ATTACH s cdr_2026_x postgres
;	depends on: 224 222
4126; 0 16385 TABLE DATA public customer postgres
;	depends on: 218
4128; 0 16402 TABLE DATA s cdr_2025 postgres
;	depends on: 221
4129; 0 16420 TABLE DATA s cdr_2026_1 postgres
;	depends on: 223
4130; 0 16429 TABLE DATA s cdr_2026_x postgres
;	depends on: 224
4138; 0 0 SEQUENCE SET s cdr_id_seq postgres
;	depends on: 219
3956; 2606 16389 CONSTRAINT public customer customer_pkey postgres
;	depends on: 218
3959; 2606 16395 CONSTRAINT s cdr cdr_pkey postgres
;	depends on: 220 220 220
3962; 2606 16406 CONSTRAINT s cdr_2025 cdr_2025_pkey postgres
;	depends on: 3959 221 221 221 221
3965; 2606 16415 CONSTRAINT s cdr_2026 cdr_2026_pkey postgres
;	depends on: 3959 222 222 222 222
3968; 2606 16424 CONSTRAINT s cdr_2026_1 cdr_2026_1_pkey postgres
;	depends on: 223 223 223 3965 223
3971; 2606 16433 CONSTRAINT s cdr_2026_x cdr_2026_x_pkey postgres
;	depends on: 224 3965 224 224 224
3957; 1259 16401 INDEX s cdr_customer_idx postgres
;	depends on: 220
3960; 1259 16407 INDEX s cdr_2025_customer_idx postgres
;	depends on: 3957 221 221
3963; 1259 16416 INDEX s cdr_2026_customer_idx postgres
;	depends on: 222 222 3957
3966; 1259 16425 INDEX s cdr_2026_1_customer_idx postgres
;	depends on: 223 3963 223
3969; 1259 16434 INDEX s cdr_2026_x_customer_idx postgres
;	depends on: 3963 224 224
3972; 0 0 INDEX ATTACH s cdr_2025_customer_idx postgres
;	depends on: 3960 3957 221 220
3973; 0 0 INDEX ATTACH s cdr_2025_pkey postgres
;	depends on: 221 3962 3959 3959 221 220
3976; 0 0 INDEX ATTACH s cdr_2026_1_customer_idx postgres
;	depends on: 3966 3963 223 222
3977; 0 0 INDEX ATTACH s cdr_2026_1_pkey postgres
;	depends on: 3959 222 3965 3968 223 3959 222 3965 223 222
3974; 0 0 INDEX ATTACH s cdr_2026_customer_idx postgres
;	depends on: 3963 3957 222 220
3975; 0 0 INDEX ATTACH s cdr_2026_pkey postgres
;	depends on: 3959 222 3965 3959 222 220
3978; 0 0 INDEX ATTACH s cdr_2026_x_customer_idx postgres
;	depends on: 3969 3963 224 222
3979; 0 0 INDEX ATTACH s cdr_2026_x_pkey postgres
;	depends on: 3959 222 3965 224 3971 3959 222 3965 224 222
3980; 2606 16396 FK CONSTRAINT s cdr cdr_customer_fkey postgres
;	depends on: 3956 220 218
"""
SCRIPT = """-- MariaDB dump
/*!40101 SET NAMES utf8mb4 */;

--
-- Sequence structure for `ticket`
--

CREATE SEQUENCE `ticket` start with 1;

--
-- Table structure for table `agent`
--

CREATE TABLE `agent` (
  `id` int(11) NOT NULL
) ENGINE=InnoDB;

--
-- Table structure for table `call`
--

CREATE TABLE `call` (
  `id` int(11) NOT NULL DEFAULT nextval(`x`.`ticket`),
  `agent` int(11),
  PRIMARY KEY (`id`),
  CONSTRAINT `up` FOREIGN KEY (`agent`) REFERENCES `call` (`id`),
  CONSTRAINT `by` FOREIGN KEY (`agent`) REFERENCES `agent` (`id`) ON DELETE CASCADE
) ENGINE=InnoDB;
/*!40103 SET TIME_ZONE=@OLD_TIME_ZONE */;

-- Dump completed
"""


def manifest(engine: str = "postgres", method: str = "dump", **contents: object) -> Manifest:
    files = {name: FileDigest(10, "0" * 64) for name in ("toc.list", "dump/1.dat", "tables.sql", "rows/call.sql")}
    point = datetime(2026, 1, 1, tzinfo=UTC)
    return Manifest("p", "a", "run", engine, method, "host", point, 0.0, {}, contents, files, attested=SAID)


def place(listed: str) -> Place:
    return cast("Place", SimpleNamespace(path=str, run=lambda argv, **_: SimpleNamespace(stdout=listed)))


def needed(*tables: str, schema: str = "public", listed: str = LISTED) -> of_postgres.Needed:
    named = manifest(tables={f"{schema} {name} postgres": {} for name in tables})
    return of_postgres.needed(place(listed), Path("/dump"), named)


def ids(found: of_postgres.Needed) -> set[str]:
    return {line.split(";")[0] for line in found.entries.splitlines()}


def test_what_needs_another_table_is_left_out_and_told() -> None:
    found = needed("call")
    assert ids(found) == {"854", "221", "4131", "220", "4119", "4133", "3964", "3965", "3967", "4114"}
    assert found.left_out == [
        "FK CONSTRAINT public call call_agent_fkey", "TRIGGER public call stamp", "POLICY public call p",
    ]  # fmt: skip


def test_what_lies_between_chosen_tables_comes_back() -> None:
    found = needed("call", "agent")
    assert {"3966", "4115", "3956", "218", "4129", "4132"} <= ids(found)
    assert found.left_out == ["TRIGGER public call stamp"], "and no view"
    assert needed("agent").left_out == [], "another table's key is no loss of this one"


def test_a_partitioned_table_is_all_of_its_partitions_that_hold_rows() -> None:
    leaves = ["s.cdr_2025", "s.cdr_2026_1", "s.cdr_2026_x"]
    assert of_postgres.partitions(place(PARTITIONED), Path("/dump")) == {"s.cdr": leaves, "s.cdr_2026": leaves[1:]}
    assert of_postgres.partitions(place(LISTED), Path("/dump")) == {"s.part": ["s.part1"]}


def test_with_all_of_its_partitions_the_table_comes_back_and_they_are_attached() -> None:
    found = needed("cdr_2025", "cdr_2026_1", "cdr_2026_x", schema="s", listed=PARTITIONED)
    everything = {line.split(";")[0] for line in PARTITIONED.splitlines() if line[:1].isdigit()}
    assert everything - ids(found) == {"218", "4126", "3956", "3980"}, "all but the customers, and the key to them"
    assert found.left_out == ["FK CONSTRAINT s cdr cdr_customer_fkey"] and found.beside == []


def test_some_of_its_partitions_come_back_without_the_table_and_are_not_attached() -> None:
    found = needed("cdr_2025", schema="s", listed=PARTITIONED)
    assert found.beside == ["s cdr"] and not [line for line in found.entries.splitlines() if "ATTACH" in line]
    below = needed("cdr_2026_1", "cdr_2026_x", schema="s", listed=PARTITIONED)
    attached = [line.split(" ATTACH ")[1] for line in below.entries.splitlines() if "TABLE ATTACH" in line]
    assert attached == ["s cdr_2026_1 postgres", "s cdr_2026_x postgres"] and below.beside == ["s cdr"]


def test_a_table_that_it_is_built_upon_comes_without_rows() -> None:
    found = needed("inh")
    assert found.beside == ["public agent"] and {"219", "224", "4121"} == ids(found)
    assert found.left_out == ["FK CONSTRAINT public inh inh_agent_fkey"], "a key to it would not hold"
    assert "without rows" in " ".join(found.notes())


def test_names_are_the_schema_and_the_table() -> None:
    tables: dict[str, object] = {"public call postgres": {}, "s a b the owner": {}, "s x the owner (again)": {}}
    held = manifest(tables=tables, roles={"owner": [], "the owner": [], "postgres": []})
    assert of_postgres.names_of(held) == dict(zip(("public.call", "s.a b", "s.x"), tables, strict=True))


def test_a_script_is_made_one_of_these_tables_alone(tmp_path: Path) -> None:
    tables = {"call": {"rows": 1, "file": "rows/call.sql"}, "agent": {"rows": 2, "file": "rows/agent.sql"}}
    held = manifest("mariadb", tables=tables, database="x", objects={"sequence ticket": "", "view v": ""})
    chosen = of_mariadb.choose(held, {"call": "call"}, SCRIPT)
    assert set(chosen.manifest.files) == {"toc.list", "dump/1.dat", "tables.sql", "rows/call.sql"}
    assert chosen.manifest.contents["objects"] == {"sequence ticket": ""} and "by of call" in chosen.notes[0]
    (tmp_path / "tables.sql").write_text(SCRIPT)
    of_mariadb.narrow(tmp_path, chosen.manifest)
    script = (tmp_path / "tables.sql").read_text()
    assert "`agent` (\n" not in script and "`up`" in script and "`by`" not in script and "`ticket`" in script
    assert "REFERENCES `call` (`id`)\n) ENGINE" in script, "no comma is left"
    assert script.startswith("-- MariaDB dump") and script.endswith("-- Dump completed\n")


@pytest.mark.parametrize(
    ("engine", "method", "how"),
    [
        ("postgres", "physical", "--new-server"),
        ("postgres", "stream", "pg_restore -t TABLE"),
        ("mariadb", "physical", "mariadb-dump DATABASE TABLE"),
        ("redis", "rdb", "redis-cli --scan"),
        ("sqlite", "copy", "sqlite3 FILE"),
    ],
)
def test_what_cannot_be_had_in_part_is_refused_with_the_way_that_can(engine: str, method: str, how: str) -> None:
    with pytest.raises(UsageProblem) as refused:
        refuse_parts(job_of(engine), Request(to="/srv/x", parts=("call",)), manifest(engine, method))
    assert "--part cannot be taken from it" in str(refused.value) and how in str(refused.value.hint)


@pytest.mark.parametrize("engine", ["postgres", "mariadb"])
def test_a_dump_can_and_makes_no_new_server(engine: str) -> None:
    refuse_parts(job_of(engine), Request(to="/srv/x", parts=("call",)), manifest(engine))
    home = NewServer.model_construct(directory=Path("/srv/x"))
    with pytest.raises(UsageProblem, match="no new server"):
        refuse_parts(job_of(engine), Request(to="/srv/x", parts=("call",), new_server=home), manifest(engine))


def job_of(engine: str) -> Job:
    named: Any = SimpleNamespace(plan="p", asset="a", engine=SimpleNamespace(engine_name=engine))
    return cast("Job", named)
