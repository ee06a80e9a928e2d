"""Queries bound: FROM and WITH give the names, expressions are lowered, clauses off the allow-list are
refused.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial

from sqlglot import exp

from recipe.columns import Kind
from recipe.compiler.bound import BoundQuery, BoundSelect, BoundUnion, Conjunct, Cte, FromItem, Item
from recipe.compiler.casts import at_scale, comparable, tight_scale
from recipe.compiler.grouping import check_grouping, has_aggregate
from recipe.compiler.items import bind_items, bind_order, internal_names
from recipe.compiler.logic import lower_condition
from recipe.compiler.lowering import Lowering, SubQuery
from recipe.compiler.provenance import row_order
from recipe.compiler.refusals import explain, refuse_clauses
from recipe.compiler.report import UNTRACEABLE, WRONG_ARGUMENTS
from recipe.compiler.rules import RULES
from recipe.compiler.scope import Scope, find
from recipe.compiler.tables import add_sources, cte_name
from recipe.compiler.trace import emit
from recipe.compiler.typed import Shared, Typed

_SELECT = ("expressions", "from_", "joins", "where", "group", "having", "distinct", "order", "with_")
_UNION = ("this", "expression", "distinct", "order", "with_")
_ALIASES = ("this", "columns")


@dataclass(frozen=True)
class Binder:
    """Binds one statement. ``fixed`` names the base tables ``l`` and ``r``, as the simple class needs
    them.
    """

    shared: Shared
    fixed: bool

    def query(self, node: exp.Expression, parent: Scope | None, ctes: tuple[Cte, ...], top: bool) -> BoundQuery | None:
        if isinstance(node, exp.Subquery):
            if refuse_clauses(self.shared.findings, node, ("this", "alias"), "a sub-query"):
                return None
            return self.query(node.this, parent, ctes, top)
        if isinstance(node, (exp.Intersect, exp.Except)):
            word = node.key.upper()
            message = f"{word} cannot be traced to source rows: use EXISTS or NOT EXISTS"
            self._refuse(message, self.shared.findings.word((word,), node.expression) or 0)
            return None
        if isinstance(node, exp.Values):
            self._refuse("VALUES cannot be traced to source rows", node)
            return None
        if isinstance(node, exp.Union):
            return self._union(node, parent, ctes, top)
        if isinstance(node, exp.Select):
            return self._select(node, parent, ctes, top)
        explain(self.shared.findings, node)
        self.shared.usage.broken = True
        return None

    def _refuse(self, message: str, at: exp.Expression | int) -> None:
        self.shared.findings.problem(UNTRACEABLE, message, at)
        self.shared.usage.broken = True

    def _with(self, node: exp.Expression, parent: Scope | None, ctes: tuple[Cte, ...]) -> list[Cte]:
        with_ = node.args.get("with_")
        made: list[Cte] = []
        if with_ is None:
            return made
        if with_.args.get("recursive"):
            message = "WITH RECURSIVE cannot be traced to source rows"
            self._refuse(message, self.shared.findings.word(("RECURSIVE",)) or 0)
            return made
        refuse_clauses(self.shared.findings, with_, ("expressions",), "WITH")
        for part in with_.expressions:
            refuse_clauses(self.shared.findings, part, ("this", "alias", "materialized"), "WITH")
            query = self.query(part.this, parent, (*ctes, *made), False)
            name = cte_name(self.shared, part, [c.name for c in made])
            if query is not None and name:
                visible = self.visible(query, part.args.get("alias"))
                made.append(Cte(name, self.shared.fresh("w"), tuple(query.items), visible, query))
        return made

    def visible(self, query: BoundQuery, alias: exp.Expression | None) -> tuple[str, ...]:
        names = [item.name for item in query.items]
        given = [column.name for column in (alias.args.get("columns") or [])] if alias is not None else []
        if len(given) > len(names) and query.complete:
            message = f"{len(given)} column names are given for {len(names)} columns"
            self.shared.findings.problem(WRONG_ARGUMENTS, message, alias)
        return tuple([*given, *names[len(given) :]][: len(names)])

    def _union(self, node: exp.Expression, parent: Scope | None, ctes: tuple[Cte, ...], top: bool) -> BoundQuery | None:
        refuse_clauses(self.shared.findings, node, _UNION, "UNION")
        made = self._with(node, parent, ctes)
        left = self.query(node.this, parent, (*ctes, *made), False)
        right = self.query(node.expression, parent, (*ctes, *made), False)
        if left is None or right is None:
            return None
        if len(left.items) != len(right.items) and left.complete and right.complete:
            message = f"UNION needs equally many columns: {len(left.items)} and {len(right.items)} are given"
            self.shared.findings.problem(WRONG_ARGUMENTS, message, node)
            return None
        items = [self._united(node, left, right, i) for i in range(min(len(left.items), len(right.items)))]
        query = BoundUnion(left, right, items, bool(node.args.get("distinct")), made)
        query.complete = left.complete and right.complete
        bind_order(node, self.lowering(Scope(), (), "ORDER BY"), items, names_only=True)
        return query

    def _united(self, node: exp.Expression, left: BoundQuery, right: BoundQuery, at: int) -> Item:
        """One column of a union: both branches brought to one kind."""
        a, b = left.items[at].value, right.items[at].value
        places = [_item_node(node.this, at), _item_node(node.expression, at)]
        new = comparable(self.shared, [a, b], places[0], places)
        if new[0].tree is not a.tree:
            left.retype(at, lambda value: comparable(self.shared, [value, b], places[0], places)[0])
        if new[1].tree is not b.tree:
            right.retype(at, lambda value: comparable(self.shared, [a, value], places[0], places)[1])
        scale = tight_scale(new)
        if scale is not None:
            for branch in (left, right):
                branch.retype(at, lambda value: at_scale(value, scale))
        kind = new[0].kind if not new[0].unknown else new[1].kind
        if {v.kind for v in new} == {Kind.INTEGER, Kind.DECIMAL}:
            kind = Kind.DECIMAL
        scales = [v.scale for v in new if v.scale is not None]
        tree = new[0].tree.copy()
        tree.meta.pop("precision", None)  # one branch's, which says nothing about the other
        value = Typed(
            tree,
            kind,
            max(scales) if scales else None,
            a.sides | b.sides,
            a.origin if a.origin == b.origin else None,
        )
        return Item(left.items[at].name, value, left.items[at].internal, left.items[at].named)

    def _select(self, node: exp.Select, parent: Scope | None, ctes: tuple[Cte, ...], top: bool) -> BoundSelect | None:
        findings = self.shared.findings
        refuse_clauses(findings, node, _SELECT, "SELECT")
        made = self._with(node, parent, ctes)
        distinct = self._distinct(node)
        scope = Scope(parent=parent)
        froms: list[FromItem] = []
        seen = (*ctes, *made)
        if node.args.get("from_") is not None:
            add_sources(self, node, scope, froms, seen)
        where: list[Conjunct] = []
        if node.args.get("where") is not None:
            where = lower_condition(node.args["where"].this, self.lowering(scope, seen, "WHERE"))
        query = BoundSelect(froms, where, [], [], [], False, distinct, made)
        self._columns(node, scope, seen, query)
        return query

    def _columns(self, node: exp.Select, scope: Scope, ctes: tuple[Cte, ...], query: BoundSelect) -> None:
        """GROUP BY, the select list, HAVING and ORDER BY, in the order in which they depend on each other."""
        group, having = node.args.get("group"), node.args.get("having")
        parts = [*node.expressions, *([having] if having is not None else [])]
        query.grouped = group is not None or having is not None or has_aggregate(parts, self.shared.functions)
        if group is not None:
            query.group = self._group(group, node, self.lowering(scope, ctes, "GROUP BY"))
        keys = [key.tree for key in query.group]
        ids = partial(row_order, query.froms, keys, self.shared.hidden, query.grouped)
        low = replace(self.lowering(scope, ctes, "the select list"), aggregates=True, windows=True, tie_break=ids)
        query.items, query.complete = bind_items(node, low, scope)
        internal_names(query.items, self.shared.hidden)
        if having is not None:
            query.having = lower_condition(having.this, replace(low, clause="HAVING", windows=False))
        if query.grouped and (group is None or query.group):
            check_grouping(self.shared.findings, query)
        bind_order(node, low, query.items)

    def _group(self, group_node: exp.Expression, node: exp.Select, low: Lowering) -> list[Typed]:
        findings = self.shared.findings
        if refuse_clauses(findings, group_node, ("expressions",), "GROUP BY"):
            return []
        group: list[Typed] = []
        for part in group_node.expressions:
            if isinstance(part, (exp.Rollup, exp.Cube, exp.GroupingSets)):
                word = {exp.Rollup: "ROLLUP", exp.Cube: "CUBE"}.get(type(part), "GROUPING SETS")
                findings.problem(UNTRACEABLE, f"{word} cannot be traced to source rows: use one GROUP BY", part)
                continue
            meant = self._meant_by(part, node, low.scope)
            if meant is not None:
                group.append(low.lower(meant))
        return group

    def _meant_by(self, part: exp.Expression, node: exp.Select, scope: Scope) -> exp.Expression | None:
        """GROUP BY 2 is the second column; a name is a source's column, else an alias of the select list."""
        if isinstance(part, exp.Literal) and part.name.isdigit():
            at = int(part.name) - 1
            listed = node.expressions
            if 0 <= at < len(listed) and not listed[at].is_star:
                return listed[at].unalias()
            message = f"GROUP BY {part.name}: the select list has no such column"
            self.shared.findings.problem(WRONG_ARGUMENTS, message, part)
            return None
        if isinstance(part, exp.Column) and not part.table:
            offered = [c.name for s in scope.sources for c in s.columns or ()]
            aliases = [e for e in node.expressions if isinstance(e, exp.Alias)]
            places = find([a.alias for a in aliases], part.this)
            if not find(offered, part.this) and len(places) == 1:
                return aliases[places[0]].this
        return part

    def _distinct(self, node: exp.Select) -> bool:
        distinct = node.args.get("distinct")
        if distinct is None:
            return False
        if distinct.args.get("on") is not None:
            message = "DISTINCT ON keeps an arbitrary row of each group: use ROW_NUMBER() and a condition"
            self.shared.findings.problem(UNTRACEABLE, message, distinct)
        return True

    def lowering(self, scope: Scope, ctes: tuple[Cte, ...], clause: str) -> Lowering:
        return Lowering(self.shared, scope, clause, RULES, partial(self._sub_query, ctes))

    def _sub_query(self, ctes: tuple[Cte, ...], node: exp.Expression, scope: Scope) -> SubQuery | None:
        """A sub-query used as a filter or value: it sees the names around it and adds no rows."""
        query = self.query(node, scope, ctes, False)
        if query is None:
            return None
        columns = tuple(item.value for item in query.items)
        return SubQuery(columns, lambda: emit(self.shared, query, carry=False), query.retype)


def _item_node(node: exp.Expression, at: int) -> exp.Expression:
    """The place of a union's column: its own where the branch is a plain SELECT without stars."""
    while isinstance(node, exp.Subquery):
        node = node.this
    listed = node.expressions if isinstance(node, exp.Select) else []
    if at < len(listed) and not any(e.is_star for e in listed):
        return listed[at]
    return node
