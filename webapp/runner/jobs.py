"""What a job asks for, checked in full before it is accepted (contract 3.2) and again before it starts."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import SplitResult, urlsplit

from connectors import ConnectorError, connector_for, connector_types
from recipe import (
    SOURCE_CLASSES,
    ElasticsearchAddress,
    KallaError,
    MysqlAddress,
    PostgresAddress,
    Problem,
    Recipe,
    SideInput,
    Source,
    check_match_sql,
    infer_type,
    local_path_of,
    parse_recipe,
    parse_uri,
    write_json,
)
from udfs import signatures
from webapp.errors import ServiceError
from webapp.runner.outputs import Output, resolve_output
from webapp.settings import Settings

SIDES = {"left_src": "left", "right_src": "right"}
_RUN_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
_SQL_REFUSED = ("recipe.sql.forbidden", "recipe.sql.unknown_table")
_PORTS = {"http": 80, "https": 443}
_LONGEST_URL = 2048
Hosts = dict[str, tuple[str, ...]]  # host -> the numeric addresses that were checked and may be connected to


@dataclass(frozen=True)
class Guards:
    """What jobs may reach, as functions of the settings: ``check_host(host, port, code)`` raises ServiceError with
    that code or gives the numeric addresses to connect to, ``stored_address(uri)`` is where an upload lies or None,
    ``check_files(type, uri)`` raises for files that sources may not read."""

    check_host: Callable[[str, int, str], tuple[str, ...]]
    stored_address: Callable[[str], str | None]
    check_files: Callable[[str, str], None]


@dataclass(frozen=True)
class Job:
    """A job that may run. ``document`` is a whole recipe; its addresses may hold passwords."""

    run_id: str
    callback_url: str
    output: Output
    document: dict[str, Any]
    sides: Mapping[str, str]  # alias in events -> left_src or right_src, where the two sides differ
    hosts: Hosts  # where the servers of its sources were found when it was checked


def payload_of(body: Mapping[str, Any]) -> tuple[str, str]:
    """The body as one fixed text, and its SHA-256."""
    text = write_json(dict(body), sort_keys=True)
    return text, hashlib.sha256(text.encode()).hexdigest()


def read_run_id(body: Mapping[str, Any]) -> str | None:
    """The job's id in lower case; None when it is no UUID."""
    value = body.get("run_id")
    return value.lower() if isinstance(value, str) and _RUN_ID.fullmatch(value) else None


def read_job(body: Mapping[str, Any], settings: Settings, guards: Guards, shared: bool = False) -> Job:
    """The checked job. ``shared`` refuses local paths, which another machine cannot reach.

    Raises ServiceError ``job.invalid`` (all problems in ``details``), ``job.unknown_alias``, ``job.sql_forbidden``,
    ``job.output_forbidden``, ``job.callback_forbidden``.
    """
    problems = _shape_problems(body)
    sources = _by_alias(body, problems)
    document: dict[str, Any] = {}
    recipe: Recipe | None = None
    hosts: Hosts = {}
    if sources is not None:
        document, found = _document(body, sources, guards)
        if not found:
            recipe, found = _checked(document, {SIDES[alias]: index for alias, (index, _) in sources.items()})
        if recipe is not None:
            places = {SIDES[alias]: index for alias, (index, _) in sources.items()}
            hosts, found = _places(recipe, places, settings, guards, shared)
        reported = {p.path for p in problems}
        problems += [p for p in found if p.path not in reported and p.path.partition(".")[0] not in reported]
    if problems:
        raise _refused(problems)
    assert recipe is not None, "without a recipe there is a problem"
    _check_sql(recipe)
    output = resolve_output(str(body["output_path"]), str(body["run_id"]).lower(), settings, shared)
    url = callback_base(str(body["callback_url"]))
    check_callback(url, settings, guards)
    return Job(str(body["run_id"]).lower(), url, output, document, _event_sides(recipe), hosts)


def callback_base(url: str) -> str:
    """Where ``/progress``, ``/complete`` and ``/error`` are appended; a URL that already ends so is cut."""
    return url.rstrip("/").removesuffix("/progress").rstrip("/")


def check_callback(url: str, settings: Settings, guards: Guards) -> tuple[str, int, tuple[str, ...]]:
    """Host, port and the numeric addresses of a callback address that may be called. Raises ServiceError
    ``job.callback_forbidden``."""
    parts = _split(url)
    if parts is None or parts.username is not None or parts.query or parts.fragment:
        raise _callback_forbidden("callback_url must be an http or https address without user, query and fragment.")
    assert parts.hostname is not None, "_split sees to it"
    port = parts.port or _PORTS[parts.scheme]
    allowed = [_origin(text) for text in settings.callback_origins]
    if allowed and (parts.scheme, parts.hostname, port) not in allowed:
        raise _callback_forbidden("callback_url does not begin with one of the origins in KALLA_CALLBACK_ORIGINS.")
    return parts.hostname, port, guards.check_host(parts.hostname, port, "job.callback_forbidden")


def check_source_host(kind: str, uri: str, guards: Guards) -> Hosts:
    """Where the server of a source was found, empty for a file. Raises ServiceError ``source.host_forbidden`` for one
    that may not be reached."""
    address = parse_uri(kind, uri)
    if isinstance(address, PostgresAddress | ElasticsearchAddress | MysqlAddress) and address.host:
        return {address.host: guards.check_host(address.host, address.port or 5432, "source.host_forbidden")}
    return {}


# --- the parts ---------------------------------------------------------------------------------------------------


def _problem(path: str, message: str, code: str = "job.invalid_field") -> Problem:
    return Problem(path, message, code)


def _refused(problems: list[Problem]) -> ServiceError:
    code = "job.invalid"
    if any(p.code == "job.unknown_alias" for p in problems):
        code = "job.unknown_alias"
    first = problems[0]
    rest = f" (and {len(problems) - 1} more)" if len(problems) > 1 else ""
    return ServiceError(f"The job cannot be run: {first.path}: {first.message}{rest}.", code=code, details=problems)


def _shape_problems(body: Mapping[str, Any]) -> list[Problem]:
    problems = []
    if read_run_id(body) is None:
        problems.append(_problem("run_id", "must be a UUID"))
    for name in ("callback_url", "match_sql", "output_path"):
        value = body.get(name)
        if not isinstance(value, str) or not value.strip():
            problems.append(_problem(name, "must be a text"))
    url = body.get("callback_url")
    if isinstance(url, str) and url.strip() and _split(url) is None:
        problems.append(_problem("callback_url", "must be an http or https address"))
    keys = body.get("primary_keys")
    if not isinstance(keys, Mapping):
        problems.append(_problem("primary_keys", "must be an object with left_src and right_src"))
    else:
        for name in [n for n in keys if n not in SIDES]:
            where = f"primary_keys.{str(name)[:80]}"
            problems.append(_problem(where, "aliases are left_src and right_src", "job.unknown_alias"))
        problems += [_problem(f"primary_keys.{name}", "is missing") for name in SIDES if name not in keys]
    return problems


def _by_alias(body: Mapping[str, Any], problems: list[Problem]) -> dict[str, tuple[int, Mapping[str, Any]]] | None:
    """Place and value of each side's source; None when there are not exactly the two."""
    listed = body.get("sources")
    if not isinstance(listed, list) or len(listed) != 2 or not all(isinstance(s, Mapping) for s in listed):
        problems.append(_problem("sources", "must be a list of exactly two objects"))
        return None
    found: dict[str, tuple[int, Mapping[str, Any]]] = {}
    for index, source in enumerate(listed):
        alias = source.get("alias")
        if not isinstance(alias, str) or alias not in SIDES:
            where = f"sources[{index}].alias"
            problems.append(_problem(where, "must be left_src or right_src", "job.unknown_alias"))
        elif alias in found:
            problems.append(_problem(f"sources[{index}].alias", f"{alias} is given twice"))
        else:
            found[alias] = (index, source)
    return found if len(found) == len(SIDES) else None


def _document(
    body: Mapping[str, Any], sources: Mapping[str, tuple[int, Mapping[str, Any]]], guards: Guards
) -> tuple[dict[str, Any], list[Problem]]:
    """The job as a recipe document, and what prevents that."""
    about = body.get("recipe")
    told: Mapping[str, Any] = about if isinstance(about, Mapping) else {}
    keys = body.get("primary_keys")
    named: Mapping[str, Any] = keys if isinstance(keys, Mapping) else {}
    problems: list[Problem] = []
    made: dict[str, Any] = {}
    for alias, (index, source) in sources.items():
        where = f"sources[{index}]"
        try:
            kind, uri = resolve_source(source.get("type"), source.get("uri"), guards)
        except KallaError as error:
            problems.append(Problem(f"{where}.uri", f"{error.message} {error.hint}".strip(), error.code))
            continue
        kept = {name: source[name] for name in ("schema", "format", "filters") if source.get(name) is not None}
        name = source.get("name") or alias
        made[SIDES[alias]] = {"alias": name, "type": kind, "uri": uri, "primary_key": named.get(alias, []), **kept}
    document = {
        "recipe_id": told.get("recipe_id") or f"job-{body.get('run_id')}",
        "name": told.get("name") or "Reconciliation",
        "description": told.get("description") or "",
        "match_sql": body.get("match_sql"),
        "match_description": told.get("match_description") or "",
        "sources": made,
    }
    return document, problems


def resolve_source(kind: object, uri: object, guards: Guards) -> tuple[str, str]:
    """Type and address as a connector takes them: uploads are found where they lie, a missing type follows from the
    address. Raises KallaError."""
    if not isinstance(uri, str) or not uri:
        raise ServiceError("must be the address of the source", code="source.invalid_uri")
    if kind is not None and not isinstance(kind, str):
        raise ServiceError("the type must be a text", code="source.unsupported_type")
    stored = guards.stored_address(uri) if uri.lower().startswith("s3://") else None
    if stored is not None:
        return _file_kind(stored), stored
    known = infer_type(uri) if kind in (None, "file") else str(kind)
    if known in SOURCE_CLASSES:  # the recipe's own checks refuse other types, at their own place
        guards.check_files(known, uri)
    return known, uri


def _file_kind(path: str) -> str:
    return "csv" if path.lower().endswith((".csv", ".csv.gz")) else "parquet"


def _checked(document: dict[str, Any], places: Mapping[str, int]) -> tuple[Recipe | None, list[Problem]]:
    """The recipe; its problems under the names that the job gives the places."""
    checked = parse_recipe(document)
    return checked.recipe, [Problem(_job_path(p.path, places), p.message, p.code) for p in checked.problems]


def _job_path(path: str, places: Mapping[str, int]) -> str:
    for alias, side in SIDES.items():
        if path.startswith(f"sources.{side}.primary_key"):
            return f"primary_keys.{alias}" + path.removeprefix(f"sources.{side}.primary_key")
        if path.startswith(f"sources.{side}.alias"):
            return f"sources[{places[side]}].name"
        if path.startswith(f"sources.{side}"):
            return f"sources[{places[side]}]" + path.removeprefix(f"sources.{side}")
    return path if path == "match_sql" else f"recipe.{path}"


def _places(
    recipe: Recipe, places: Mapping[str, int], settings: Settings, guards: Guards, shared: bool
) -> tuple[Hosts, list[Problem]]:
    """Where the servers of the sources were found; files and servers that may not be read."""
    hosts: Hosts = {}
    problems = []
    for side, source in (("left", recipe.sources.left), ("right", recipe.sources.right)):
        try:
            hosts |= check_source_host(source.type, source.uri or "", guards)
            if shared and _is_own_file(source, settings):
                raise ConnectorError("is a local path, and runners share none", code="source.path_forbidden")
            if source.type in connector_types():  # what cannot be read at all is said by the run, to people
                connector_for(source, roots=settings.readable_roots)
        except KallaError as error:
            where = f"sources[{places[side]}].uri"
            problems.append(Problem(where, f"{error.message} {error.hint}".strip(), error.code))
    return hosts, problems


def _is_own_file(source: Source, settings: Settings) -> bool:
    """Whether a source is a file of one machine; uploads lie in the store that all share."""
    path = local_path_of(parse_uri(source.type, source.uri or ""))
    return path is not None and not Path(path).is_relative_to(settings.staging_path / "uploads")


def _check_sql(recipe: Recipe) -> None:
    left, right = (_side_input(source) for source in (recipe.sources.left, recipe.sources.right))
    _, problems, _ = check_match_sql(recipe.match_sql, left, right, signatures())
    if not problems:
        return
    code = "job.sql_forbidden" if any(p.code in _SQL_REFUSED for p in problems) else "job.invalid"
    raise ServiceError(f"The match_sql cannot be run: {problems[0].message}.", code=code, details=problems)


def _side_input(source: Source) -> SideInput:
    form = source.format
    if form is None:
        return SideInput(None, source.primary_key)
    return SideInput(None, source.primary_key, form.decimal, form.thousands, str(form.date_order))


def _event_sides(recipe: Recipe) -> dict[str, str]:
    left, right = recipe.sources.left.alias, recipe.sources.right.alias
    return {} if left == right else {left: "left_src", right: "right_src"}


def _split(url: str) -> SplitResult | None:
    try:
        parts = urlsplit(url)
        usable = parts.scheme in _PORTS and parts.hostname and parts.port != 0 and len(url) <= _LONGEST_URL
    except ValueError:
        return None
    plain = url.isascii() and url.isprintable() and " " not in url
    return parts if usable and plain else None


def _origin(text: str) -> tuple[str, str | None, int]:
    parts = urlsplit(text)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme, 0)


def _callback_forbidden(message: str) -> ServiceError:
    return ServiceError(message, code="job.callback_forbidden")
