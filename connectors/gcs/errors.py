"""What google-cloud-storage raises -> errors of a store, in one table."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from connectors import buckets
from connectors.google import Errors, driver, groups

_ENDPOINT = "that storage.googleapis.com can be reached"
_KEYS = "GOOGLE_APPLICATION_CREDENTIALS"


@contextmanager
def translated(name: str, key: str, is_there: Callable[[], bool]) -> Iterator[None]:
    """Errors of the driver inside become ConnectorErrors about ``gs://name/key``; ``is_there`` says whether the bucket
    exists, where an answer leaves that open."""
    known = groups("gcs")
    api = driver("google.api_core.exceptions", "gcs")
    refused: Errors = (*known.refused, ValueError)
    place = f"gs://{name}/{key}"
    try:
        yield
    except known.missing:
        raise (buckets.object_missing(place) if key and is_there() else buckets.bucket_missing("gs", name)) from None
    except (api.PreconditionFailed, api.RequestRangeNotSatisfiable):
        raise buckets.object_changed(place) from None
    except known.denied:
        raise buckets.denied(place, "the store does not accept the credentials", _KEYS) from None
    except known.without_credentials:
        raise buckets.denied(place, "there are no credentials that work", _KEYS) from None
    except known.away as error:
        raise buckets.unreachable(place, type(error).__name__, _ENDPOINT) from None
    except refused as error:
        raise buckets.failed(place, type(error).__name__) from None
