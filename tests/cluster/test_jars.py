"""Where the Java side is built and looked for: a folder for each state of its sources."""

from __future__ import annotations

import itertools
import os
import shutil
import subprocess
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipelines.cluster import commands, jars
from pipelines.errors import PipelineError
from tests.test_compose import ROOT

SOURCES = ROOT / "udfs" / "java"
# Leaves a jar of ours, which holds what the sources hold, and one of another's.
JAVA = """#!/bin/sh
echo 'openjdk version "{version}" 2025-04-15' >&2
"""
MAVEN = """#!/bin/sh
for word in "$@"; do case "$word" in -Dkalla.build=*) out="${word#-Dkalla.build=}" ;; esac; done
mkdir -p "$out/kalla-flink/jars"
cat pom.xml >"$out/kalla-flink/jars/kalla-flink-0.1.0.jar"
echo other >"$out/kalla-flink/jars/other-1.2.3.jar"
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SOURCES, tmp_path / "java"))


@pytest.fixture
def home(tmp_path: Path) -> dict[str, str]:
    """An environment whose Maven and Java are ours."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name, text in (("mvn", MAVEN), ("java", JAVA.format(version="17.0.15"))):
        (programs / name).write_text(text, encoding="utf-8")
        (programs / name).chmod(0o755)
    hidden = (jars.FOLDER_VARIABLE, "JAVA_HOME")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    return environment | {"HOME": str(tmp_path / "home"), "PATH": f"{programs}:{os.environ['PATH']}"}


def build(checkout: Path, environment: dict[str, str], *arguments: str) -> str:
    done = subprocess.run(
        [checkout / "build", *arguments], env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_what_builds_and_what_runs_mean_the_same_folder(
    home: dict[str, str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv(jars.FOLDER_VARIABLE, raising=False)
    monkeypatch.setenv("HOME", home["HOME"])
    assert build(SOURCES, home, "where") == str(jars.folder())
    monkeypatch.setenv(jars.FOLDER_VARIABLE, str(tmp_path))
    assert build(SOURCES, home | {jars.FOLDER_VARIABLE: str(tmp_path)}, "where") == str(jars.folder()) == str(tmp_path)


def test_the_folder_is_that_of_the_sources(checkout: Path) -> None:
    names = [jars.built_from(checkout)]
    (checkout / "README.md").write_text("new", encoding="utf-8")
    assert jars.built_from(checkout) == jars.built_from(SOURCES) == names[0]
    pom = checkout / "flink" / "pom.xml"
    pom.write_text(pom.read_text(encoding="utf-8") + "\n", encoding="utf-8")
    names.append(jars.built_from(checkout))
    pom.rename(checkout / "flink" / "pom2.xml")
    names.append(jars.built_from(checkout))
    assert len(set(names)) == 3 and jars.built_from(checkout / "nowhere") == ""


def test_two_checkouts_share_downloads_alone(checkout: Path, home: dict[str, str]) -> None:
    first = Path(build(checkout, home, "where"))
    build(checkout, home)
    (checkout / "pom.xml").write_text("another", encoding="utf-8")
    second = Path(build(checkout, home, "where"))
    build(checkout, home)
    ours, others = "kalla-flink/jars/kalla-flink-0.1.0.jar", "kalla-flink/jars/other-1.2.3.jar"
    assert (first / ours).read_text(encoding="utf-8") != (second / ours).read_text(encoding="utf-8") == "another"
    assert (first / others).samefile(second / others)
    (second / ours).unlink()
    build(checkout, home)  # is there already: Maven is not called again
    assert not (second / ours).exists()


def test_a_home_of_spark_follows_the_jars(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("old", "new"):
        jar = tmp_path / name / "kalla-spark" / "jars" / "some.jar"
        jar.parent.mkdir(parents=True)
        jar.touch()
        monkeypatch.setenv(jars.FOLDER_VARIABLE, str(tmp_path / name))
        commands.make_spark_home(tmp_path / "home")
        assert (tmp_path / "home" / "jars").resolve() == jar.parent


def test_parts_that_start_together_make_one_home_of_spark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is at work there finds jars at every moment, whichever build they are of."""
    builds = [tmp_path / name for name in ("old", "new")]
    for folder in builds:
        (folder / "kalla-spark" / "jars").mkdir(parents=True)
        (folder / "kalla-spark" / "jars" / "some.jar").touch()
    home, turns, ended = tmp_path / "home", itertools.cycle(builds), threading.Event()
    monkeypatch.setattr(jars, "class_path", lambda _: [str(next(turns) / "kalla-spark" / "jars" / "*")])
    commands.make_spark_home(home)
    missed = []

    def work() -> None:
        while not ended.is_set():
            if not (home / "jars" / "some.jar").exists():
                missed.append("the jars")

    with ThreadPoolExecutor(4) as pool:
        working = pool.submit(work)
        starting = [pool.submit(lambda: [commands.make_spark_home(home) for _ in range(100)]) for _ in range(3)]
        try:
            for one in starting:
                one.result(60)
        finally:
            ended.set()
        working.result(60)
    assert missed == []
    assert sorted(path.name for path in home.iterdir()) == ["RELEASE", "jars", "local", "work"]


def java_home(folder: Path, text: str) -> Path:
    program = folder / "bin" / "java"
    program.parent.mkdir(parents=True)
    program.write_text(text, encoding="utf-8")
    program.chmod(0o755)
    return folder


@pytest.mark.parametrize(
    ("version", "kinds"),
    [
        ("1.8.0_402", []),
        ("11.0.2", []),
        ("17.0.15", ["flink", "functions", "spark"]),
        ("22", ["flink", "functions", "spark"]),
        ("25.0.3", ["flink", "functions"]),
    ],
)
def test_a_java_of_another_version_is_refused(
    version: str, kinds: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path, JAVA.format(version=version))))
    taken = []
    for kind in ("flink", "functions", "spark"):
        try:
            assert jars.java(kind) == str(tmp_path / "bin" / "java")
            taken.append(kind)
        except PipelineError as error:
            assert error.code == "run.java_version" and "JAVA_HOME" in error.hint
            assert str(tmp_path) in error.message and "needs Java 17 " in error.message
    assert taken == kinds


@pytest.mark.parametrize("text", ["", "#!/bin/sh\nexit 1\n", "#!/bin/sh\necho nothing of note >&2\n"])
def test_what_is_no_java_is_told(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JAVA_HOME", str(java_home(tmp_path, text)))
    with pytest.raises(PipelineError, match="no Java that can be started") as error:
        jars.java("flink")
    assert error.value.code == "run.java_missing" and "Java 17" in error.value.hint


def test_what_is_too_old_builds_nothing(home: dict[str, str]) -> None:
    (Path(home["PATH"].split(":")[0]) / "java").write_text(JAVA.format(version="11.0.2"), encoding="utf-8")
    done = subprocess.run([SOURCES / "build"], env=home, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and "needs Java 17 or newer" in done.stderr
