"""From a MatchPlan to the statements of Beam SQL: a join on equal keys, then a filter by what remains.

Beam joins on equality of plain columns alone, so whatever concerns one side is computed before (*lifted*), by the SQL
engine that reads that side: key expressions, the operands of conditions, constants, and the conditions over one side,
whose failures are not sent at all. What is left to Beam SQL is what compares the two sides. Statements name our own
columns and nothing of a recipe's or a source's.

Keys are compared as texts that are equal exactly where the values are. Numbers are exact decimals; dates and times are
numbers too, of microseconds, since Beam SQL's own hold no more than milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, TypeAlias

from sqlglot import exp

from recipe import LEFT, RIGHT, Condition, Kind, MatchPlan, PlanClass, RecipeError

UNSUPPORTED = "run.sql_unsupported"
LEFT_ROW, RIGHT_ROW = "lr", "rr"
_DAY = "86400000000"
_HINT = "Use --engine vectorized, which can."


class SqlKind(StrEnum):
    """What a lifted column holds."""

    TEXT = "text"
    NUMBER = "number"
    BOOLEAN = "boolean"


@dataclass(frozen=True)
class Lifted:
    """A value of one side, as a plan's tree, that stands in column ``name`` of that side."""

    name: str
    tree: exp.Expr
    kind: SqlKind


@dataclass(frozen=True)
class SqlMatch:
    """``join`` is over the tables l and r, ``residual`` over PCOLLECTION, the result of the join; None where the keys
    decide. Both sides have columns ``rid``, ``k0, k1, ...`` and their lifted ones; the result is ``lr, rr``."""

    keys: int
    left: tuple[Lifted, ...]
    right: tuple[Lifted, ...]
    join: str
    residual: str | None

    def lifted(self, side: str) -> tuple[Lifted, ...]:
        return self.left if side == LEFT else self.right

    @property
    def statements(self) -> tuple[str, ...]:
        return (self.join,) if self.residual is None else (self.join, self.residual)


_Value: TypeAlias = tuple[exp.Expr, SqlKind]


def sql_matches(plan: MatchPlan) -> tuple[SqlMatch, ...]:
    """The statements for each of ``passes_of``. Raises what ``sql_match`` does."""
    return tuple(map(sql_match, passes_of(plan)))


def passes_of(plan: MatchPlan) -> tuple[MatchPlan, ...]:
    """What Beam SQL is asked one after the other: the SELECTs that UNION ALL puts together, else the plan itself."""
    return plan.passes or (plan,)


def sql_match(plan: MatchPlan) -> SqlMatch:
    """The statements for a plan. Raises RecipeError ``run.sql_unsupported`` naming the clause Beam SQL cannot do."""
    if plan.kind is PlanClass.GENERAL:
        raise _general_refusal(plan)
    if plan.kind is PlanClass.INEQUALITY:
        conditions = " AND ".join(c.sql for c in (*plan.conditions, *plan.left_only, *plan.right_only))
        raise _refused(conditions or plan.sql, "it joins on equality alone, and there is none between the two sides")
    lift = _Lift()
    tests = [_Translation(lift, condition).test() for condition in plan.conditions]
    keys = [
        exp.EQ(this=exp.column(f"k{i}", table=LEFT), expression=exp.column(f"k{i}", table=RIGHT))
        for i in range(len(plan.keys))
    ]
    columns = [exp.alias_(exp.column("rid", table=s), row) for s, row in ((LEFT, LEFT_ROW), (RIGHT, RIGHT_ROW))]
    columns += [exp.column(c.name, table=s) for s in (LEFT, RIGHT) for c in lift.columns[s]]
    join = exp.select(*columns).from_(LEFT).join(RIGHT, on=exp.and_(*keys), join_type="inner")
    residual = exp.select(LEFT_ROW, RIGHT_ROW).from_("PCOLLECTION").where(*tests) if tests else None
    left, right = (tuple(lift.columns[s]) for s in (LEFT, RIGHT))
    return SqlMatch(len(plan.keys), left, right, _text(join), None if residual is None else _text(residual))


def _text(tree: exp.Expr) -> str:
    """Functions by the very name that Java has registered."""
    return tree.sql(normalize_functions=False)


def _refused(clause: str, why: str) -> RecipeError:
    return RecipeError(f"Beam SQL cannot decide {clause}: {why}.", code=UNSUPPORTED, hint=_HINT)


_UNTRACED = "it cannot tell which records a row of its result was made of"
_UNJOINED = (
    "it joins what a part of a statement makes on equality alone, and cuts constants to the scale of what it sums"
)
_UNREAD = "what it makes of them cannot be handed on to the next step"
_MERGED = "it puts rows together that equal each other, or does more than put SELECTs over both sides together"
# In the order in which a person would have to part with them.
_CLAUSES: Sequence[tuple[tuple[type[exp.Expr], ...], Callable[[Any], str], str]] = (
    ((exp.SetOperation,), lambda n: f"{n.key.upper()}{'' if n.args.get('distinct') else ' ALL'}", _MERGED),
    ((exp.With,), lambda n: f"WITH {', '.join(c.alias for c in n.expressions)}", _UNJOINED),
    ((exp.Group, exp.Having), lambda n: n.sql(dialect="postgres"), _UNTRACED),
    ((exp.Distinct,), lambda n: "DISTINCT", _UNTRACED),
    ((exp.Window,), lambda n: n.sql(dialect="postgres"), _UNREAD),
    ((exp.AggFunc,), lambda n: n.sql(dialect="postgres"), _UNTRACED),
    ((exp.Exists, exp.Subquery, exp.Query), lambda n: f"the sub-query {n.sql(dialect='postgres')}", _UNJOINED),
)  # fmt: skip
_MOST_CLAUSE = 120


def _general_refusal(plan: MatchPlan) -> RecipeError:
    """For a statement that runs as a whole: the clause that makes it one, and why Beam SQL cannot have it."""
    written: exp.Expr = exp.maybe_parse(plan.sql, dialect="postgres")
    inner = [node for node in written.walk() if node is not written or isinstance(node, exp.SetOperation)]
    for kinds, name, why in _CLAUSES:
        found = next((node for node in inner if isinstance(node, kinds)), None)
        if found is not None:
            clause = " ".join(name(found).split())
            return _refused(clause if len(clause) <= _MOST_CLAUSE else f"{clause[:_MOST_CLAUSE]}...", why)
    return _refused("a join of more than two tables", _UNJOINED)


class _Lift:
    """Columns of both sides as they are found; a value that is needed twice has one."""

    def __init__(self) -> None:
        self.columns: dict[str, list[Lifted]] = {LEFT: [], RIGHT: []}

    def column(self, side: str, tree: exp.Expr, kind: SqlKind) -> exp.Column:
        columns = self.columns[side]
        found = next((c for c in columns if c.tree == tree and c.kind is kind), None)
        if found is None:
            found = Lifted(f"{side}{len(columns)}", tree, kind)
            columns.append(found)
        return exp.column(found.name)


class _Translation:
    """One condition over both sides as SQL over lifted columns."""

    def __init__(self, lift: _Lift, condition: Condition) -> None:
        self._lift, self._condition = lift, condition

    def test(self) -> exp.Expr:
        """TRUE where the condition holds; Beam SQL, too, drops rows where it is unknown."""
        return exp.paren(self._of_kind(self._condition.tree, SqlKind.BOOLEAN))

    def _of_kind(self, node: exp.Expr, *kinds: SqlKind) -> exp.Expr:
        tree, kind = self._value(node)
        if kind not in kinds:
            raise self._refuse(node, f"{kind} stands where it takes {' or '.join(kinds)}")
        return tree

    def _value(self, node: exp.Expr) -> _Value:
        node = node.unnest()
        sides = {c.table for c in node.find_all(exp.Column)}
        if len(sides) < 2:
            return self._lifted(node, sides.pop() if sides else LEFT)
        if isinstance(node, exp.Anonymous):
            return self._call(node)
        for kinds, translate in _RULES:
            if isinstance(node, kinds):
                return translate(self, node)
        raise self._refuse(node, "it has no equivalent over both sides there")

    def _refuse(self, node: exp.Expr, why: str) -> RecipeError:
        inner = node.sql()
        where = "" if inner == self._condition.sql else f" (in {inner})"
        return _refused(self._condition.sql, f"{why}{where}")

    def _lifted(self, node: exp.Expr, side: str) -> _Value:
        """A value over one side, or a constant, which travels with the left rows: literals of Beam SQL are cut to the
        scale of what they stand beside."""
        found = node.meta.get("kind")
        if found in (Kind.INTEGER, Kind.DECIMAL):
            return self._lift.column(side, node, SqlKind.NUMBER), SqlKind.NUMBER
        if found in (Kind.DATE, Kind.TIMESTAMP, Kind.TIMESTAMPTZ):
            micros = exp.Anonymous(this="EPOCH_US", expressions=[node.copy()])
            return self._lift.column(side, micros, SqlKind.NUMBER), SqlKind.NUMBER
        if found is Kind.TEXT:
            return self._lift.column(side, node, SqlKind.TEXT), SqlKind.TEXT
        if found is Kind.BOOLEAN:
            return self._lift.column(side, node, SqlKind.BOOLEAN), SqlKind.BOOLEAN
        if found is Kind.DOUBLE:
            raise self._refuse(node, "it compares binary numbers by other rules than match_sql")
        raise self._refuse(node, "the type of a value is not known before the run")

    def _number(self, node: exp.Expr) -> exp.Expr:
        return self._of_kind(node, SqlKind.NUMBER)

    # -- conditions ----------------------------------------------------------------------------------------------------

    def _logic(self, node: exp.Expr) -> _Value:
        parts = [exp.paren(self._of_kind(n, SqlKind.BOOLEAN)) for n in (node.this, node.expression)]
        return type(node)(this=parts[0], expression=parts[1]), SqlKind.BOOLEAN

    def _not(self, node: exp.Expr) -> _Value:
        return exp.Not(this=exp.paren(self._of_kind(node.this, SqlKind.BOOLEAN))), SqlKind.BOOLEAN

    def _is(self, node: exp.Expr) -> _Value:
        """``IS [NOT] TRUE | FALSE | NULL``."""
        if not isinstance(node.expression, exp.Boolean | exp.Null):
            raise self._refuse(node, "it knows IS with TRUE, FALSE and NULL")
        return exp.Is(this=exp.paren(self._value(node.this)[0]), expression=node.expression.copy()), SqlKind.BOOLEAN

    def _equality(self, node: exp.Expr) -> _Value:
        left, kind = self._value(node.this)
        return type(node)(
            this=exp.paren(left), expression=exp.paren(self._of_kind(node.expression, kind))
        ), SqlKind.BOOLEAN

    def _order(self, node: exp.Expr) -> _Value:
        """Numbers alone: Java orders texts by other units than the engine."""
        parts = [exp.paren(self._number(n)) for n in (node.this, node.expression)]
        return type(node)(this=parts[0], expression=parts[1]), SqlKind.BOOLEAN

    def _between(self, node: exp.Expr) -> _Value:
        value, low, high = (exp.paren(self._number(n)) for n in (node.this, node.args["low"], node.args["high"]))
        over = exp.GTE(this=value, expression=low)
        return exp.and_(over, exp.LTE(this=value.copy(), expression=high)), SqlKind.BOOLEAN

    def _in(self, node: exp.Expr) -> _Value:
        value, kind = self._value(node.this)
        equal = [
            exp.EQ(this=exp.paren(value.copy()), expression=exp.paren(self._of_kind(n, kind)))
            for n in node.expressions
        ]  # fmt: skip
        if not equal:
            raise self._refuse(node, "it knows IN with a list of values")
        return exp.or_(*equal), SqlKind.BOOLEAN

    # -- values --------------------------------------------------------------------------------------------------------

    def _sum(self, node: exp.Expr) -> _Value:
        """``a + b``, ``a - b``, ``a * b``. The difference of two dates is a number of days."""
        operands = [node.this, node.expression]
        if all(n.unnest().meta.get("kind") is Kind.DATE for n in operands):
            operands = [self._days(n.unnest()) for n in operands]
        parts = [exp.paren(self._number(n)) for n in operands]
        return type(node)(this=parts[0], expression=parts[1]), SqlKind.NUMBER

    @staticmethod
    def _days(node: exp.Expr) -> exp.Expr:
        tree = exp.Sub(this=exp.paren(node.copy()), expression=exp.cast(exp.Literal.string("1970-01-01"), "date"))
        tree.meta["kind"] = Kind.INTEGER
        return tree

    def _sign(self, node: exp.Expr) -> _Value:
        return type(node)(this=exp.paren(self._number(node.this))), SqlKind.NUMBER

    def _coalesce(self, node: exp.Expr) -> _Value:
        first, kind = self._value(node.this)
        return exp.Coalesce(this=first, expressions=[self._of_kind(n, kind) for n in node.expressions]), kind

    def _case(self, node: exp.Expr) -> _Value:
        if node.this is not None:
            raise self._refuse(node, "it knows CASE WHEN with conditions")
        _, kind = self._value(node.args["ifs"][0].args["true"])
        ifs = [
            exp.If(this=self._of_kind(i.this, SqlKind.BOOLEAN), true=self._of_kind(i.args["true"], kind))
            for i in node.args["ifs"]
        ]
        default = node.args.get("default")
        return exp.Case(ifs=ifs, default=None if default is None else self._of_kind(default, kind)), kind

    # -- the product's functions ---------------------------------------------------------------------------------------

    def _call(self, node: exp.Anonymous) -> _Value:
        name, args = node.name.upper(), node.expressions
        if name in ("TOLERANCE_MATCH", "PERCENT_MATCH"):
            return _java(name, [self._number(a) for a in args]), SqlKind.BOOLEAN
        if name == "DATE_WITHIN":
            return _java(
                "TOLERANCE_MATCH", [*map(self._number, args[:2]), self._number(_in_micros(args[2]))]
            ), SqlKind.BOOLEAN
        if name == "TEXT_SIMILARITY":
            return _java(name, [self._of_kind(a, SqlKind.TEXT) for a in args]), SqlKind.NUMBER
        raise self._refuse(node, "it has no equivalent over both sides there")


def _java(name: str, args: list[exp.Expr]) -> exp.Expr:
    return exp.Anonymous(this=name.lower(), expressions=args)


def _in_micros(days: exp.Expr) -> exp.Expr:
    """A number of days as microseconds, exactly."""
    day = exp.cast(exp.Literal.number(_DAY), "decimal(11, 0)", dialect="duckdb")
    tree = exp.Mul(this=exp.paren(days.copy()), expression=day)
    tree.meta["kind"] = Kind.DECIMAL
    return tree


_RULES: Sequence[tuple[tuple[type[exp.Expr], ...], Callable[[_Translation, exp.Expr], _Value]]] = (
    ((exp.And, exp.Or), _Translation._logic),
    ((exp.Not,), _Translation._not),
    ((exp.Is,), _Translation._is),
    ((exp.EQ, exp.NEQ, exp.NullSafeEQ, exp.NullSafeNEQ), _Translation._equality),
    ((exp.LT, exp.LTE, exp.GT, exp.GTE), _Translation._order),
    ((exp.Between,), _Translation._between),
    ((exp.In,), _Translation._in),
    ((exp.Add, exp.Sub, exp.Mul), _Translation._sum),
    ((exp.Neg, exp.Abs), _Translation._sign),
    ((exp.Coalesce,), _Translation._coalesce),
    ((exp.Case,), _Translation._case),
)
