"""What google-cloud-storage raises -> errors of a store, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors import buckets

_ENDPOINT = "that storage.googleapis.com can be reached"
_KEYS = "GOOGLE_APPLICATION_CREDENTIALS"


@contextmanager
def translated(name: str, key: str, is_there: Callable[[], bool]) -> Iterator[None]:
    """Errors of the driver inside become ConnectorErrors about ``gs://name/key``; ``is_there`` says whether the bucket
    exists, where an answer leaves that open."""
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth
    from requests import exceptions as http
    from urllib3.exceptions import HTTPError

    place = f"gs://{name}/{key}"
    try:
        yield
    except api.NotFound:
        raise (buckets.object_missing(place) if key and is_there() else buckets.bucket_missing("gs", name)) from None
    except (api.PreconditionFailed, api.RequestRangeNotSatisfiable):
        raise buckets.object_changed(place) from None
    except (api.Forbidden, api.Unauthorized):
        raise buckets.denied(place, "the store does not accept the credentials", _KEYS) from None
    except (auth.DefaultCredentialsError, auth.RefreshError):
        raise buckets.denied(place, "there are no credentials that work", _KEYS) from None
    except (
        api.ServerError,
        api.TooManyRequests,
        api.RetryError,
        auth.TransportError,
        http.RequestException,
        HTTPError,  # met while an answer is read on, the session's own errors give way to these
    ) as error:
        raise buckets.unreachable(place, type(error).__name__, _ENDPOINT) from None
    except (api.GoogleAPICallError, ValueError) as error:
        raise buckets.failed(place, type(error).__name__) from None
