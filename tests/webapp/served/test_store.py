"""The whole product with an S3 store: a browser sends files there, a run reads and writes there, the app shows it."""

from __future__ import annotations

import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import expect

from pipelines.evidence import verify
from tests.object_servers import S3Server
from tests.webapp.served.browsing import browser
from tests.webapp.served.serving import SAMPLE, Served, served

SQL = (
    "SELECT l.invoice_id, r.payment_id FROM left_src l JOIN right_src r"
    " ON l.invoice_id = r.reference_number AND tolerance_match(l.amount, r.paid_amount, 0.02)"
)


@pytest.fixture(scope="module")
def kalla(s3_process: S3Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    folder = tmp_path_factory.mktemp("stored")
    number = folder.stat().st_ino
    buckets = {"S3_UPLOADS_BUCKET": f"uploads-{number}", "S3_RESULTS_BUCKET": f"results-{number}"}
    with served(folder, **s3_process.environment(), **buckets) as found:
        yield found


def upload(kalla: Served, path: Path) -> str:
    """By a signed link, as any program does it."""
    status, link = kalla.call("POST", "/api/uploads/presign", {"filename": path.name, "session_id": "s-1"})
    assert status == 200
    request = urllib.request.Request(link["presigned_url"], path.read_bytes(), method="PUT")
    with urllib.request.urlopen(request, timeout=30) as answer:
        assert answer.status == 200
    body = {"s3_uri": link["s3_uri"], "filename": path.name}
    status, confirmed = kalla.call("POST", f"/api/uploads/{link['upload_id']}/confirm", body)
    assert (status, confirmed["row_count"]) == (200, 15)
    return str(link["s3_uri"])


def test_from_uploads_in_the_store_to_evidence_in_the_store(kalla: Served, s3_store: S3Server) -> None:
    uris = {side: upload(kalla, SAMPLE / name) for side, name in (("left", "invoices.csv"), ("right", "payments.csv"))}
    keys = {"left": ["invoice_id"], "right": ["payment_id"]}
    recipe = {
        "recipe_id": "stored",
        "name": "Stored",
        "match_sql": SQL,
        "sources": {
            side: {"alias": side, "type": "csv_upload", "uri": uri, "primary_key": keys[side]}
            for side, uri in uris.items()
        },
    }
    status, answer = kalla.call("POST", "/api/runs", {"recipe": recipe})
    assert status == 200, answer
    run = kalla.ended(answer["run_id"], 120)
    assert (run["status"], run["matched_count"], run["unmatched_left_count"]) == ("completed", 7, 8), run
    place = run["output_matched"].rpartition("/matched")[0]
    assert place.startswith("s3://results-") and place.endswith(f"/runs/{run['run_id']}")
    status, page = kalla.call(
        "GET", f"/api/runs/{run['run_id']}/evidence/unmatched_left?limit=3&sort=amount&order=desc"
    )
    assert (status, page["total_rows"], len(page["rows"])) == (200, 8, 3)
    status, checked = kalla.call("POST", f"/api/runs/{run['run_id']}/verify")
    assert (status, checked["ok"]) == (200, True), checked
    assert verify(place).ok
    with urllib.request.urlopen(
        f"{kalla.url}/api/runs/{run['run_id']}/evidence/matched/download?format=csv", timeout=30
    ) as answer:
        assert len(answer.read().splitlines()) == 8
    assert not list((kalla.folder / "staging").glob("results/**/*.parquet"))


def test_a_browser_sends_its_file_to_the_store(kalla: Served) -> None:
    with browser() as chrome:
        page = chrome.new_context(base_url=kalla.url).new_page()
        refused: list[str] = []
        page.on("console", lambda message: refused.append(message.text) if message.type == "error" else None)
        page.goto("/recipes/new")
        with page.expect_response(lambda r: r.request.method == "PUT" and "X-Amz-Signature" in r.url) as sent:
            page.locator("input[type=file]").first.set_input_files(str(SAMPLE / "invoices.csv"))
        assert sent.value.status == 200
        expect(page.get_by_role("status").last).to_contain_text("is uploaded.")
        assert not refused
