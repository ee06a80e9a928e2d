"""A small BigQuery for tests: tables in memory behind the protocols that Google's own clients speak. No pytest in here.

REST describes tables; gRPC opens read sessions and streams Arrow batches from an offset. What is written later is not seen
by a session of an earlier time.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import threading
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pyarrow as pa

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import grpc
    from google.cloud.bigquery_storage_v1 import types

_SERVICE = "google.cloud.bigquery.storage.v1.BigQueryRead"
_ROWS_A_BATCH = 3


@dataclass
class StoredTable:
    """``fields`` as REST describes them; ``states`` are the rows since a moment, the newest last."""

    fields: list[dict[str, Any]]
    states: list[tuple[datetime, pa.Table]]
    kind: str = "TABLE"
    streaming: bool = False

    def at(self, moment: datetime) -> pa.Table:
        return [rows for since, rows in self.states if since <= moment][-1]


@dataclass
class BigQuery:
    """The server. ``breaks`` are numbers of batches after which a stream breaks off once each; ``refuse`` is answered to
    every call of the read protocol. A ``hold`` that is set keeps later batches of a stream back, until it is cleared or
    10 seconds are over."""

    rest: int = 0
    grpc: int = 0
    tables: dict[str, StoredTable] = field(default_factory=dict)
    sessions: dict[str, pa.Table] = field(default_factory=dict)
    asked: list[Any] = field(default_factory=list)
    breaks: list[int] = field(default_factory=list)
    refuse: Any = None
    hold: threading.Event = field(default_factory=threading.Event)
    streams: int = 5
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def environment(self) -> dict[str, str]:
        """What a client of it needs."""
        return {
            "BIGQUERY_EMULATOR_HOST": f"http://127.0.0.1:{self.rest}",
            "BIGQUERY_STORAGE_EMULATOR_HOST": f"127.0.0.1:{self.grpc}",
        }

    def table(self, fields: list[dict[str, Any]], rows: pa.Table, **more: Any) -> str:
        """A new table in the dataset ``fin`` of the project ``acme``; its name."""
        name = f"t{next(self._numbers)}"
        began = datetime(2000, 1, 1, tzinfo=UTC)
        self.tables[f"projects/acme/datasets/fin/tables/{name}"] = StoredTable(fields, [(began, rows)], **more)
        return name

    def write(self, name: str, rows: pa.Table) -> None:
        """Replace a table's rows."""
        self.tables[f"projects/acme/datasets/fin/tables/{name}"].states.append((datetime.now(UTC), rows))

    # --- the read protocol ---

    def create_read_session(self, request: Any, context: Any) -> Any:
        self.asked.append(request)
        self._check(context)
        asked = request.read_session
        if asked.table not in self.tables:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Not found: Table {asked.table}")
        rows = self.tables[asked.table].at(asked.table_modifiers.snapshot_time)
        if asked.read_options.selected_fields:
            rows = rows.select(list(asked.read_options.selected_fields))
        name = f"projects/acme/locations/eu/sessions/{next(self._numbers)}"
        count = min(request.max_stream_count or self.streams, self.streams, max(rows.num_rows, 0))
        ends = [rows.num_rows * i // count for i in range(count + 1)] if count else []
        streams = []
        for i in range(count):
            streams.append(f"{name}/streams/{i}")
            self.sessions[streams[-1]] = rows.slice(ends[i], ends[i + 1] - ends[i])
        made = types.ReadSession(name=name, data_format=types.DataFormat.ARROW, table=asked.table)
        made.arrow_schema.serialized_schema = rows.schema.serialize().to_pybytes()
        made.streams = [types.ReadStream(name=stream) for stream in streams]
        return made

    def read_rows(self, request: Any, context: Any) -> Iterator[Any]:
        self._check(context)
        if request.read_stream not in self.sessions:
            context.abort(grpc.StatusCode.FAILED_PRECONDITION, "the session has expired")
        rows = self.sessions[request.read_stream]
        sent = 0
        for start in range(request.offset, rows.num_rows, _ROWS_A_BATCH):
            deadline = time.monotonic() + 10
            while sent and self.hold.is_set() and time.monotonic() < deadline:
                time.sleep(0.02)
            if self.breaks and sent == self.breaks[0]:
                self.breaks.pop(0)
                context.abort(grpc.StatusCode.UNAVAILABLE, "the stream breaks off")
            (batch,) = rows.slice(start, _ROWS_A_BATCH).combine_chunks().to_batches()
            answer = types.ReadRowsResponse(row_count=batch.num_rows)
            answer.arrow_record_batch.serialized_record_batch = batch.serialize().to_pybytes()
            yield answer
            sent += 1

    def _check(self, context: Any) -> None:
        if self.refuse is not None:
            context.abort(self.refuse, "refused for 'https://u:s3cr3t@host/x'")

    # --- REST ---

    def describe(self, path: str) -> tuple[int, dict[str, Any]]:
        name = path.partition("/bigquery/v2/")[2].partition("?")[0]
        if name.endswith("/tables"):
            return 200, {"kind": "bigquery#tableList", "tables": self._listed(name)}
        found = self.tables.get(name)
        if found is None:
            return 404, {"error": {"code": 404, "message": f"Not found: {path}", "errors": [{"reason": "notFound"}]}}
        project, dataset, table = path.partition("?")[0].split("/")[-5::2]
        rows = found.states[-1][1]
        body = {
            "kind": "bigquery#table",
            "type": found.kind,
            "tableReference": {"projectId": project, "datasetId": dataset, "tableId": table},
            "schema": {"fields": found.fields},
            "numRows": str(rows.num_rows),
            "numBytes": str(rows.nbytes),
        }
        return 200, body | (
            {"streamingBuffer": {"estimatedRows": "1", "oldestEntryTime": "0"}} if found.streaming else {}
        )

    def _listed(self, folder: str) -> list[dict[str, Any]]:
        _, project, _, dataset, _ = folder.split("/")
        return [
            {
                "kind": "bigquery#table",
                "type": table.kind,
                "tableReference": {"projectId": project, "datasetId": dataset, "tableId": name.rpartition("/")[2]},
            }
            for name, table in self.tables.items()
            if name.startswith(f"{folder}/")
        ]


@contextlib.contextmanager
def bigquery_server() -> Iterator[BigQuery]:
    """A server on free ports of this machine."""
    told = BigQuery()
    calls = {
        "CreateReadSession": grpc.unary_unary_rpc_method_handler(
            told.create_read_session, types.CreateReadSessionRequest.deserialize, types.ReadSession.serialize
        ),
        "ReadRows": grpc.unary_stream_rpc_method_handler(
            told.read_rows, types.ReadRowsRequest.deserialize, types.ReadRowsResponse.serialize
        ),
    }
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(_SERVICE, calls),))
    told.grpc = server.add_insecure_port("127.0.0.1:0")
    server.start()
    handler = type("Handler", (_Handler,), {"told": told})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as rest:
        rest.daemon_threads = True
        told.rest = rest.server_address[1]
        thread = threading.Thread(target=rest.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield told
        finally:
            rest.shutdown()
            thread.join(10)
            server.stop(0).wait(10)


class _Handler(BaseHTTPRequestHandler):
    told: BigQuery
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1

    def do_GET(self) -> None:
        status, body = self.told.describe(self.path)
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_: Any) -> None:
        """Nothing: the tests' output is theirs."""
