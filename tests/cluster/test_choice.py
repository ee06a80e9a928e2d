"""Where a run goes, and what a bad set-up is told, against real sockets; no cluster is needed."""

from __future__ import annotations

import contextlib
import http.server
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
import pytest

from pipelines.cluster.handshake import greeting, refusal, versions
from pipelines.cluster.processes import free_port
from pipelines.errors import PipelineError, as_text, from_text
from pipelines.exchange import SharedFolders
from pipelines.options import ClusterOptions
from pipelines.runners.causes import cause, shortened
from pipelines.runners.choice import FALLBACK, choose_runner
from tests.cluster.scenarios import sample
from tests.helpers import beam, manifest, request


@contextlib.contextmanager
def job_server(mark: bytes, asked: list[str] | None = None) -> Iterator[str]:
    """Answers every call as a job server whose options hold ``mark``; the calls are kept in ``asked``."""

    class Answers(grpc.GenericRpcHandler):
        def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler:
            if asked is not None:
                asked.append(details.method)
            return grpc.unary_unary_rpc_method_handler(lambda *_: mark)

    server = grpc.server(ThreadPoolExecutor(2))
    server.add_generic_rpc_handlers((Answers(),))
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        server.stop(0).wait()


@contextlib.contextmanager
def master(document: object, page: str = "") -> Iterator[str]:
    """A web interface: ``document`` as JSON, ``page`` at the root."""

    class Answers(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = page.encode() if self.path == "/" else json.dumps(document).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


FLINK = {"flink-version": "1.19.3", "slots-total": 6}
SPARK = {"status": "ALIVE", "aliveworkers": 2, "cores": 4}


def test_a_cluster_that_answers_is_taken() -> None:
    with job_server(b"..flink_master..") as endpoint, master(FLINK) as url:
        found = choose_runner("auto", ClusterOptions(endpoint, master_url=url))
        assert (found.runner, found.parallelism, found.warning) == ("flink", 6, None)
        assert choose_runner("flink", ClusterOptions(endpoint, master_url=url, parallelism=3)).parallelism == 3
        assert choose_runner("flink", ClusterOptions(endpoint)).parallelism == 2
    with job_server(b"spark_master") as endpoint, master(SPARK, '<span class="version">3.5.9</span>') as url:
        assert choose_runner("spark", ClusterOptions(endpoint, master_url=url)).parallelism == 4


def test_this_machine_where_no_cluster_is_meant() -> None:
    for asked in ("direct", "auto"):
        found = choose_runner(asked, ClusterOptions())
        assert (found.runner, found.warning) == ("direct", None)


def refused_with(asked: str, cluster: ClusterOptions) -> str:
    with pytest.raises(PipelineError) as error:
        choose_runner(asked, cluster)
    assert error.value.hint
    return error.value.code


def test_a_cluster_that_cannot_be_used_is_refused_with_what_to_change() -> None:
    nobody = f"127.0.0.1:{free_port()}"
    assert refused_with("flink", ClusterOptions()) == "run.cluster_not_set"
    assert refused_with("spark", ClusterOptions(nobody)) == "run.cluster_unreachable"
    with job_server(b"something else") as endpoint:
        assert refused_with("flink", ClusterOptions(endpoint)) == "run.cluster_kind"
    with job_server(b"flink_master") as endpoint:
        assert refused_with("spark", ClusterOptions(endpoint)) == "run.cluster_kind"
        for url in (f"http://{nobody}", "ftp://x", "file:///etc/passwd"):
            assert refused_with("flink", ClusterOptions(endpoint, master_url=url)) == "run.cluster_unreachable"
        with master(FLINK | {"flink-version": "1.20.1"}) as url:
            assert refused_with("flink", ClusterOptions(endpoint, master_url=url)) == "run.cluster_version"
        with master(FLINK) as url:
            assert refused_with("flink", ClusterOptions(endpoint, master_url=url, parallelism=7)) == "run.cluster_busy"
        with master(FLINK | {"slots-total": 0}) as url:
            assert refused_with("flink", ClusterOptions(endpoint, master_url=url)) == "run.cluster_busy"
    with job_server(b"spark_master") as endpoint:
        with master(SPARK | {"status": "STANDBY"}) as url:
            assert refused_with("spark", ClusterOptions(endpoint, master_url=url)) == "run.cluster_unreachable"
        with master(SPARK, '<span class="version">4.0.0</span>') as url:
            assert refused_with("spark", ClusterOptions(endpoint, master_url=url)) == "run.cluster_version"


def test_auto_falls_back_and_the_result_says_so(tmp_path: Path) -> None:
    nobody = ClusterOptions(f"127.0.0.1:{free_port()}")
    outcome = beam(sample(), tmp_path / "out", runner="auto", cluster=nobody)
    assert (outcome["runner"], outcome["matched_count"]) == ("direct", 7)
    warnings = [w for w in manifest(tmp_path / "out")["warnings"] if w["code"] == FALLBACK]
    assert len(warnings) == 1 and nobody.job_endpoint in warnings[0]["message"]
    assert warnings[0] in outcome["warnings"]


def test_a_named_cluster_that_is_away_fails_and_leaves_nothing(tmp_path: Path) -> None:
    asked = request(sample(), tmp_path / "out", runner="flink", cluster=ClusterOptions(f"127.0.0.1:{free_port()}"))
    with pytest.raises(PipelineError, match="No job server answers"):
        from pipelines.run import execute

        execute(asked)
    assert not list(tmp_path.iterdir())


def test_the_pool_takes_what_fits_and_nothing_else(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    told = greeting(SharedFolders(str(scratch), str(tmp_path / "evidence")))
    assert refusal(told) is None
    assert refusal({}) is None  # another program's job
    for change, code in (
        ({"python": "2.7"}, "run.worker_version"),
        ({"kalla": "0.0.1"}, "run.worker_version"),
        ({"scratch": str(tmp_path / "elsewhere")}, "run.folder_not_shared"),
        ({"evidence": str(tmp_path / "elsewhere")}, "run.folder_not_shared"),
        ({"token": "another"}, "run.folder_not_shared"),
        ({"scratch": "\0"}, "run.folder_not_shared"),
    ):
        said = refusal(told | change)
        assert said is not None
        error = from_text(f"java.lang.RuntimeException: {as_text(said)}\n\tat somewhere")
        assert error is not None and error.code == code and error.hint
    assert set(versions()) == {"python", "kalla", "apache-beam", "duckdb", "pyarrow"}
    assert sorted(p.name for p in tmp_path.rglob("*")) == ["scratch", "shared-with-workers", "shared-with-workers"]


@pytest.mark.parametrize(
    ("text", "code"),
    [
        (
            "StatusRuntimeException: UNAVAILABLE: io exception\n\tat ...ExternalEnvironmentFactory.create",
            "run.worker_pool_unreachable",
        ),
        ("java.net.ConnectException: Connection refused", "run.cluster_unreachable"),
        (
            "Failed to submit JobGraph\nCaused by: java.lang.ClassNotFoundException: org.apache.beam.x",
            "run.cluster_version",
        ),
        ("Caused by: org.apache.flink...NoResourceAvailableException: Could not acquire", "run.cluster_busy"),
        ("org.apache.flink.runtime.rest.util.RestClientException: x", "run.cluster_unreachable"),
        ("java.io.IOException: Insufficient number of network buffers: required 512", "run.cluster_buffers"),
        ("java.io.InvalidClassException: org.apache.beam", "run.cluster_version"),
        (
            "java.lang.ClassCastException: cannot assign instance of java.lang.invoke.SerializedLambda to field x.f",
            "run.cluster_version",
        ),
        (
            "SparkException: Job 0 cancelled Executors run Spark 3.4.4 and the job server Spark 3.5.9.",
            "run.cluster_version",
        ),
        ("RuntimeError: OSError: [Errno 28] No space left on device [while running 'StageSplits']", "run.disk_full"),
        ("java.lang.IllegalStateException: call already cancelled", "run.worker_lost"),
        ("java.lang.IllegalStateException: Cannot call methods on a stopped SparkContext.", "run.worker_lost"),
    ],
)
def test_stack_traces_become_causes(text: str, code: str) -> None:
    found = cause(text)
    assert found is not None and found.code == code and found.hint
    assert cause("ValueError: nothing of this") is None


def test_the_innermost_cause_is_shown() -> None:
    assert shortened("a\n\tat b\nCaused by: c\nCaused by: d: e\n\tat f") == "d: e"
    assert shortened("") == "it said nothing"
