"""Which rows belong together, and why the others do not: statements over two relations, as trees.

A *candidate* is two rows with the same key; it is a *pair* when every condition holds. Every strategy works in the same
two steps. A *shard* (the whole of both sides, one part of the large side, or one bucket of the shuffle) judges its
candidates. The *merge* puts the shards together: pairs in row order, and for each row that is in no pair of any
shard the candidate that came nearest.

NULL never equals NULL here: a row whose key holds a NULL is in no pair (reason ``null_key``).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from sqlglot import exp

from pipelines.relation import RAGGED, ROW
from recipe import LEFT, RIGHT, Condition, MatchPlan, Parse
from udfs import lower

# Reasons, as evidence and docs name them.
NO_KEY, NULL_KEY, PREDICATE, UNPARSEABLE = "no_key", "null_key", "predicate", "unparseable"
EXCLUDED, NOT_IN_RESULT, OTHER_SIDE_EMPTY = "excluded", "not_in_result", "other_side_empty"
REASONS = {
    NO_KEY: "no record on the other side has this key",
    NULL_KEY: "a part of the key is empty",
    PREDICATE: "a condition fails with every record it could match",
    UNPARSEABLE: "a number or date cannot be read, or cells are missing or surplus",
    EXCLUDED: "the record fails a condition on its own side",
    NOT_IN_RESULT: "the statement's result holds no row made from this record",
    OTHER_SIDE_EMPTY: "the other side has no records, and the rule has no key to look for",
}
UNPARSED, KEY_NULL = -1, -2


class Rows(Protocol):
    """What statements need of a side: Parquet files (Relation) or a bucket's table."""

    @property
    def side(self) -> str: ...

    @property
    def rows(self) -> int: ...

    def scan(self) -> exp.Select: ...

    def localise(self, tree: exp.Expr) -> exp.Expr: ...


@dataclass(frozen=True)
class Sides:
    """Both sides of a shard, with the primary keys for naming a candidate."""

    left: Rows
    right: Rows
    left_key: tuple[str, ...]
    right_key: tuple[str, ...]

    def get(self, side: str) -> Rows:
        return self.left if side == LEFT else self.right

    def tree(self, tree: exp.Expr) -> exp.Expr:
        """A plan's tree in the engine's names and functions."""
        return lower(self.right.localise(self.left.localise(tree.copy())))

    def from_(self, side: str) -> exp.Subquery:
        return self.get(side).scan().subquery(side)


def other(side: str) -> str:
    return RIGHT if side == LEFT else LEFT


def _row(side: str) -> exp.Column:
    return exp.column(ROW, table=side)


def _all(trees: Sequence[exp.Expr]) -> exp.Expr:
    return exp.and_(*trees) if trees else exp.true()


def key_equalities(plan: MatchPlan, sides: Sides) -> list[exp.Expr]:
    return [exp.EQ(this=exp.paren(sides.tree(k.left)), expression=exp.paren(sides.tree(k.right))) for k in plan.keys]


def pairs_tree(plan: MatchPlan, sides: Sides) -> exp.Select:
    """``SELECT lr, rr``: the row ids of every pair, each once."""
    conditions = [*plan.left_only, *plan.right_only, *plan.conditions]
    on = _all([*key_equalities(plan, sides), *(exp.paren(sides.tree(c.tree)) for c in conditions)])
    return (
        exp.select(exp.alias_(_row(LEFT), "lr"), exp.alias_(_row(RIGHT), "rr"))
        .from_(sides.from_(LEFT))
        .join(sides.from_(RIGHT), on=on)
    )


def unmatched_tree(sides: Sides, side: str, pairs: str) -> exp.Select:
    """``SELECT *`` of the rows of one side that table ``pairs`` does not name, under the side's alias."""
    row = "lr" if side == LEFT else "rr"
    return (
        exp.select(exp.Column(this=exp.Star(), table=exp.to_identifier(side)))
        .from_(sides.from_(side))
        .join(
            exp.to_table(pairs), join_type="anti", on=exp.EQ(this=_row(side), expression=exp.column(row, table=pairs))
        )
    )


def candidates_tree(plan: MatchPlan, sides: Sides) -> exp.Select:
    """``SELECT lr, rr, n, failed, gap, lkey, rkey`` of every two rows with the same key.

    ``n`` counts failed conditions (0: a pair), ``failed`` is the index of the first in ``all_checks``, ``gap`` how
    far apart its values are and the last two the primary keys, as text; the last four are NULL for a pair.
    """
    fails = [_fails(sides, c) for c in all_checks(plan)]
    rows = [exp.alias_(_row(LEFT), "lr"), exp.alias_(_row(RIGHT), "rr")]
    keys = [
        exp.alias_(_case([(exp.or_(*fails), _key_text(sides, side))], exp.null()) if fails else _no_text(), name)
        for side, name in ((LEFT, "lkey"), (RIGHT, "rkey"))
    ]
    selected = exp.select(*rows, *_judgement(plan, sides, fails), *keys)
    return selected.from_(sides.from_(LEFT)).join(sides.from_(RIGHT), on=_all(key_equalities(plan, sides)))


def nearest_tree(plan: MatchPlan, sides: Sides, side: str, pairs: str) -> exp.Select:
    """``SELECT rid, other, n, failed, gap, nearest``: the nearest candidate of each row of ``side`` that is in no pair.

    For keys so weak that the candidates cannot all be kept: they are judged and forgotten one by one.
    """
    them = other(side)
    fails = [_fails(sides, c) for c in all_checks(plan)]
    candidates = (
        exp.select(
            exp.alias_(_row(side), ROW),
            exp.alias_(_row(them), "other"),
            *_judgement(plan, sides, fails),
            exp.alias_(_key_text(sides, them), "nearest"),
        )
        .from_(unmatched_tree(sides, side, pairs).subquery(side))
        .join(sides.from_(them), on=_all(key_equalities(plan, sides)))
        .subquery("c")
    )
    rank = _struct(**{f"k{i}": key for i, key in enumerate(candidate_order())})
    names = ("n", "failed", "gap", "other", "nearest")
    best = exp.Anonymous(this="arg_min", expressions=[_struct(**{n: exp.column(n) for n in names}), rank])
    chosen = exp.select(ROW, exp.alias_(best, "best")).from_(candidates).group_by(ROW).subquery("b")
    fields = [
        exp.alias_(exp.Dot(this=exp.column("best", table="b"), expression=exp.to_identifier(n)), n)
        for n in ("other", "n", "failed", "gap", "nearest")
    ]
    return exp.select(exp.column(ROW, table="b"), *fields).from_(chosen)


def candidate_order() -> tuple[exp.Expr, ...]:
    """What makes a candidate nearer: fewer failed conditions, then an earlier one, then a smaller gap (none is
    worst), then a lower row id. Over columns n, failed, gap and other.

    Gaps compare as doubles, which hold every size, and where those are equal as decimals, which hold every digit.
    """
    worst = exp.cast(exp.Literal.string("inf"), "double")
    rough, fine = (
        exp.TryCast(this=exp.column("gap"), to=exp.DataType.build(kind, dialect="duckdb"))
        for kind in ("double", "decimal(38, 18)")
    )
    zero = exp.cast(exp.Literal.number(0), "decimal(38, 18)", dialect="duckdb")
    return (
        exp.column("n"),
        exp.column("failed"),
        exp.Coalesce(this=rough, expressions=[worst]),
        exp.Coalesce(this=fine, expressions=[zero]),
        exp.column("other"),
    )


def own_reason_tree(plan: MatchPlan, sides: Sides, side: str, ragged: bool) -> exp.Expr | None:
    """A number for what is wrong with a row of ``side`` by itself: -1 unparseable, -2 null_key, ``i`` >= 0 its own
    condition i fails, NULL nothing. None when there is nothing of the kind to ask; ``ragged`` where rows are marked."""
    ifs: list[tuple[exp.Expr, exp.Expr]] = []
    if ragged:
        ifs.append((exp.column(RAGGED, table=side), exp.Literal.number(UNPARSED)))
    ifs += [(unparsed_tree(sides, p), exp.Literal.number(UNPARSED)) for p in plan.parses if p.side == side]
    keys = [k.left if side == LEFT else k.right for k in plan.keys]
    ifs += [(exp.Is(this=exp.paren(sides.tree(k)), expression=exp.null()), exp.Literal.number(KEY_NULL)) for k in keys]
    ifs += [(_fails(sides, c), exp.Literal.number(i)) for i, c in enumerate(own_checks(plan, side))]
    return _case(ifs, exp.null()) if ifs else None


def all_checks(plan: MatchPlan) -> tuple[Condition, ...]:
    """Every condition beside the keys, in the order in which a failure is reported."""
    return (*plan.conditions, *plan.left_only, *plan.right_only)


def own_checks(plan: MatchPlan, side: str) -> tuple[Condition, ...]:
    return plan.left_only if side == LEFT else plan.right_only


def _judgement(plan: MatchPlan, sides: Sides, fails: Sequence[exp.Expr]) -> list[exp.Expr]:
    """``n``, ``failed`` and ``gap`` of a candidate."""
    count = _sum([_case([(f, exp.Literal.number(1))], exp.Literal.number(0)) for f in fails])
    failed = _case([(f, exp.Literal.number(i)) for i, f in enumerate(fails)], exp.null())
    gap = _case([(f, _gap(sides, c)) for f, c in zip(fails, all_checks(plan), strict=True)], exp.null())
    return [
        exp.alias_(exp.cast(count, "utinyint", dialect="duckdb"), "n"),
        exp.alias_(exp.cast(failed, "utinyint", dialect="duckdb"), "failed"),
        exp.alias_(exp.cast(gap, "text"), "gap"),
    ]


def _no_text() -> exp.Expr:
    return exp.cast(exp.null(), "text")


def _fails(sides: Sides, condition: Condition) -> exp.Expr:
    """TRUE when the condition is false or NULL."""
    return exp.Not(this=exp.Is(this=exp.paren(sides.tree(condition.tree)), expression=exp.true()))


def unparsed_tree(sides: Sides, parse: Parse) -> exp.Expr:
    """TRUE for a text that is there and does not parse."""
    here = exp.Not(this=exp.Is(this=exp.paren(sides.tree(parse.text)), expression=exp.null()))
    return exp.and_(here, exp.Is(this=exp.paren(sides.tree(parse.parsed)), expression=exp.null()))


def _gap(sides: Sides, condition: Condition) -> exp.Expr:
    return exp.null() if condition.gap is None else exp.cast(exp.paren(sides.tree(lenient(condition.gap))), "text")


def lenient(tree: exp.Expr) -> exp.Expr:
    """A plan's tree for describing rather than deciding: doubles that no decimal holds (NaN, infinity, from 1e20 on)
    are NULL in it, where a comparison with a decimal would stop the run."""

    def guard(node: exp.Expr) -> exp.Expr:
        if not (isinstance(node, exp.Anonymous) and node.name.upper() == "KALLA_EXACT"):
            return node
        value = node.expressions[0]
        fits = exp.LT(this=exp.Abs(this=value.copy()), expression=exp.Literal.number("1e20"))
        finite = exp.Anonymous(this="isfinite", expressions=[value.copy()])
        return exp.Case(ifs=[exp.If(this=exp.and_(finite, fits), true=node.copy())])

    # Bottom up, so that a guarded node is not met again.
    copied = exp.Paren(this=tree.copy())
    for node in reversed(list(copied.walk())):
        if (guarded := guard(node)) is not node:
            node.replace(guarded)
    return copied


def _key_text(sides: Sides, side: str) -> exp.Expr:
    """A record's primary key as text: the plain value for one column, a JSON array for several."""
    names = sides.left_key if side == LEFT else sides.right_key
    cells = [exp.cast(sides.tree(exp.column(n, table=side, quoted=True)), "text") for n in names]
    if len(cells) == 1:
        return cells[0]
    array = exp.Anonymous(this="json_array", expressions=cells)
    return exp.cast(array, "text")


def _case(ifs: Sequence[tuple[exp.Expr, exp.Expr]], default: exp.Expr) -> exp.Expr:
    if not ifs:
        return default
    return exp.Case(ifs=[exp.If(this=test.copy(), true=value.copy()) for test, value in ifs], default=default)


def _sum(trees: Sequence[exp.Expr]) -> exp.Expr:
    total: exp.Expr = exp.Literal.number(0)
    for tree in trees:
        total = exp.Add(this=total, expression=exp.paren(tree))
    return total


def _struct(**fields: exp.Expr) -> exp.Expr:
    return exp.Struct(expressions=[exp.PropertyEQ(this=exp.to_identifier(n), expression=v) for n, v in fields.items()])
