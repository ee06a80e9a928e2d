"""SQL templates as trees: written once as DuckDB text, bound to argument trees without any string surgery."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping

import sqlglot
from sqlglot import exp

from udfs.errors import UdfError

DIALECT = "duckdb"

# Arguments of these kinds keep their meaning inside any operator; everything else is put in parentheses.
_ATOMS = (
    exp.Boolean, exp.Bracket, exp.Case, exp.Cast, exp.Column, exp.Func, exp.Literal, exp.Null, exp.Paren,
)  # fmt: skip
_SIMPLE = (exp.Boolean, exp.Column, exp.Literal, exp.Null, exp.StructExtract)


def enclosed(tree: exp.Expression) -> exp.Expression:
    """``tree``, in parentheses unless it is an atom. AND and OR are Func in sqlglot and need them too."""
    if isinstance(tree, _ATOMS) and not isinstance(tree, exp.Binary):
        return tree
    return exp.Paren(this=tree)


def template(sql: str) -> Callable[..., exp.Expression]:
    """A builder for ``sql``, whose column names are the builder's keyword arguments.

    An argument that is more than a column or constant and stands at several places is computed once: see
    ``_let``.

    >>> template("ABS(a - b)")(a=exp.column("x"), b=exp.Literal.number(2)).sql(DIALECT)
    'ABS(x - 2)'
    """
    parsed = exp.Paren(this=_parsed(sql))
    uses = Counter(column.name for column in parsed.find_all(exp.Column))

    def build(**arguments: exp.Expression) -> exp.Expression:
        assert set(uses) == set(arguments), (set(uses), set(arguments))
        shared = {name: tree for name, tree in arguments.items() if uses[name] > 1 and not is_simple(tree)}
        variables = {name: exp.column(f"kalla_{name}") for name in shared}
        tree = _substitute(parsed, {**arguments, **variables})
        for name, value in shared.items():
            tree = _let(variables[name], value, tree)
        return tree

    return build


def _parsed(sql: str) -> exp.Expr:
    """``sql`` as a tree without the places its words stood at: copying those takes longer than all the rest."""
    tree = sqlglot.parse_one(sql, dialect=DIALECT)
    for node in tree.walk():
        node._meta = None
    return tree


def is_simple(tree: exp.Expression) -> bool:
    """A column, a field or a constant: computing it again costs nothing."""
    return isinstance(tree.unnest(), _SIMPLE) or literal_number(tree) is not None


def bound(builder: Callable[[list[exp.Expression]], exp.Expression], args: list[exp.Expression]) -> exp.Expression:
    """``builder(args)``, with the computed arguments evaluated once and outside of any binding in the result.

    Outside, because DuckDB allows neither aggregates nor window functions within one.
    """
    computed = {f"arg{i}": arg for i, arg in enumerate(args) if not is_simple(arg)}
    row = exp.column("kalla_args")
    fields = {name: _FIELD(row=row, name=exp.Literal.string(name)) for name in computed}
    tree = builder([fields.get(f"arg{i}", arg) for i, arg in enumerate(args)])
    places = sum(column.name == row.name for column in tree.find_all(exp.Column))
    if places <= len(computed) and tree.find(exp.Lambda) is None:
        return builder(args)
    if not computed:
        return tree
    members = [exp.PropertyEQ(this=exp.to_identifier(name), expression=arg) for name, arg in computed.items()]
    return _let(row, exp.Struct(expressions=members), tree)


def _substitute(parsed: exp.Expression, arguments: Mapping[str, exp.Expression]) -> exp.Expression:
    # Leaves are collected before the first one is replaced, so that arguments are never searched.
    tree = parsed.copy()
    for leaf in list(tree.find_all(exp.Column)):
        leaf.replace(enclosed(_own(arguments[leaf.name])))
    result: exp.Expression = tree.this
    return enclosed(result.pop())


def _own(tree: exp.Expression) -> exp.Expression:
    """``tree``, to be put somewhere: itself where it stands nowhere yet. Templates within templates would otherwise
    copy all that is in them at each level, which took a tenth of a small run."""
    return tree if tree.parent is None else tree.copy()


_BINDING = _parsed("LIST_TRANSFORM([bound], LAMBDA x : x)[1]")


def _let(variable: exp.Column, value: exp.Expression, body: exp.Expression) -> exp.Expression:
    """``body`` with ``variable`` standing for ``value``.

    SQL has no such form, and repeating the value makes nested trees grow without bound (DuckDB shares
    repeated expressions, but only after it has parsed and bound them all). A list of one element does it
    for 10 ns a row.
    """
    tree = _BINDING.copy()
    assert isinstance(tree, exp.Expression)
    function = next(tree.find_all(exp.Lambda))
    place = next(column for column in tree.find_all(exp.Column) if column.name == "bound")
    function.set("expressions", [variable.this.copy()])
    function.set("this", body)
    place.replace(_own(value))
    return tree


def literal_text(tree: exp.Expression, what: str) -> str:
    """The value of a string literal; UdfError for anything else."""
    inner = tree.unnest()
    if isinstance(inner, exp.Literal) and inner.is_string:
        return str(inner.this)
    raise UdfError(f"The {what} must be a text constant, not {tree.sql()}.", hint="Write it in single quotes.")


def literal_number(tree: exp.Expression) -> str | None:
    """The text of a number literal, with its sign, or None when ``tree`` is computed from rows."""
    inner = tree.unnest()
    if isinstance(inner, exp.Neg):
        positive = literal_number(inner.this)
        return None if positive is None else f"-{positive}"
    if isinstance(inner, exp.Literal) and not inner.is_string:
        return str(inner.this)
    return None


def refuse_negative(tree: exp.Expression, function: str, what: str) -> None:
    """A negative constant can never match anything, so it is refused before a run instead of giving no
    match."""
    number = literal_number(tree)
    if number is not None and number.startswith("-") and number.strip("-0.") != "":
        raise UdfError(f"{function}: the {what} is {number}.", hint=f"Use a {what} of zero or more.")


_FIELD = template("STRUCT_EXTRACT(row, name)")
