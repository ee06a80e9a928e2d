"""What goes wrong between Kalla and a search server, and where the server is called: over a real OpenSearch node."""

from __future__ import annotations

import base64
import datetime as dt
import ssl
from pathlib import Path

import pytest

from connectors import ConnectorError, connector_for
from recipe import ElasticsearchSource
from tests.connectors.contract import UTC, read_rows
from tests.connectors.test_elasticsearch import API_KEY, over
from tests.search_servers import Front, SearchNode, front
from tests.servers import free_port

pytest_plugins = ("tests.search_fixtures",)


def said_by(uri: str) -> ConnectorError:
    with pytest.raises(ConnectorError) as caught:
        read_rows(over(uri))
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "who, parameters",
    [("", {}), ("reader:wr0ng-s3cret@", {}), ("", {"api_key": "wr0ng-s3cret"}), ("", {"api_key": "id:wr0ng-s3cret"})],
)
def test_wrong_credentials_are_refused_and_never_shown(node: SearchNode, who: str, parameters: dict[str, str]) -> None:
    with front(node, authorization="Basic right") as found:
        error = said_by(found.uri("x", who, **parameters))
    assert error.code == "source.access_denied"
    encoded = base64.b64encode(b"id:wr0ng-s3cret").decode()
    assert not any(secret in f"{error!s}{error.as_dict()!r}" for secret in ("wr0ng-s3cret", encoded))


def test_a_key_in_two_parts_is_encoded(node: SearchNode) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": 1}])
    with front(node, authorization=f"ApiKey {API_KEY}") as found:
        assert read_rows(over(found.uri(name, api_key="key-id:s3cr3t-of-the-key"))) == [(1,)]


def test_answers_that_broke_off_are_asked_for_again(node: SearchNode, search: Front) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(30)])
    source = over(search.uri(name))
    search.cuts, search.statuses = 2, [503, 429]
    assert read_rows(source, 3) == [(i,) for i in range(30)]
    assert not search.cuts and not search.statuses


def test_answers_that_are_too_large_are_asked_for_in_parts(
    node: SearchNode, search: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.elasticsearch.client._LARGEST_ANSWER", 10_000)
    name = node.index({"t": {"type": "keyword"}}, [{"t": f"{i:1500}"} for i in range(40)])
    assert [row[0].strip() for row in read_rows(over(search.uri(name)), 2)] == [str(i) for i in range(40)]
    assert search.queries[1]["size"] == 32
    monkeypatch.setattr("connectors.elasticsearch.client._LARGEST_ANSWER", 1_000)
    assert "larger than" in said_by(search.uri(name)).message


def test_a_connection_that_stays_broken_ends_the_read(
    node: SearchNode, search: Front, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("connectors.elasticsearch.client._FIRST_PAUSE", 0.001)
    name = node.index({"n": {"type": "long"}}, [{"n": i} for i in range(30)])
    source = over(search.uri(name))
    with source.open_snapshot() as snapshot:
        splits = source.plan_splits(snapshot, 2)
        search.cuts = 1000
        with pytest.raises(ConnectorError, match="broke off") as caught:
            list(source.read(snapshot, splits[0]))
        search.cuts = 0
    assert caught.value.code == "source.unreachable"
    search.statuses = [503] * 20
    assert said_by(search.uri(name)).code == "source.unreachable"


@pytest.mark.parametrize(
    "statuses, says, code",
    [
        ([403], "not allowed", "source.access_denied"),
        ([400], "refused what was asked", "source.unreadable"),
        ([200], "neither Elasticsearch nor OpenSearch", "source.unreadable"),
        ([500], "refused what was asked", "source.unreadable"),
    ],
)
def test_every_status_has_its_sentence(search: Front, statuses: list[int], says: str, code: str) -> None:
    search.statuses = statuses
    error = said_by(search.uri("x"))
    assert says in error.message and error.code == code


@pytest.mark.parametrize(
    "answer",
    [
        {"indices": None},
        {"indices": {"name": "a"}},
        {"indices": ["a"]},
        {"indices": [{"attributes": ["open"]}]},
        {"indices": [], "aliases": [{"name": None}]},
    ],
)
def test_a_listing_of_another_shape_is_no_search_servers(search: Front, answer: dict[str, object]) -> None:
    search.listing = answer
    with pytest.raises(ConnectorError, match="neither Elasticsearch nor OpenSearch"):
        over(search.uri("x")).listed(10)


def test_redirects_are_not_followed(node: SearchNode, search: Front) -> None:
    with front(node) as elsewhere:
        search.redirect = f"http://127.0.0.1:{elsewhere.port}/"
        assert "sends callers elsewhere" in said_by(search.uri("x")).message
        assert elsewhere.paths == []


@pytest.mark.parametrize(
    "product, version", [("opensearch", "2.3.0"), ("elasticsearch", "7.9.3"), ("elasticsearch", "6.8")]
)
def test_versions_without_a_point_in_time_are_refused(node: SearchNode, product: str, version: str) -> None:
    with front(node, product=product, version=version) as found:
        error = said_by(found.uri("x"))
    assert error.code == "source.unsupported_version" and version in error.message


def test_nobody_there(search: Front, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("connectors.elasticsearch.client._FIRST_PAUSE", 0.001)
    assert said_by(f"elasticsearch://127.0.0.1:{free_port()}?index=x").code == "source.unreachable"
    assert said_by(search.uri("x", tls="true")).code == "source.unreachable"


@pytest.mark.parametrize(
    "uri, says",
    [
        ("elasticsearch://h?index=x&routing=y", "parameter 'routing'"),
        ("elasticsearch://h?index=_all", "no index can be called"),
        ("elasticsearch://h?index=a/_search", "no index can be called"),
        ("elasticsearch://h?index=a,../b", "no index can be called"),
        ("elasticsearch://h?index=-a", "no index can be called"),
        ("elasticsearch://h?index=..", "no index can be called"),
        ("elasticsearch://h?index=a,.", "no index can be called"),
        ("elasticsearch://user@h?index=a", "alone"),
        ("elasticsearch://u:p@h?index=a&api_key=k", "a user and an api_key"),
        ("elasticsearch://h?index=a&api_key=k%20l", "odd characters"),
        ("elasticsearch://h%40x%2Fy?index=a", "other characters"),
    ],
)
def test_addresses_that_cannot_be_meant(uri: str, says: str) -> None:
    with pytest.raises(ConnectorError, match=says) as caught:
        over(uri)
    assert caught.value.code == "source.invalid_uri"


# --- where the host is called ----------------------------------------------------------------------------------------


def test_only_checked_addresses_are_called(node: SearchNode, search: Front) -> None:
    """The name is never resolved again: it need not even exist."""
    name = node.index({"n": {"type": "long"}}, [{"n": 1}])
    uri = search.uri(name).replace("127.0.0.1", "search.invalid")
    source = ElasticsearchSource(alias="a", uri=uri, primary_key=("n",))
    assert read_rows(connector_for(source, hosts={"search.invalid": ("127.0.0.1",)})) == [(1,)]
    with pytest.raises(ConnectorError, match="cannot be found") as caught:
        connector_for(source, hosts={})
    assert caught.value.code == "source.unreachable"


def test_encrypted_connections_check_the_name(
    node: SearchNode, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = node.index({"n": {"type": "long"}}, [{"n": 1}])
    context = certified(tmp_path, "search.example")
    with front(node, tls=context) as found:
        uri = found.uri(name).replace("127.0.0.1", "search.example")
        source = ElasticsearchSource(alias="a", uri=uri, primary_key=("n",))
        reached = connector_for(source, hosts={"search.example": ("127.0.0.1",)})
        with pytest.raises(ConnectorError, match="No encrypted connection") as caught:
            reached.schema()
        assert caught.value.code == "source.unreachable"
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "certificate.pem"))
        assert read_rows(reached) == [(1,)]
        with pytest.raises(ConnectorError, match="No encrypted connection"):
            over(found.uri(name)).schema()  # by its number, which the certificate does not have


def certified(folder: Path, host: str) -> ssl.SSLContext:
    """A server's context with a certificate of its own for a host, which lies in ``folder`` too."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key, now = ec.generate_private_key(ec.SECP256R1()), dt.datetime.now(UTC)
    named = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, host)])
    made = (
        x509.CertificateBuilder(named, named, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), True)
        .sign(key, hashes.SHA256())
    )
    form = serialization.Encoding.PEM
    (folder / "certificate.pem").write_bytes(made.public_bytes(form))
    plain = (serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    (folder / "key.pem").write_bytes(key.private_bytes(form, *plain))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "certificate.pem", folder / "key.pem")
    return context
