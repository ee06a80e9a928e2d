"""What boto3 raises -> errors of a store, in one table. Only codes are passed on: messages can hold key ids."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from connectors import buckets
from connectors.errors import ConnectorError

_ENDPOINT = "S3_ENDPOINT"
_KEYS = "S3_ACCESS_KEY and S3_SECRET_KEY"
_MISSING_BUCKET = ("NoSuchBucket",)
_MISSING_KEY = ("NoSuchKey", "NoSuchVersion", "404", "NotFound", "NoSuchUpload")
_DENIED = (
    "AccessDenied", "InvalidAccessKeyId", "SignatureDoesNotMatch", "ExpiredToken", "InvalidToken", "403", "401",
    "AllAccessDisabled", "AccountProblem", "RequestTimeTooSkewed", "Forbidden", "TokenRefreshRequired",
    "XAdminUserNotFound",  # versitygw, of an access key that it does not know
)  # fmt: skip
_CHANGED = ("PreconditionFailed", "412", "InvalidRange", "416")
_ELSEWHERE = ("PermanentRedirect", "AuthorizationHeaderMalformed", "301", "307", "IllegalLocationConstraintException")


@contextmanager
def translated(name: str, key: str, is_there: Callable[[], bool]) -> Iterator[None]:
    """Errors of the driver inside become ConnectorErrors about ``s3://name/key``; ``is_there`` says whether the bucket
    exists, where an answer leaves that open."""
    from botocore import exceptions as boto

    place = f"s3://{name}/{key}"
    try:
        yield
    except boto.ClientError as error:
        raise _answered(error, name, place, is_there) from None
    except (boto.NoCredentialsError, boto.PartialCredentialsError, boto.CredentialRetrievalError, boto.ProfileNotFound):
        raise buckets.denied(place, "there are no credentials", _KEYS) from None
    except (boto.ParamValidationError, boto.InvalidRegionError, ValueError) as error:
        raise buckets.failed(place, _kind(error)) from None
    except (boto.HTTPClientError, boto.BotoCoreError) as error:
        raise buckets.unreachable(place, _kind(error), _ENDPOINT) from None


def _kind(error: Exception) -> str:
    """The class's name in words: ``EndpointConnectionError`` as ``endpoint connection error``."""
    name = type(error).__name__
    return "".join(f" {c.lower()}" if c.isupper() else c for c in name).strip()


def _answered(error: Any, name: str, place: str, is_there: Callable[[], bool]) -> ConnectorError:
    code = str(error.response.get("Error", {}).get("Code", ""))
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _MISSING_BUCKET or (code in _MISSING_KEY and not is_there()):
        return buckets.bucket_missing("s3", name)
    if code in _MISSING_KEY:
        return buckets.object_missing(place)
    if code in _CHANGED:
        return buckets.object_changed(place)
    if code in _DENIED or status in (401, 403):
        return buckets.denied(place, f"the store says {_plain(code)}", _KEYS)
    if code in _ELSEWHERE or status in (301, 307):
        return buckets.denied(place, "the bucket lies in another region", "S3_REGION and S3_ENDPOINT")
    if status >= 500 or code in ("SlowDown", "RequestTimeout", "Throttling", "TooManyRequests") or status == 429:
        return buckets.unreachable(place, f"it says {_plain(code)}", _ENDPOINT)
    return buckets.failed(place, f"it says {_plain(code)}")


def _plain(code: str) -> str:
    kept = "".join(c for c in code if c.isalnum())[:60]
    return kept or "no reason"
