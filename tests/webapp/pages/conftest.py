"""A client that reads pages and posts their forms, and a completed run with real evidence whose texts are hostile."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from flask.testing import FlaskClient

from pipelines.launch import RunRequest, launch
from webapp.context import Kalla

SCRIPT = "<script>alert(1)</script>"
BREAKOUT = "\"><img src=x onerror=alert(2)>'"
VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}
INLINE = {"a", "strong", "code", "mark", "textarea", "option", "h1", "label", "svg", "path", "circle"}

Answer = Any


@dataclass
class Element:
    """One start tag, with the text that its element holds."""

    tag: str
    attributes: dict[str, str]
    inside: tuple[str, ...]
    text: str = ""


@dataclass
class Page(HTMLParser):
    """A page taken apart, and what is wrong with how it is nested."""

    html: str = ""
    elements: list[Element] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._open: list[Element] = []
        self.feed(self.html)
        self.close()
        self.faults += [f"<{element.tag}> is never closed" for element in self._open]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._gap(tag)
        names = [name for name, _ in attrs]
        self.faults += [f"<{tag}> has {name} twice" for name in set(names) if names.count(name) > 1]
        element = Element(tag, {n: v or "" for n, v in attrs}, tuple(e.tag for e in self._open))
        self.elements.append(element)
        if tag not in VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        if not self._open or self._open[-1].tag != tag:
            self.faults.append(f"</{tag}> closes {self._open[-1].tag if self._open else 'nothing'}")
            return
        self._open.pop()
        self._gap(tag)

    def _gap(self, tag: str) -> None:
        """Blocks and cells stand apart, parts of a line do not."""
        if tag not in INLINE:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for element in self._open:
            element.text += data

    def all(self, tag: str, **attributes: str) -> list[Element]:
        """Elements of a tag whose attributes have these values."""
        wanted = {name.rstrip("_").replace("_", "-"): value for name, value in attributes.items()}
        return [e for e in self.elements if e.tag == tag and wanted.items() <= e.attributes.items()]

    @property
    def text(self) -> str:
        """Everything that can be read on it, blanks folded."""
        return " ".join("".join(e.text for e in self.elements if e.tag == "main").split())


@dataclass
class Browser:
    """Opens pages and posts forms as a browser without JavaScript does."""

    client: FlaskClient

    def open(self, path: str, status: int = 200) -> Page:
        response = self.client.get(path)
        assert response.status_code == status, response.text
        return Page(response.text)

    def post(self, path: str, values: Mapping[str, Any] | None = None, status: int = 303) -> Answer:
        """A form with the token of its page; the address it leads to, or the page it answers."""
        token = self.open("/sources").all("input", name="csrf_token")[0].attributes["value"]
        data = {"csrf_token": token, **(values or {})}
        response = self.client.post(path, data=data, content_type="multipart/form-data")
        assert response.status_code == status, response.text
        return response.headers["Location"] if status == 303 else Page(response.text)


@pytest.fixture
def browser(client: FlaskClient) -> Browser:
    return Browser(client)


# --- two small sources ----------------------------------------------------------------------------------

INVOICES = f"""\
invoice,amount,due,note
I-1,1250.00,2026-01-05,{SCRIPT}
I-2,99.99,2026-01-06,plain
I-3,8500.00,2026-01-07,"{BREAKOUT.replace('"', '""')}"
I-4,10.00,2026-01-08,=1+1
"""
PAYMENTS = """\
payment,reference,paid,booked
P-1,I-1,1250.00,2026-01-05
P-2,I-2,100.00,2026-01-06
P-3,I-3,8485.00,2026-01-09
P-4,,5.00,2026-01-09
"""
MATCH_SQL = (
    "SELECT l.invoice, r.payment, l.amount, r.paid FROM left_src l JOIN right_src r "
    "ON l.invoice = r.reference AND tolerance_match(l.amount, r.paid, 0.01)"
)


def a_recipe(folder: Path, **changes: Any) -> dict[str, Any]:
    """A recipe over ``invoices.csv`` and ``payments.csv`` of a folder."""
    return {
        "recipe_id": "invoices-payments",
        "name": "Invoices against payments",
        "description": "",
        "match_sql": MATCH_SQL,
        "match_description": "Same number, amounts at most one cent apart.",
        "sources": {
            "left": {
                "alias": "invoices",
                "type": "csv",
                "uri": str(folder / "invoices.csv"),
                "primary_key": ["invoice"],
            },
            "right": {
                "alias": "payments",
                "type": "csv",
                "uri": str(folder / "payments.csv"),
                "primary_key": ["payment"],
            },
        },
    } | changes


def write_sources(folder: Path) -> None:
    (folder / "invoices.csv").write_text(INVOICES, encoding="utf-8")
    (folder / "payments.csv").write_text(PAYMENTS, encoding="utf-8")


@pytest.fixture
def files(data: Path) -> Path:
    """The folder with both files, where the app may read."""
    write_sources(data)
    return data


@pytest.fixture
def stored(parts: Kalla, files: Path) -> dict[str, Any]:
    """The recipe and its sources, registered."""
    recipe = a_recipe(files)
    for side in ("left", "right"):
        source = recipe["sources"][side]
        parts.sources.put(source["alias"], source["uri"], source["type"])
    parts.recipes.put(recipe)
    return recipe


@pytest.fixture(scope="session")
def evidence(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What one real run over both files leaves."""
    folder = tmp_path_factory.mktemp("evidence")
    write_sources(folder)
    output = folder / "result"
    outcome = launch(RunRequest(recipe=a_recipe(folder), output=str(output), run_id=str(uuid.uuid4())))
    assert outcome["status"] == "completed", outcome
    return output


Inserted = Callable[..., str]


@pytest.fixture
def insert_run(parts: Kalla, stored: dict[str, Any]) -> Inserted:
    """``insert_run()``: a pending run of the stored recipe; its id."""

    def insert(**changes: Any) -> str:
        run_id = str(uuid.uuid4())
        recipe = stored | changes
        parts.runs.insert(run_id, recipe["recipe_id"], recipe["name"], recipe, "invoices", "payments")
        return run_id

    return insert


@pytest.fixture
def completed(parts: Kalla, insert_run: Inserted, evidence: Path) -> Iterator[str]:
    """A completed run whose evidence the app holds."""
    run_id = insert_run()
    folder = parts.settings.staging_path / "results" / "runs" / run_id
    shutil.copytree(evidence, folder)
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8")) | {"run_id": run_id}
    (folder / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    counts = {name: value for name, value in manifest["counts"].items() if name != "match_rate"}
    paths = {name: str(folder / name) for name in ("matched", "unmatched_left", "unmatched_right")}
    parts.runs.mark_submitted(run_id)
    parts.runs.record_progress(run_id, "staging")
    assert parts.runs.complete(run_id, counts | {"output_paths": paths, "warnings": ["left_src.amount is text"]})
    yield run_id
