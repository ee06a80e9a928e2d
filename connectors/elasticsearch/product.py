"""The two products and their two ways to a point in time."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connectors.elasticsearch.client import Client, index_path
from connectors.elasticsearch.errors import incomplete, not_a_search_server, unsupported_version
from connectors.elasticsearch.place import Place

KEEP_ALIVE = "1h"  # from the last page read; it is given back before that unless the process is killed


@dataclass(frozen=True)
class Product:
    """``least`` is the first version with a point in time; ``given`` the member of its answer that names it."""

    name: str
    least: str
    open_path: str
    given: str


ELASTICSEARCH = Product("Elasticsearch", "7.10", "_pit", "id")
OPENSEARCH = Product("OpenSearch", "2.4", "_search/point_in_time", "pit_id")


@dataclass(frozen=True)
class Server:
    """What answers at a place. ``cluster`` tells one cluster from any other."""

    product: Product
    version: str
    cluster: str


def recognised(client: Client, place: Place) -> Server:
    """Which product answers. Raises ConnectorError for others, and for versions without a point in time."""
    about, _ = client.call("GET", "/")
    version = about.get("version")
    number = str(version.get("number", "")) if isinstance(version, dict) else ""
    if not isinstance(version, dict) or not re.match(r"\d+\.\d+", number):
        raise not_a_search_server(place)
    product = OPENSEARCH if version.get("distribution") == "opensearch" else ELASTICSEARCH
    if _parts(number) < _parts(product.least):
        raise unsupported_version(place, product.name, number, product.least)
    return Server(product, number, str(about.get("cluster_uuid", "")))


def resolved(place: Place, answer: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Names and kinds of an answer of ``_resolve/index``, by name. Raises ConnectorError for other answers."""
    found = []
    for part, kind in (("indices", "index"), ("aliases", "alias"), ("data_streams", "data stream")):
        members = answer.get(part, [])
        if not isinstance(members, list):
            raise not_a_search_server(place)
        for one in members:
            if not isinstance(one, dict) or not isinstance(one.get("name"), str):
                raise not_a_search_server(place)
            found.append((one["name"], kind))
    return sorted(found)


def _parts(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version)[:2])


def open_pit(client: Client, place: Place, product: Product) -> str:
    """A new point in time over all shards of the place's index. Raises ConnectorError."""
    answer, _ = client.call("POST", index_path(place, product.open_path), keep_alive=KEEP_ALIVE)
    fault = incomplete(place, answer)
    if fault is not None:
        raise fault
    return str(answer[product.given])


def close_pit(client: Client, product: Product, pit: str) -> None:
    """Give a point in time back. Raises ConnectorError."""
    body: Any = {"id": pit} if product is ELASTICSEARCH else {"pit_id": [pit]}
    client.call("DELETE", f"/{product.open_path}", body)


def search(client: Client, place: Place, pit: str, asked: dict[str, Any]) -> tuple[dict[str, Any], int]:
    """One search at the point in time, whole or not at all; its answer and size. Raises ConnectorError."""
    body = {**asked, "pit": {"id": pit, "keep_alive": KEEP_ALIVE}}
    answer, size = client.call("POST", "/_search", body, allow_partial_search_results="false")
    fault = incomplete(place, answer)
    if fault is not None:
        raise fault
    return answer, size
