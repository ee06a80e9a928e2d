"""How each process of a cluster is started: argument lists and configuration, no process yet.

The same commands run on one machine (``local``) and in containers (``kalla cluster part``). Every part runs the same
jars, so that nothing but a small file travels with a job.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pipelines.cluster import jars

# Java 17 keeps these closed; Flink, Spark and Beam reach into them to copy and size objects.
_OPENED = (
    "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.math", "java.net", "java.nio", "java.text",
    "java.time", "java.util", "java.util.concurrent", "java.util.concurrent.atomic", "java.util.concurrent.locks",
    "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs", "sun.security.action", "sun.util.calendar",
)  # fmt: skip
_OPENS = [f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED]
_QUIET = [
    "-Dorg.slf4j.simpleLogger.defaultLogLevel=info",
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
]
_SPARK_JVM = [*_OPENS, "-Djdk.reflect.useDirectMethodHandle=false", "-Dio.netty.tryReflectionSetAccessible=true"]
# These programs hand bytes over and start often: quick to start beats quick after an hour.
_JVM = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:+ExitOnOutOfMemoryError"]


@dataclass(frozen=True)
class Command:
    """What to execute; ``environment`` is added to the caller's."""

    arguments: tuple[str, ...]
    environment: Mapping[str, str]


@dataclass(frozen=True)
class FlinkPlace:
    """Addresses of a Flink session cluster; port 0 lets the system choose."""

    host: str = "127.0.0.1"
    rpc_port: int = 6123
    rest_port: int = 8081
    bind: str = "127.0.0.1"
    slots: int = 2
    worker_port: int = 0


def flink_configuration(place: FlinkPlace, folder: Path, memory_mib: int = 640, own_host: str = "") -> str:
    """The text of ``flink-conf.yaml`` for every Flink process.

    A lost TaskManager is noticed within seconds and a failed task is tried three times more: our steps write files of
    fixed names, so a second try replaces what the first one left.
    """
    managed = max(memory_mib // 4, 64)
    values: dict[str, object] = {
        "jobmanager.rpc.address": place.host,
        "jobmanager.rpc.port": place.rpc_port,
        "jobmanager.bind-host": place.bind,
        "rest.address": place.host,
        "rest.port": place.rest_port,
        "rest.bind-address": place.bind,
        "rest.bind-port": place.rest_port,
        "rest.retry.max-attempts": 2,
        "rest.retry.delay": 1000,
        "rest.connection-timeout": 5000,
        "web.submit.enable": "false",
        "web.cancel.enable": "true",
        "taskmanager.bind-host": place.bind,
        "taskmanager.rpc.port": place.worker_port,
        "taskmanager.numberOfTaskSlots": place.slots,
        "taskmanager.cpu.cores": 1.0,
        "taskmanager.memory.framework.heap.size": "128m",
        "taskmanager.memory.framework.off-heap.size": "128m",
        "taskmanager.memory.task.heap.size": f"{memory_mib}m",
        "taskmanager.memory.task.off-heap.size": "64m",
        "taskmanager.memory.managed.size": f"{managed}m",
        "taskmanager.memory.network.min": "64m",
        "taskmanager.memory.network.max": "64m",
        # So many buffers of 32 KiB each output of a step must have; it takes more where there are some. With the usual
        # 512 the step that feeds the joins of two statements did not start.
        "taskmanager.network.sort-shuffle.min-buffers": 64,
        "taskmanager.memory.jvm-metaspace.size": "192m",
        "taskmanager.memory.jvm-overhead.min": "128m",
        "taskmanager.memory.jvm-overhead.max": "128m",
        "classloader.resolve-order": "parent-first",
        "restart-strategy.type": "fixed-delay",
        "restart-strategy.fixed-delay.attempts": 3,
        "restart-strategy.fixed-delay.delay": "3 s",
        "heartbeat.interval": 2000,
        "heartbeat.timeout": 20000,
        "pekko.startup-timeout": "120 s",  # a busy machine needs longer than the usual ten seconds
        "pekko.ask.timeout": "60 s",
        "slot.request.timeout": 60000,
        "io.tmp.dirs": folder / "tmp",
        "process.working-dir": folder / "work",
        "blob.storage.directory": folder / "blobs",
    }
    if own_host:
        values["taskmanager.host"] = own_host
    return "".join(f"{name}: {value}\n" for name, value in values.items())


def _java(kind: str, heap_mib: int, options: list[str], main: str, *arguments: str) -> tuple[str, ...]:
    path = ":".join(jars.class_path(kind))
    heap = [f"-Xmx{heap_mib}m", *_JVM]
    return (jars.java(kind), *heap, *options, "-cp", path, main, *arguments)


def flink_job_manager(configuration: Path, heap_mib: int = 512) -> Command:
    main = "org.apache.flink.runtime.entrypoint.StandaloneSessionClusterEntrypoint"
    arguments = ("--configDir", str(configuration), "--executionMode", "cluster")
    return Command(_java("flink", heap_mib, [*_OPENS, *_QUIET], main, *arguments), {})


def flink_task_manager(configuration: Path, memory_mib: int = 640) -> Command:
    main = "org.apache.flink.runtime.taskexecutor.TaskManagerRunner"
    options = [*_OPENS, *_QUIET, f"-XX:MaxDirectMemorySize={memory_mib}m", "-XX:MaxMetaspaceSize=192m"]
    return Command(_java("flink", memory_mib + 128, options, main, "--configDir", str(configuration)), {})


def flink_job_server(
    master: str, configuration: Path, staging: Path, port: int, artifact_port: int, bind: str = "127.0.0.1"
) -> Command:
    """Beam's job server for Flink, which sends no jars; ``master`` is the REST address as host:port."""
    main = "org.kalla.flink.JobServer"
    arguments = [
        f"--flink-master={master}",
        f"--flink-conf-dir={configuration}",
        f"--artifacts-dir={staging}",
        f"--job-host={bind}",
        f"--job-port={port}",
        f"--artifact-port={artifact_port}",
        "--expansion-port=-1",
    ]
    return Command(_java("flink", 512, [*_OPENS, *_QUIET], main, *arguments), {})


def spark_environment(home: Path, bind: str) -> dict[str, str]:
    """Spark's start needs a home with ``jars``; addresses come by environment."""
    return {
        "SPARK_HOME": str(home),
        "SPARK_LOCAL_IP": bind,
        "SPARK_LOCAL_DIRS": str(home / "local"),
        "SPARK_SCALA_VERSION": "2.12",  # else Spark looks for its own build folders
        "SPARK_DAEMON_JAVA_OPTS": " ".join(_SPARK_JVM),
    }


def make_spark_home(home: Path) -> None:
    """A folder that Spark takes for its installation: our jars are its jars. Parts of a cluster that start together may
    make it at the same time, and one that is at work finds its jars all along."""
    (home / "local").mkdir(parents=True, exist_ok=True)
    (home / "work").mkdir(exist_ok=True)
    (home / "RELEASE").write_text("Spark of `make java`\n", encoding="utf-8")
    ours, built = home / "jars", Path(jars.class_path("spark")[0]).parent
    if ours.is_symlink() and ours.readlink() == built:
        return
    link = home / f".jars-{uuid.uuid4().hex}"
    link.symlink_to(built, target_is_directory=True)
    link.replace(ours)  # of other sources, where the folder was used before


def spark_master(home: Path, host: str, port: int, ui_port: int) -> Command:
    main = "org.apache.spark.deploy.master.Master"
    arguments = ("--host", host, "--port", str(port), "--webui-port", str(ui_port))
    return Command(_java("spark", 512, _SPARK_JVM, main, *arguments), spark_environment(home, host))


def spark_worker(home: Path, host: str, master: str, cores: int, memory_mib: int, ui_port: int = 0) -> Command:
    main = "org.apache.spark.deploy.worker.Worker"
    arguments = (
        "--host", host, "--webui-port", str(ui_port), "--cores", str(cores), "--memory", f"{memory_mib}m",
        "--work-dir", str(home / "work"), master,
    )  # fmt: skip
    return Command(_java("spark", 384, _SPARK_JVM, main, *arguments), spark_environment(home, host))


def spark_job_server(
    home: Path, master: str, staging: Path, port: int, artifact_port: int, bind: str = "127.0.0.1",
    executor_mib: int = 640,
) -> Command:  # fmt: skip
    """Beam's job server for Spark, which refuses a job where ``master`` does not listen; it is the driver of its jobs,
    one at a time."""
    main = "org.apache.beam.runners.spark.CheckedJobServer"
    options = [
        *_SPARK_JVM,
        f"-Dspark.executor.memory={executor_mib}m",
        f"-Dspark.executor.extraJavaOptions={' '.join([*_JVM, *_SPARK_JVM])}",
        f"-Dspark.driver.host={bind}",
        f"-Dspark.driver.bindAddress={bind}",
        "-Dspark.ui.enabled=false",
        "-Dspark.task.maxFailures=4",
        "-Dspark.extraListeners=org.kalla.spark.VersionCheck",
    ]
    arguments = [
        f"--spark-master-url={master}",
        f"--artifacts-dir={staging}",
        f"--job-host={bind}",
        f"--job-port={port}",
        f"--artifact-port={artifact_port}",
        "--expansion-port=-1",
    ]
    return Command(_java("spark", 640, options, main, *arguments), spark_environment(home, bind))


def worker_pool(port: int, bind: str = "127.0.0.1") -> Command:
    """Our pool of Python workers, with this Python."""
    arguments = ("-P", "-m", "pipelines.cluster.worker_pool", "--port", str(port), "--bind-host", bind)
    return Command((sys.executable, *arguments), {})
