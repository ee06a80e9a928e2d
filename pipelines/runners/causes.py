"""What a cluster's stack trace means to a person: one table."""

from __future__ import annotations

import re

from pipelines.errors import PipelineError

NO_POOL, NO_SLOTS = "run.worker_pool_unreachable", "run.cluster_busy"
_MOST = 400
_CAUSES: tuple[tuple[re.Pattern[str], str, str, str], ...] = (
    (
        re.compile(r"ExternalEnvironmentFactory.*UNAVAILABLE|UNAVAILABLE.*ExternalEnvironmentFactory", re.DOTALL),
        NO_POOL,
        "No pool of Python workers answers on a machine of the cluster.",
        "Start `kalla worker` on every machine, at the address in KALLA_WORKER_POOL.",
    ),
    (
        re.compile(r"NoResourceAvailableException|Slot request bulk is not fulfillable"),
        NO_SLOTS,
        "The cluster has not enough free slots for the run.",
        "Start more workers, lower KALLA_PARALLELISM, or wait for other jobs to end. Where there were enough slots, a "
        "machine was lost: see its log; memory is the usual reason.",
    ),
    (
        re.compile(r"Insufficient number of network buffers"),
        "run.cluster_buffers",
        "A TaskManager has too few network buffers for the steps of the run.",
        "Set taskmanager.network.sort-shuffle.min-buffers to 64 in Flink's configuration, or raise "
        "taskmanager.memory.network.max.",
    ),
    (
        re.compile(
            r"InvalidClassException|NoSuchMethodError|NoClassDefFoundError|ClassNotFoundException"
            r"|cannot assign instance of java\.lang\.invoke\.SerializedLambda"  # Spark's word for a class it lacks
        ),
        "run.cluster_version",
        "Job server and cluster run different versions or lack a jar.",
        "Start both from the same jars (`make java`).",
    ),
    (
        re.compile(r"Executors run Spark [\d.]+\d and the job server Spark [\d.]+\d\."),  # VersionCheck's word
        "run.cluster_version",
        r"\g<0>",
        "Point the job server at a Spark of its own version.",
    ),
    (
        re.compile(r"RestClientException|Failed to submit JobGraph|Could not connect to .*rest|Connection refused"),
        "run.cluster_unreachable",
        "The job server cannot reach the cluster's master.",
        "Start the master, or start the job server with its address.",
    ),
    (
        re.compile(r"All masters are unresponsive|Application has been killed"),
        "run.cluster_unreachable",
        "The Spark master does not answer the job server.",
        "Start the master, or start the job server with its address.",
    ),
    (
        re.compile(r"Cannot call methods on a stopped SparkContext"),
        "run.worker_lost",
        "Spark gave the run up: the job server's master did not answer, or executors did not start or were lost.",
        "Look at the logs of the job server and the Spark workers: a wrong address, memory or a missing jar is the "
        "usual reason. With KALLA_MASTER_URL a master that is away is told before the run.",
    ),
    (
        re.compile(r"TaskManager.*(no longer reachable|lost|timed out)|Heartbeat of TaskManager|ExecutorLostFailure"),
        "run.worker_lost",
        "Machines of the cluster were lost again and again.",
        "Look at the logs of the lost machines; memory is the usual reason.",
    ),
    (
        re.compile(r"No space left on device|Disk quota exceeded"),
        "run.disk_full",
        "The disk of a machine of the cluster is full.",
        "Free space there: below TMPDIR of the worker pool, which keeps copies of what its steps read, and where the "
        "cluster lays data that it passes on.",
    ),
    (
        re.compile(r"SDK harness|Client closed|call already cancelled|UNAVAILABLE|Broken pipe", re.IGNORECASE),
        "run.worker_lost",
        "Python workers were lost again and again.",
        "Look at the log of the worker pool; memory is the usual reason.",
    ),
)


def cause(text: str) -> PipelineError | None:
    """The error behind a cluster's message; None for one that is not in the table."""
    for pattern, code, message, hint in _CAUSES:
        if found := pattern.search(text):
            return PipelineError(found.expand(message), code=code, hint=hint)
    return None


def no_pool() -> PipelineError:
    """The error of a run whose workers nobody would start."""
    return next(PipelineError(message, code=code, hint=hint) for _, code, message, hint in _CAUSES if code == NO_POOL)


def cancelled() -> PipelineError:
    """The error of a run that was told to stop."""
    return PipelineError("The run was cancelled.", code="run.cancelled", hint="Nothing was committed.")


def shortened(text: str) -> str:
    """The innermost cause of a stack trace on one line, cut to a readable length."""
    causes = re.findall(r"^Caused by: (.+)$", text, re.MULTILINE)
    line = causes[-1] if causes else (text.strip().splitlines() or ["it said nothing"])[0]
    return line[:_MOST]
