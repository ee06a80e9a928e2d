"""Which runner a run takes. ``auto`` takes the cluster that is named and answers, else this machine, and says so."""

from __future__ import annotations

from pipelines.errors import PipelineError
from pipelines.options import Choice, ClusterOptions
from recipe import KallaError, Problem

FALLBACK = "run.cluster_fallback"
# What is wrong with a cluster that answers, told by its job server or by the first step on its workers, before a record
# has been read.
SET_UP = frozenset({
    "run.cluster_unreachable",
    "run.cluster_version",
    "run.folder_not_shared",
    "run.staging_unreachable",
    "run.worker_pool_unreachable",
    "run.worker_version",
})  # fmt: skip


def choose_runner(asked: str, cluster: ClusterOptions) -> Choice:
    """Raises PipelineError when a cluster that was asked for by name cannot be used."""
    if asked == "direct":
        return Choice("direct", "Runner direct: this machine.", 1)
    if asked == "auto" and not cluster.job_endpoint:
        return Choice("direct", "Runner direct: no cluster is named.", 1)
    from pipelines.runners.probe import probe  # what asks is imported only where a cluster is meant

    try:
        found = probe(cluster, None if asked == "auto" else asked)
        _check_slots(cluster, found.kind, found.slots)
    except PipelineError as error:
        if asked != "auto":
            raise
        return on_this_machine(error)
    parallelism = cluster.parallelism or found.slots or 2
    why = "asked for" if asked != "auto" else f"a cluster answers at {cluster.job_endpoint}"
    return Choice(found.kind, f"Runner {found.kind}: {why}; {parallelism} steps at once.", parallelism)


def on_this_machine(error: KallaError) -> Choice:
    """The choice of ``auto`` where the cluster cannot be used, saying why."""
    message = f"The run was executed on this machine, not on the cluster: {error.message}"
    warning = Problem("", f"{message} {error.hint}".strip(), FALLBACK)
    return Choice("direct", f"Runner direct: {error.message}", 1, warning)


def _check_slots(cluster: ClusterOptions, kind: str, slots: int | None) -> None:
    """Flink waits in vain for slots that no TaskManager has; Spark's steps take turns."""
    if kind == "flink" and slots is not None and (cluster.parallelism or 1) > slots:
        raise PipelineError(
            f"The Flink has {slots} slots, and {cluster.parallelism} steps at once were asked for.",
            code="run.cluster_busy",
            hint="Start more TaskManagers, or lower --parallelism (KALLA_PARALLELISM).",
        )
