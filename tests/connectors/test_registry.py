"""Types to connectors, drivers that are missing, and where local files may lie."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from connectors import (
    ConnectorError,
    MissingDriver,
    SourceDenied,
    SourceNotFound,
    connector_for,
    connector_types,
    load_driver,
)
from connectors.csv.reader import CsvConnector
from connectors.parquet.reader import ParquetConnector
from connectors.registry import REGISTRY, Registry
from recipe import CsvSource, FileSource, ParquetSource, S3Source, SourceBase, SqliteSource
from tests.connectors.contract import read_rows


def test_known_types_resolve_to_their_classes() -> None:
    assert set(connector_types()) >= {"csv", "parquet", "postgres"}
    assert REGISTRY.resolve("csv") is CsvConnector
    assert REGISTRY.resolve("parquet") is ParquetConnector


def test_an_unknown_type_lists_the_known_ones() -> None:
    with pytest.raises(ConnectorError) as caught:
        REGISTRY.resolve("parqet")
    assert caught.value.code == "source.unknown_type"
    assert "Did you mean 'parquet'?" in caught.value.hint
    assert all(name in caught.value.hint for name in connector_types())
    with pytest.raises(ConnectorError, match="'file'"):
        connector_for(FileSource(alias="a", primary_key=("id",), schema_columns=("id",)))


def test_registration_refuses_what_cannot_work() -> None:
    registry = Registry({"a": "connectors.csv.reader:CsvConnector"})
    with pytest.raises(ValueError, match="already registered"):
        registry.register("a", "elsewhere:Other")
    with pytest.raises(ValueError, match="module:Class"):
        registry.register("b", "elsewhere")
    registry.register("c", "pathlib:Path")
    with pytest.raises(TypeError, match="not a Connector"):
        registry.resolve("c")


def test_a_missing_driver_gives_the_pip_line() -> None:
    with pytest.raises(MissingDriver) as caught:
        load_driver("no_such_driver.sub", "postgres")
    assert caught.value.code == "source.driver_missing"
    assert "pip install 'kalla[postgres]'" in caught.value.hint


def test_importing_and_listing_needs_no_driver() -> None:
    """In an interpreter where no driver can be imported."""
    program = (
        "import sys\n"
        "sys.modules.update(dict.fromkeys(['psycopg2', 'boto3', 'urllib3', 'google.cloud', 'grpc']))\n"
        "import connectors\n"
        "assert {'postgres', 'elasticsearch', 'bigquery'} <= set(connectors.connector_types())\n"
        "for name in ('csv', 'parquet'):\n"
        "    connectors.registry.REGISTRY.resolve(name)\n"
    )
    root = Path(__file__).resolve().parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


# --- local files
# -----------------------------------------------------------------------------------------------


@pytest.fixture
def places(tmp_path: Path) -> tuple[Path, Path]:
    """An allowed folder, and a file outside it."""
    allowed = tmp_path / "allowed"
    allowed.mkdir()
    (allowed / "in.csv").write_text("id\n1\n")
    (tmp_path / "allowed-not").mkdir()
    outside = tmp_path / "allowed-not" / "out.csv"
    outside.write_text("id\nsecret\n")
    return allowed, outside


def source_at(path: Path | str) -> CsvSource:
    return CsvSource(alias="a", uri=str(path), primary_key=("id",))


def test_files_below_a_root_are_read(places: tuple[Path, Path]) -> None:
    allowed, outside = places
    assert read_rows(connector_for(source_at(allowed / "in.csv"), roots=[allowed])) == [("1",)]
    assert read_rows(connector_for(source_at("in.csv"), base_dir=allowed, roots=[allowed])) == [("1",)]
    assert read_rows(connector_for(source_at(outside))) == [("secret",)]


def test_files_elsewhere_are_refused(places: tuple[Path, Path]) -> None:
    allowed, outside = places
    (allowed / "link.csv").symlink_to(outside)
    for path in (
        outside,
        allowed / ".." / "allowed-not" / "out.csv",
        allowed / "link.csv",
        "/etc/passwd.csv",
    ):
        with pytest.raises(SourceDenied) as caught:
            connector_for(source_at(path), roots=[allowed])
        assert caught.value.code == "source.path_forbidden"
        assert caught.value.hint
    with pytest.raises(SourceDenied):
        connector_for(source_at(allowed / "in.csv"), roots=[])


@pytest.mark.parametrize("address", ["{}/inn.csv", "sqlite://{}/inn.db?table=t"])
def test_a_misspelt_file_names_those_that_are_there_to_a_person_only(address: str, places: tuple[Path, Path]) -> None:
    allowed, _ = places
    (allowed / "in.db").touch()
    (allowed / "other.csv").touch()  # alike in its ending only
    (allowed / "broken.csv").symlink_to(allowed / "gone.csv")
    uri = address.format(allowed)
    with pytest.raises(SourceNotFound) as told:
        _opened(uri)
    assert told.value.hint == ("Did you mean 'in.csv'?" if uri.endswith(".csv") else "Did you mean 'in.db'?")
    with pytest.raises(SourceNotFound) as untold:
        _opened(uri, roots=[allowed])
    assert untold.value.hint == "Check the path and the spelling of the name."
    with pytest.raises(SourceNotFound) as broken:
        _opened(str(allowed / "broken.csv"))
    assert broken.value.hint == untold.value.hint


def _opened(uri: str, **access: Any) -> None:
    if uri.startswith("sqlite:"):
        connector_for(SqliteSource(alias="a", uri=uri, primary_key=("id",)), **access).schema()
    else:
        connector_for(source_at(uri), **access).schema()


def test_a_folder_is_listed_with_a_slash_and_without(places: tuple[Path, Path]) -> None:
    allowed, _ = places
    for uri in (allowed, allowed / "any.parquet"):
        source = ParquetSource(alias="a", uri=str(uri), primary_key=("id",))
        assert [entry.name for entry in connector_for(source, roots=[allowed]).listed(5).entries] == ["in.csv"]


def test_a_link_that_moves_later_opens_nothing(places: tuple[Path, Path]) -> None:
    allowed, outside = places
    link = allowed / "link.csv"
    link.symlink_to(allowed / "in.csv")
    connector = connector_for(source_at(link), roots=[allowed])
    assert read_rows(connector) == [("1",)]
    link.unlink()
    link.symlink_to(outside)
    with pytest.raises(SourceDenied):
        read_rows(connector)


def test_a_root_may_itself_be_a_link(places: tuple[Path, Path], tmp_path: Path) -> None:
    allowed, _ = places
    (tmp_path / "alias").symlink_to(allowed)
    assert read_rows(connector_for(source_at(allowed / "in.csv"), roots=[tmp_path / "alias"])) == [("1",)]


@pytest.mark.parametrize("kind", [CsvSource, ParquetSource, S3Source])
def test_a_source_without_address_names_no_file(kind: type[SourceBase]) -> None:
    with pytest.raises(ConnectorError) as caught:
        connector_for(kind(alias="bank", primary_key=("id",)))
    assert caught.value.code == "source.invalid_uri"
    assert caught.value.hint
