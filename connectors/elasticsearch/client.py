"""Requests to a search server: at checked addresses only, repeated where that helps, numbers as they are written.

Everything that is asked only reads, so that a request that broke off can be sent again.
"""

from __future__ import annotations

import contextlib
import json
import random
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import quote, urlencode

import urllib3
import urllib3.exceptions as http

from connectors.elasticsearch.errors import AnswerTooLarge, answered, broken, not_a_search_server
from connectors.elasticsearch.place import Place

ATTEMPTS = 4
_FIRST_PAUSE = 0.2
_CONNECT_SECONDS = 10
_READ_SECONDS = 120
_LARGEST_ANSWER = 512 * 1024 * 1024
_PIECE = 1 << 20
_AGAIN = (429, 502, 503, 504)


class Number(str):
    """A JSON number, as its text in the answer: nothing is rounded before a column's type is known."""

    __slots__ = ()


def read_json(data: bytes) -> Any:
    """Raises ValueError."""
    return json.loads(data, parse_float=Number, parse_int=Number, parse_constant=Number)


class Client:
    """An open way to one server; ``call`` any number of times. One thread at a time."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._pools = [_pool(place, numeric) for numeric in place.numeric or (place.host,)]
        self._headers = {"Host": place.netloc, "Accept": "application/json", "User-Agent": "kalla"}
        if place.authorization is not None:
            self._headers["Authorization"] = place.authorization

    def close(self) -> None:
        for pool in self._pools:
            pool.close()

    def call(self, method: str, path: str, body: Any = None, **query: str) -> tuple[Any, int]:
        """The JSON of a successful answer, and its size in bytes. Raises ConnectorError."""
        target = path + (f"?{urlencode(query)}" if query else "")
        content = None if body is None else json.dumps(body).encode()
        for attempt in range(1, ATTEMPTS + 1):
            try:
                status, data = self._once(method, target, content)
            except http.HTTPError as error:
                if attempt == ATTEMPTS or isinstance(error, http.SSLError | http.ConnectTimeoutError):
                    raise broken(self._place, error) from None
            else:
                if status not in _AGAIN or attempt == ATTEMPTS:
                    return self._understood(status, data), len(data)
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1) * (0.5 + random.random() / 2))  # noqa: S311 - spreads repeats
        raise AssertionError("the last attempt returns or raises")

    def _once(self, method: str, target: str, content: bytes | None) -> tuple[int, bytes]:
        """One request, at the first of the host's addresses that takes the connection."""
        headers = self._headers | ({} if content is None else {"Content-Type": "application/json"})
        for pool in self._pools:
            try:
                answer = pool.urlopen(
                    method, target, content, headers, retries=False, redirect=False, preload_content=False
                )
            except (http.NewConnectionError, http.ConnectTimeoutError):
                if pool is self._pools[-1]:
                    raise
                continue
            self._pools = [pool]
            return answer.status, self._whole(answer)
        raise AssertionError("there is a pool")

    def _whole(self, answer: Any) -> bytes:
        pieces, size = [], 0
        try:
            while piece := answer.read(_PIECE):
                size += len(piece)
                if size > _LARGEST_ANSWER:
                    raise AnswerTooLarge(
                        f"One answer about {self._place.shown} is larger than {_LARGEST_ANSWER >> 20} MiB.",
                        hint="Documents of this size cannot be read.",
                    )
                pieces.append(piece)
        except BaseException:
            answer.close()
            raise
        answer.release_conn()
        return b"".join(pieces)

    def _understood(self, status: int, data: bytes) -> Any:
        try:
            body = read_json(data)
        except (ValueError, RecursionError):
            body = None
        if not 200 <= status < 300:
            raise answered(self._place, status, body)
        if not isinstance(body, dict):
            raise not_a_search_server(self._place)
        return body


@contextmanager
def client(place: Place) -> Iterator[Client]:
    """A client, closed at the end."""
    with contextlib.closing(Client(place)) as found:
        yield found


def index_path(place: Place, rest: str) -> str:
    """The path of a request about the place's index."""
    return f"/{quote(place.index, safe='*,')}/{rest}"


def _pool(place: Place, host: str) -> urllib3.HTTPConnectionPool:
    timeout = urllib3.Timeout(connect=_CONNECT_SECONDS, read=_READ_SECONDS)
    if not place.tls:
        return urllib3.HTTPConnectionPool(host, place.port, timeout=timeout, maxsize=1)
    # The name stays what the certificate is checked against, whatever number is called.
    return urllib3.HTTPSConnectionPool(
        host,
        place.port,
        timeout=timeout,
        maxsize=1,
        ssl_context=ssl.create_default_context(),
        server_hostname=place.host,
        assert_hostname=place.host,
    )
