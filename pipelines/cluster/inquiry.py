"""Would the pool of workers take a run? The driver asks it before it submits the run, where it reaches the pool.

What a cluster tells of a refusal comes when its machines have started what asks for a worker; on Spark that takes some
ten seconds, half a minute where the machine is busy.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from ipaddress import ip_address
from typing import Any

import grpc

from pipelines.cluster.handshake import refusal
from pipelines.cluster.processes import listening
from pipelines.errors import PipelineError, as_text, from_text

_SERVICE, _METHOD = "kalla.WorkerPool", "Refusal"
_SECONDS = 2.0


def handler() -> grpc.GenericRpcHandler:
    """The pool's side. It says no more than it tells a cluster that asks it for a worker."""
    method = grpc.unary_unary_rpc_method_handler(_answer)
    return grpc.method_handlers_generic_handler(_SERVICE, {_METHOD: method})


def _answer(request: bytes, context: Any) -> Any:
    try:
        parameters = {str(name): str(value) for name, value in json.loads(request).items()}
    except (ValueError, AttributeError):
        return context.abort(grpc.StatusCode.INVALID_ARGUMENT, "The parameters of a worker are an object of texts.")
    reason = refusal(parameters)
    return b"" if reason is None else as_text(reason).encode()


def ask(pool: str, parameters: Mapping[str, str]) -> PipelineError | None:
    """Why the pool at ``pool`` would refuse a run with these parameters; None where it would not, or does not answer:
    it need not be reached from here."""
    with grpc.insecure_channel(pool) as channel:
        question = channel.unary_unary(f"/{_SERVICE}/{_METHOD}")
        try:
            answer: bytes = question(json.dumps(dict(parameters)).encode(), timeout=_SECONDS)
        except grpc.RpcError:
            return None
    return from_text(answer.decode("utf-8", "replace"))


def is_not_there(pool: str, job_endpoint: str) -> bool:
    """Whether nobody listens at the pool's address. Known from here only where pool and cluster are on this machine."""
    if not (_is_loopback(pool) and _is_loopback(job_endpoint)):
        return False
    host, _, port = pool.rpartition(":")
    return not (port.isdecimal() and listening(host.strip("[]"), int(port)))


def means_the_same_here(pool: str, job_endpoint: str) -> bool:
    """Whether the pool's address names the cluster's pool on this machine too: where it is ``localhost`` and the
    cluster lies elsewhere, a pool of this machine has no part in it."""
    return not _is_loopback(pool) or _is_loopback(job_endpoint)


def _is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0].strip("[]")
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False
