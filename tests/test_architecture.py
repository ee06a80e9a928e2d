"""The import rules of this repository, checked on the source text.

Function-level and TYPE_CHECKING imports count too: a lazy import hides a
dependency from the reader without removing it.
"""

from __future__ import annotations

import ast
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGES = ("recipe", "udfs", "connectors", "pipelines", "webapp", "benchmarks")

# importer -> {imported package: modules it may name; "*" is any of them}
ALLOWED = {
    "recipe": {},
    "udfs": {"recipe": {"recipe"}},
    "connectors": {"recipe": {"recipe"}},
    "pipelines": {"recipe": {"recipe"}, "udfs": {"udfs"}, "connectors": {"connectors"}},
    "webapp": {
        "recipe": {"recipe"},
        "udfs": {"udfs"},
        "connectors": {"connectors"},
        "pipelines": {"pipelines.launch", "pipelines.evidence"},
    },
    "benchmarks": {p: {"*"} for p in ("recipe", "udfs", "connectors", "pipelines", "webapp")},
}
DRIVERS = {"psycopg", "boto3", "s3fs"}
BANNED = {  # module prefix -> third-party roots it may never import
    "recipe": {"apache_beam", "flask", "pyarrow", "duckdb", *DRIVERS},
    "udfs": {"apache_beam", "flask", *DRIVERS},
    "connectors": {"apache_beam", "flask"},
    "pipelines": {"flask", *DRIVERS},
    "pipelines.launch": {"apache_beam"},
    "pipelines.evidence": {"apache_beam"},
    "webapp": {"apache_beam", *DRIVERS},
}


def modules() -> dict[str, Path]:
    found = {}
    for package in PACKAGES:
        for path in sorted((ROOT / package).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found[".".join(p for p in parts if p != "__init__")] = path
    return found


MODULES = modules()


def imports(module: str) -> set[str]:
    """Full dotted names imported anywhere in the module."""
    names = set()
    for node in ast.walk(ast.parse(MODULES[module].read_text())):
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module}: relative import"
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                names.add(full if full in MODULES else node.module)
    return names - {module}


@pytest.mark.parametrize("module", MODULES)
def test_imports_point_down(module: str):
    importer = module.partition(".")[0]
    for name in imports(module):
        imported = name.partition(".")[0]
        if imported not in PACKAGES or imported == importer:
            continue
        allowed = ALLOWED[importer].get(imported, set())
        assert "*" in allowed or name in allowed, f"{module} may not import {name}"


@pytest.mark.parametrize("module", MODULES)
def test_third_party_stays_in_its_layer(module: str):
    roots = {name.partition(".")[0] for name in imports(module)}
    for prefix, banned in BANNED.items():
        if module == prefix or module.startswith(f"{prefix}."):
            assert not roots & banned, f"{module} imports {roots & banned}"


def test_no_import_cycles():
    graph = {m: {n for n in imports(m) if n in MODULES} for m in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(reversed(error.args[1])))
