"""What engine beam-sql takes and refuses before anything runs; no Java is started, but it must be there to be taken."""

from __future__ import annotations

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from pipelines.cli.app import call
from pipelines.cluster.jars import FOLDER_VARIABLE
from pipelines.cluster.processes import free_port
from pipelines.options import ClusterOptions
from pipelines.prepare import Prepared, prepare
from pipelines.run import execute
from recipe import KallaError
from tests.cluster.scenarios import sample
from tests.cluster.test_choice import job_server
from tests.helpers import document, request, source, write_parquet
from tests.test_architecture import ROOT

JOIN = "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id AND {}"
TYPES = {
    "id": pa.int64(),
    "name": pa.string(),
    "amount": pa.decimal128(12, 2),
    "rate": pa.float64(),
    "day": pa.date32(),
}


@pytest.fixture
def service() -> Iterator[ClusterOptions]:
    """Something that listens where a service is named: planning asks for no more."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield ClusterOptions(sql_service=f"127.0.0.1:{server.getsockname()[1]}")


def recipe_of(sql: str, folder: Path) -> dict[str, Any]:
    sides = [
        source(write_parquet(folder / f"{n}.parquet", {name: [] for name in TYPES}, TYPES), ["id"])
        for n in ("left", "right")
    ]
    return document(sql, *sides)


def planned(sql: str, folder: Path, cluster: ClusterOptions, **more: Any) -> Prepared:
    return prepare(request(recipe_of(sql, folder), folder / "out", engine="beam-sql", cluster=cluster, **more))


def refusal(asked: Any) -> KallaError:
    with pytest.raises(KallaError) as error:
        prepare(asked)
    assert error.value.hint
    return error.value


@pytest.mark.parametrize(
    ("sql", "clause"),
    [
        ("SELECT l.id FROM left_src l JOIN right_src r ON l.amount < r.amount", "l.amount < r.amount"),
        (JOIN.format("l.name LIKE r.name"), "l.name LIKE r.name"),
        (JOIN.format("(l.name = r.name OR l.amount / r.amount = 1)"), "l.amount / r.amount"),
        (JOIN.format("l.name < r.name"), "l.name < r.name"),
        (JOIN.format("l.rate < r.rate"), "l.rate < r.rate"),
        (JOIN.format("GREATEST(l.amount, r.amount) > 5"), "GREATEST(l.amount, r.amount) > 5"),
        (JOIN.format("l.name || r.name = 'ab'"), "l.name || r.name"),
        (f"{JOIN.format('TRUE')} UNION {JOIN.format('l.day = r.day')}", "UNION: it puts rows together"),
        (
            f"{JOIN.format('TRUE')} UNION ALL SELECT l.id FROM left_src l JOIN right_src r ON l.day < r.day",
            "l.day < r.day",
        ),
        (f"SELECT DISTINCT {JOIN.format('TRUE')[7:]} UNION ALL {JOIN.format('TRUE')}", "UNION ALL: it puts"),
        (
            "SELECT l.id, SUM(r.amount) FROM left_src l JOIN right_src r ON l.id = r.id GROUP BY l.id",
            "GROUP BY l.id: it cannot tell",
        ),
        ("WITH a AS (SELECT id FROM left_src) SELECT a.id FROM a JOIN right_src r ON a.id = r.id", "WITH a: it joins"),
        (f"SELECT DISTINCT {JOIN.format('TRUE')[7:]}", "DISTINCT: it cannot tell"),
        ("SELECT SUM(l.amount) FROM left_src l JOIN right_src r ON l.id = r.id", "SUM(l.amount): it cannot tell"),
        (
            "SELECT l.id, ROW_NUMBER() OVER (PARTITION BY l.id ORDER BY r.amount) AS n"
            " FROM left_src l JOIN right_src r ON l.id = r.id",
            "ROW_NUMBER() OVER (PARTITION BY l.id ORDER BY r.amount): what it makes",
        ),
        (JOIN.format("l.id IN (SELECT id FROM right_src)"), "the sub-query "),
        (JOIN.format("EXISTS (SELECT 1 FROM right_src x WHERE x.id = l.id)"), "the sub-query EXISTS("),
        (
            "SELECT l.id FROM left_src l JOIN right_src r ON l.id = r.id JOIN right_src x ON l.id = x.id",
            "a join of more than two tables",
        ),
    ],
)
def test_what_beam_sql_cannot_do_is_refused_with_its_clause(
    sql: str, clause: str, tmp_path: Path, service: ClusterOptions
) -> None:
    error = refusal(request(recipe_of(sql, tmp_path), tmp_path / "out", engine="beam-sql", cluster=service))
    assert error.code == "run.sql_unsupported" and clause in error.message and "vectorized" in error.hint
    assert prepare(request(recipe_of(sql, tmp_path), tmp_path / "out")).run_plan.engine == "vectorized"


def test_statements_hold_nothing_of_recipe_or_sources(tmp_path: Path, service: ClusterOptions) -> None:
    sql = JOIN.format(
        "l.name <> r.name AND l.amount - r.amount < 4711 AND UPPER(r.name) = 'SECRET' AND r.id = l.id + 5"
    )
    [match] = planned(sql, tmp_path, service).run_plan.sql
    assert match.statements == (
        "SELECT l.rid AS lr, r.rid AS rr, l.l0, l.l1, l.l2, r.r0, r.r1 FROM l INNER JOIN r ON l.k0 = r.k0 AND l.k1 = r.k1",
        "SELECT lr, rr FROM PCOLLECTION WHERE ((l0) <> (r0)) AND (((l1) - (r1)) < (l2))",
    )


def test_a_statement_of_keys_alone_has_no_filter(tmp_path: Path, service: ClusterOptions) -> None:
    [match] = planned(JOIN.format("l.day = r.day AND l.amount > 0"), tmp_path, service).run_plan.sql
    assert match.residual is None and match.keys == 2 and not match.left + match.right


def test_the_plan_says_who_decides_and_why(tmp_path: Path, service: ClusterOptions) -> None:
    plan = planned(JOIN.format("l.amount = r.amount"), tmp_path, service).run_plan
    assert (plan.engine, plan.strategy) == ("beam-sql", "shuffle")
    assert [r for r in plan.reasons if r.startswith("Engine beam-sql: asked for")]
    assert plan.as_dict()["sql"] == plan.statements == list(plan.sql[0].statements)
    auto = prepare(request(recipe_of(JOIN.format("TRUE"), tmp_path), tmp_path / "out")).run_plan
    assert auto.engine == "vectorized" and "sql" not in auto.as_dict()


@pytest.mark.parametrize("strategy", ["local", "broadcast"])
def test_other_strategies_are_refused(strategy: str, tmp_path: Path, service: ClusterOptions) -> None:
    error = refusal(request(sample(), tmp_path / "out", engine="beam-sql", strategy=strategy, cluster=service))
    assert error.code == "run.strategy_impossible"


def test_missing_jars_and_java_are_told_before_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = request(sample(), tmp_path / "out", engine="beam-sql")
    monkeypatch.setenv("JAVA_HOME", str(tmp_path / "no-java"))
    error = refusal(asked)
    assert error.code == "run.java_missing" and "Java 17" in error.hint
    java = tmp_path / "no-java" / "bin" / "java"
    java.parent.mkdir(parents=True)
    java.write_text("#!/bin/sh\necho 'openjdk version \"17\"' >&2\n", encoding="utf-8")
    java.chmod(0o755)
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "no-jars"))
    error = refusal(asked)
    assert error.code == "run.jars_missing" and "make java" in error.hint
    with pytest.raises(KallaError):
        execute(asked)
    assert not (tmp_path / "out").exists() and not list(tmp_path.glob(".out*"))


def test_a_service_that_is_away_is_told_before_the_run(tmp_path: Path) -> None:
    for address in (f"127.0.0.1:{free_port()}", "nowhere", "127.0.0.1:x"):
        cluster = ClusterOptions(sql_service=address)
        error = refusal(request(sample(), tmp_path / "out", engine="beam-sql", cluster=cluster))
        assert error.code == "run.sql_service_unreachable" and address in error.message


def test_a_cluster_elsewhere_needs_a_service_of_its_own(tmp_path: Path) -> None:
    with job_server(b"flink_master") as address:
        elsewhere = ClusterOptions(address.replace("127.0.0.1", "[::ffff:127.0.0.1]"))
        asked = request(sample(), tmp_path / "out", engine="beam-sql", runner="flink", cluster=elsewhere)
        with pytest.raises(KallaError) as error:
            prepare(asked)
    assert error.value.code == "run.sql_service_not_set" and "KALLA_SQL_SERVICE" in error.value.hint


def test_explain_tells_engine_reason_and_statements(
    tmp_path: Path, service: ClusterOptions, capsys: pytest.CaptureFixture[str]
) -> None:
    recipe = tmp_path / "recipe.json"
    recipe.write_text(json.dumps(sample()), encoding="utf-8")
    asked = ["explain", str(recipe), "--engine", "beam-sql", "--sql-service", str(service.sql_service)]
    assert call([*asked, "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["engine"] == "beam-sql" and "tolerance_match(l0, r0, l1)" in document["sql"][1]
    assert call(asked) == 0
    shown = capsys.readouterr().out
    assert "Engine beam-sql: asked for" in shown and "INNER JOIN" in shown


def test_every_code_is_documented() -> None:
    page = (ROOT / "docs" / "beam-sql.md").read_text(encoding="utf-8")
    texts = [p.read_text(encoding="utf-8") for p in (ROOT / "pipelines" / "beam_sql").glob("*.py")]
    codes = {code for text in texts for code in re.findall(r'"(run\.[a-z_]+)"', text)}
    assert len(codes) > 4
    assert not {code for code in codes if f"`{code}`" not in page}
