"""Recipe documents: JSON in, checked recipe out, and back (contract 1.1 to 1.4).

``parse_recipe`` reports every problem at once, each with a path such as ``sources.left.primary_key[0]``, a
sentence for people and a stable code. It checks the document, not its SQL (``recipe.compiler``) and not the
sources.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError

from recipe.addresses import FileAddress, SqliteAddress
from recipe.columns import nearest_names
from recipe.csv_format import CsvFormat
from recipe.errors import Problem, RecipeError
from recipe.json_text import MAX_DOCUMENT_BYTES, read_json, write_json
from recipe.masking import mask_uri
from recipe.model import SOURCE_CLASSES, FilterCondition, Recipe, Source, SourceBase
from recipe.near_files import missing_file_hint
from recipe.uris import parse_uri

VERSION = 1
SIDES = ("left", "right")
_LEGACY_MEMBERS = ("match_rules", "output")
_MOST_HINTS = 20  # a document of nothing but unknown members must not cost minutes
_FILTERS = TypeAdapter(tuple[FilterCondition, ...])


@dataclass(frozen=True)
class Checked:
    """What checking a document found. ``recipe`` is None when there are problems; warnings never prevent a
    run."""

    recipe: Recipe | None
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()

    def require(self) -> Recipe:
        """The recipe. Raises RecipeError ``recipe.invalid`` with all problems when there is none."""
        if self.recipe is None:
            raise RecipeError.from_problems(self.problems)
        return self.recipe


@dataclass(frozen=True)
class CheckedFilters:
    """What checking a list of filters found; ``filters`` is empty when there are problems."""

    filters: tuple[FilterCondition, ...]
    problems: tuple[Problem, ...] = ()
    warnings: tuple[Problem, ...] = ()


def parse_recipe(obj: object, *, relative_paths: bool = False) -> Checked:
    """Check a decoded JSON value as a recipe; every problem is reported, unknown members are dropped with a
    warning.

    ``relative_paths`` accepts local paths relative to the recipe file, as the command line does.
    """
    if not isinstance(obj, Mapping):
        return Checked(None, (Problem("", "a recipe must be an object", "recipe.invalid_field"),))
    try:
        document = upgrade(obj)
    except RecipeError as error:
        return Checked(None, tuple(Problem(**detail) for detail in error.details))
    warnings = _unknown_members(document)
    problems = _extra_sides(document)
    if not relative_paths:
        problems += _relative_paths(document)
    recipe: Recipe | None = None
    try:
        recipe = Recipe.model_validate(document)
    except ValidationError as error:
        problems += _problems(error)
        problems += _sides_without_type(document, error)
    unique = tuple(dict.fromkeys(problems))
    return Checked(None if unique else recipe, unique, tuple(warnings))


def parse_filters(obj: object, path: str = "filters") -> CheckedFilters:
    """Check a decoded JSON list of filter conditions; paths begin with ``path``, as in
    ``conditions[0].op``."""
    if not isinstance(obj, (list, tuple)):
        return CheckedFilters((), (Problem(path, "must be a list of conditions", "filter.invalid_value"),))
    warnings = [w for i, item in enumerate(obj) for w in _unknown(item, _FILTER_MEMBERS, f"{path}[{i}]")]
    try:
        return CheckedFilters(_FILTERS.validate_python(obj), (), tuple(warnings))
    except ValidationError as error:
        found = [Problem(path + p.path, p.message, p.code) for p in _problems(error, filters=True)]
        return CheckedFilters((), tuple(found), tuple(warnings))


def upgrade(obj: Mapping[str, Any]) -> dict[str, Any]:
    """The document in the current version; the input stays as it is.

    A document without ``version`` is of version 1. Raises RecipeError with one detail:
    ``recipe.legacy_rules`` for the rule-based documents of earlier systems, ``recipe.unsupported_version``
    for versions not known here.
    """
    document = dict(obj)
    legacy = [name for name in _LEGACY_MEMBERS if name in document]
    if legacy:
        raise _refused(
            legacy[0],
            f"'{legacy[0]}' is of the old rule-based form; write the conditions as a SELECT in match_sql",
            "recipe.legacy_rules",
        )
    version = document.pop("version", VERSION)
    if isinstance(version, bool) or version != VERSION:
        raise _refused(
            "version",
            f"this program reads version {VERSION}; a document of another version needs another program",
            "recipe.unsupported_version",
        )
    return document


def _refused(path: str, message: str, code: str) -> RecipeError:
    return RecipeError(f"{path}: {message}", code=code, details=[Problem(path, message, code)])


# --- unknown members and what models cannot see --------------------------------------------------------


def _members(model: type[Recipe | SourceBase | FilterCondition | CsvFormat]) -> tuple[str, ...]:
    return tuple(field.alias or name for name, field in model.model_fields.items())


_RECIPE_MEMBERS = _members(Recipe)
_FILTER_MEMBERS = _members(FilterCondition)
_FORMAT_MEMBERS = _members(CsvFormat)


def _unknown(value: object, known: Iterable[str], path: str) -> list[Problem]:
    if not isinstance(value, Mapping):
        return []
    names = list(known)
    found: list[Problem] = []
    for name in value:
        if name not in names:
            shown = str(name)[:80]
            close = nearest_names(shown, names) if len(found) < _MOST_HINTS else []
            hint = f"; did you mean {' or '.join(close)}?" if close else ""
            where = f"{path}.{shown}" if path else shown
            found.append(Problem(where, f"unknown member, ignored{hint}", "recipe.unknown_member"))
    return found


def _side_values(document: Mapping[str, Any]) -> list[tuple[str, Mapping[str, Any]]]:
    sources = document.get("sources")
    if not isinstance(sources, Mapping):
        return []
    return [(side, sources[side]) for side in SIDES if isinstance(sources.get(side), Mapping)]


def _class_of(source: Mapping[str, Any]) -> type[SourceBase] | None:
    kind = source.get("type")
    return SOURCE_CLASSES.get(kind) if isinstance(kind, str) else None


def _unknown_members(document: Mapping[str, Any]) -> list[Problem]:
    found = _unknown(document, _RECIPE_MEMBERS, "")
    for side, source in _side_values(document):
        path = f"sources.{side}"
        model = _class_of(source)
        known = (*_members(model or SourceBase), "format")
        found += _unknown(source, known, path)
        if source.get("format") is not None and model and "format" not in model.model_fields:
            message = f"ignored: a source of type {source['type']} is not a CSV"
            found.append(Problem(f"{path}.format", message, "recipe.unused_format"))
        found += _unknown(source.get("format"), _FORMAT_MEMBERS, f"{path}.format")
        filters = source.get("filters")
        for index, item in enumerate(filters if isinstance(filters, list) else []):
            found += _unknown(item, _FILTER_MEMBERS, f"{path}.filters[{index}]")
    return found


def _extra_sides(document: Mapping[str, Any]) -> list[Problem]:
    sources = document.get("sources")
    extra = [str(name)[:80] for name in sources if name not in SIDES] if isinstance(sources, Mapping) else []
    message = "is not a side; sources has exactly the members left and right"
    return [Problem(f"sources.{name}", message, "recipe.invalid_field") for name in extra]


def _relative_paths(document: Mapping[str, Any]) -> list[Problem]:
    message = "must be an absolute path or a URI; a relative path has no place to start from here"
    return [
        Problem(f"sources.{side}.uri", message, "source.invalid_uri")
        for side, source in _side_values(document)
        if _is_relative(str(source.get("type")), source.get("uri"))
    ]


def _is_relative(source_type: str, uri: object) -> bool:
    if not isinstance(uri, str) or source_type not in ("csv", "parquet", "sqlite"):
        return False
    try:
        address = parse_uri(source_type, uri)
    except RecipeError:
        return False  # reported by the model, with its reason
    return isinstance(address, FileAddress | SqliteAddress) and address.is_relative


# --- pydantic's errors as problems ---------------------------------------------------------------------

_TAG_ERRORS = ("union_tag_invalid", "union_tag_not_found")
_SHAPES = {
    "missing": "is required",
    "model_type": "must be an object",
    "model_attributes_type": "must be an object",
    "tuple_type": "must be a list",
}


def _problems(error: ValidationError, *, filters: bool = False) -> list[Problem]:
    found: list[Problem] = []
    for item in error.errors(include_url=False, include_input=False):
        path, code, message = _translate(item["type"], item["loc"], item["msg"], filters)
        indexed = item.get("ctx", {}).get("items")
        if indexed:
            found += [Problem(f"{path}[{index}]", text, code) for index, text in indexed]
        else:
            found.append(Problem(path, message, code))
    return found


def _translate(kind: str, loc: tuple[int | str, ...], message: str, filters: bool) -> tuple[str, str, str]:
    """(path, code, message) of one of pydantic's errors."""
    if len(loc) > 2 and loc[0] == "sources" and loc[2] in SOURCE_CLASSES:
        loc = (*loc[:2], *loc[3:])  # pydantic names the branch of the union, documents do not
    inside = loc.index("filters") + 1 if "filters" in loc else None
    rest = loc if filters else loc[inside:] if inside is not None else ()
    path = _path(loc)
    if kind == "union_tag_invalid":
        return f"{path}.type", "recipe.unsupported_type", f"must be one of {', '.join(SOURCE_CLASSES)}"
    if kind == "union_tag_not_found":
        return f"{path}.type", "recipe.missing_field", "is required"
    if kind in _SHAPES:
        return path, _shape_code(kind, rest), _SHAPES[kind]
    return path, kind if "." in kind else "recipe.invalid_field", message


def _shape_code(kind: str, in_filter: tuple[int | str, ...]) -> str:
    """Inside a condition every code begins with ``filter``, also when it came without a recipe around it."""
    if in_filter:
        known = {"column": "filter.unknown_column", "op": "filter.unknown_op"}
        return known.get(str(in_filter[-1]), "filter.invalid_value")
    return "recipe.missing_field" if kind == "missing" else "recipe.invalid_field"


def _path(loc: tuple[int | str, ...]) -> str:
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc).removeprefix(".")


def _sides_without_type(document: Mapping[str, Any], error: ValidationError) -> list[Problem]:
    """A side of unknown type is checked no further by its model; the members that all types share still
    are."""
    unknown = {item["loc"][-1] for item in error.errors() if item["type"] in _TAG_ERRORS}
    found: list[Problem] = []
    for side, source in _side_values(document):
        if side in unknown:
            shared = {name: value for name, value in source.items() if name != "uri"}
            try:
                SourceBase.model_validate(shared | {"type": "unknown"})
            except ValidationError as more:
                found += [Problem(f"sources.{side}.{p.path}", p.message, p.code) for p in _problems(more)]
    return found


# --- files ---------------------------------------------------------------------------------------------


def load_recipe(path: str | Path) -> tuple[Recipe, tuple[Problem, ...]]:
    """Read a recipe file: the recipe and its warnings. Local paths in it may be relative (see
    ``resolve_paths``).

    Raises RecipeError: ``recipe.not_found``, ``recipe.unreadable``, ``recipe.too_large``,
    ``recipe.not_utf8``, ``recipe.malformed_json``, ``recipe.duplicate_member``, or ``recipe.invalid`` with
    all problems.
    """
    checked = parse_recipe(read_json(_read_file(Path(path)), f"The recipe file {path}"), relative_paths=True)
    return checked.require(), checked.warnings


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_DOCUMENT_BYTES + 1)
    except FileNotFoundError:
        raise RecipeError(
            f"The recipe file {path} does not exist.", code="recipe.not_found", hint=missing_file_hint(path)
        ) from None
    except OSError as error:
        raise RecipeError(
            f"The recipe file {path} cannot be read: {error.strerror}.",
            code="recipe.unreadable",
            hint="Check that it is a file and that you may read it.",
        ) from error


def dump_recipe(recipe: Recipe, *, mask: bool = False) -> dict[str, Any]:
    """The document of a recipe, members in the order of the contract; ``mask`` hides secrets in addresses.

    Numbers of filters are int or Decimal: write the document with ``write_json``, which keeps them exact.
    ``uri``, ``schema``, ``format`` and ``filters`` appear only when set.
    """
    return {
        "recipe_id": recipe.recipe_id,
        "name": recipe.name,
        "description": recipe.description,
        "match_sql": recipe.match_sql,
        "match_description": recipe.match_description,
        "sources": {
            "left": dump_source(recipe.sources.left, mask=mask),
            "right": dump_source(recipe.sources.right, mask=mask),
        },
    }


def dump_source(source: Source, *, mask: bool = False) -> dict[str, Any]:
    """The document of one source, as in ``dump_recipe``."""
    document: dict[str, Any] = {"alias": source.alias, "type": source.type}
    if source.uri is not None:
        document["uri"] = mask_uri(source.uri) if mask else source.uri
    document["primary_key"] = list(source.primary_key)
    if source.schema_columns is not None:
        document["schema"] = list(source.schema_columns)
    if source.format is not None:
        document["format"] = source.format.model_dump(mode="json", exclude_none=True)
    if source.filters:
        document["filters"] = dump_filters(source.filters)
    return document


def dump_filters(filters: Iterable[FilterCondition]) -> list[dict[str, Any]]:
    """The documents of filter conditions; numbers are int or Decimal."""
    return [{"column": f.column, "op": f.op.value, "value": _dump_value(f.value)} for f in filters]


def _dump_value(value: Any) -> Any:
    if isinstance(value, tuple):
        return [_dump_value(item) for item in value]
    if isinstance(value, str):
        return value
    return int(value) if value.as_tuple().exponent == 0 else value


def save_recipe(recipe: Recipe, path: str | Path) -> None:
    """Write the recipe as a JSON file, whole or not at all; a new file is readable by its owner only, since
    addresses may hold passwords. Raises RecipeError ``recipe.unwritable``."""
    target = Path(os.path.realpath(path))
    text = write_json(dump_recipe(recipe), indent=2) + "\n"
    try:
        _replace_file(target, text.encode("utf-8"))
    except OSError as error:
        raise RecipeError(
            f"The recipe file {path} cannot be written: {error.strerror}.",
            code="recipe.unwritable",
            hint="Check that the folder exists and that you may write there.",
        ) from error


def _replace_file(target: Path, data: bytes) -> None:
    handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        if target.exists():
            os.chmod(temporary, target.stat().st_mode & 0o777)
        os.replace(temporary, target)
    except BaseException:
        os.unlink(temporary)
        raise


def recipe_hash(recipe: Recipe) -> str:
    """SHA-256, in hex, of the masked document as JSON with sorted members; the same recipe gives the same
    hash whatever password its addresses hold."""
    text = write_json(dump_recipe(recipe, mask=True), sort_keys=True)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def recipe_json_schema() -> dict[str, Any]:
    """The JSON schema of a recipe document, for forms and chat tools. Checking is ``parse_recipe``'s."""
    return Recipe.model_json_schema(by_alias=True)
