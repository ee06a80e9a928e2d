"""What BigQuery and Google Cloud Storage have in common: how their packages are loaded, and how their errors group."""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

from connectors.registry import load_driver

Errors = tuple[type[Exception], ...]


def driver(module: str, extra: str) -> Any:
    """A module of Google's, imported without what it says about the versions it stands on. Raises MissingDriver."""
    with warnings.catch_warnings():
        for kind in (FutureWarning, ImportWarning, DeprecationWarning):
            warnings.simplefilter("ignore", kind)
        return load_driver(module, extra)


def staying(client: Any) -> Any:
    """The client, made to take a redirect as a failure: nothing is fetched from a place that nobody named."""
    client._http.max_redirects = 0  # the session that Google's clients send everything with
    return client


@dataclass(frozen=True)
class Groups:
    """Exceptions that mean the same to whoever asked. ``refused`` are those of any other call that failed."""

    missing: Errors
    denied: Errors
    without_credentials: Errors
    away: Errors
    refused: Errors


def groups(extra: str) -> Groups:
    """Of api_core, auth and the HTTP client below them. Raises MissingDriver."""
    api = driver("google.api_core.exceptions", extra)
    auth = driver("google.auth.exceptions", extra)
    http = driver("requests.exceptions", extra)
    below = driver("urllib3.exceptions", extra)  # met while an answer is read on, in place of the session's
    return Groups(
        missing=(api.NotFound,),
        denied=(api.Forbidden, api.Unauthorized),
        without_credentials=(auth.DefaultCredentialsError, auth.RefreshError),
        away=(
            api.ServerError,
            api.TooManyRequests,
            api.RetryError,
            auth.TransportError,
            http.RequestException,
            below.HTTPError,
        ),
        refused=(api.GoogleAPICallError,),
    )
