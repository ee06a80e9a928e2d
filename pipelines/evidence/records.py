"""Verification, second half: every record once, every figure again from the rows. Runs in the SQL engine, which spills
to disk: memory stays bounded however many rows there are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from decimal import Decimal, localcontext
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
from sqlglot import exp, parse_one

from pipelines.engine import Connection
from pipelines.evidence.columns import SIDES, control_number, kind_of, matched_place, source_places
from pipelines.evidence.files import MOST_NAMED, Check, result
from pipelines.evidence.reader import Evidence, is_ids
from pipelines.evidence.tables import scan
from pipelines.layout import ROW_FIELDS
from pipelines.matching import REASONS

_DIGITS = 80


class Records:
    """The rows of evidence as tables of ``connection``.

    ``fed_<side>``: which record is in which matched row, and how many partners that row names; ``matched_<side>`` and
    ``alone_<side>``: record ids.
    """

    def __init__(self, connection: Connection, evidence: Evidence, links: Mapping[str, Path]) -> None:
        """``links``: for each part's name the path under which the engine reads it."""
        self._connection, self._evidence, self._links = connection, evidence, links
        self._schemas = {name: evidence.schema(name) for name in ("matched", "unmatched_left", "unmatched_right")}
        self.lists = is_ids(self._schemas["matched"].field(0).type)
        for place, side in enumerate(SIDES):
            self._create(f"fed_{side}", self._fed(place, place + 2))
            self._create(f"matched_{side}", _one("SELECT id, count(*) AS n FROM fed GROUP BY id", fed=f"fed_{side}"))
            self._create(f"alone_{side}", self._scan(f"unmatched_{side}", {0: "id"}))

    # --- checks ---

    def check_counts(self) -> Check:
        """All figures of the manifest, counted from the rows."""
        found = self._counts()
        stated = self._evidence.counts
        problems = [
            f"{name} is {n:,} by the rows, the manifest says {stated[name]:,}"
            for name, n in found.items()
            if n != stated[name]
        ]
        good = "; ".join(
            f"{side} {found[f'{side}_record_count']:,} = {found[f'matched_{side}_count']:,} matched"
            f" + {found[f'unmatched_{side}_count']:,} unmatched"
            for side in SIDES
        )
        return result("counts", problems, f"{good}; {found['matched_count']:,} pairs")

    def check_rate(self) -> Check:
        """The matched share of left records."""
        found, stated = self._counts(), self._evidence.counts["match_rate"]
        records = found["left_record_count"]
        rate = found["matched_left_count"] / records if records else None
        problems = [] if rate == stated else [f"it is {rate} by the rows, the manifest says {stated}"]
        return result("match_rate", problems, "no left record" if rate is None else f"{rate:.4%}")

    def check_records(self, side: str) -> Check:
        """Ids 1 to N, each in matched or in unmatched, none in both, none twice in unmatched."""
        records = int(self._evidence.counts[f"{side}_record_count"])
        matched, alone = f"matched_{side}", f"alone_{side}"
        ask = {
            "is no record": "SELECT id FROM (SELECT id FROM m UNION ALL SELECT id FROM a)"
            " WHERE id IS NULL OR id < 1 OR id > n",
            "stands in unmatched more than once": "SELECT id FROM a GROUP BY id HAVING count(*) > 1",
            "is both matched and unmatched": "SELECT DISTINCT id FROM a WHERE id IN (SELECT id FROM m)",
        }
        problems = [
            p for text, sql in ask.items() for p in self._named(side, text, _one(sql, m=matched, a=alone, n=records))
        ]
        if not problems:
            problems = self._missing(side, records)
        return result(f"{side}_records", problems, f"each of {records:,} records once")

    def check_pairs(self) -> Check:
        """One matched row a pair; a statement that unites rows may give a pair several rows."""
        rows = self._value("SELECT count(*) FROM m", m=self._scan("matched", {0: "id"}))
        problems = [f"matched holds {rows:,} rows, the manifest says {self._evidence.counts['matched_count']:,}"]
        if rows == self._evidence.counts["matched_count"]:
            problems = []
        if not self.lists:
            scan = self._scan("matched", {0: "l", 1: "r"})
            twice = _one("SELECT l, r FROM m GROUP BY l, r HAVING count(*) > 1", m=scan)
            count, left, right = self._rows(_one("SELECT count(*), min(l), arg_min(r, l) FROM t", t=twice))[0]
            if count:
                problems.append(f"{count:,} pairs stand there twice, first left {left} with right {right}")
        return result("pairs", problems, f"{rows:,}")

    def check_partners(self) -> Check:
        """The partner counts beside each matched row."""
        problems = []
        for side in SIDES:
            sql = (
                "SELECT count(*), min(id) FROM (SELECT f.place, min(f.id) AS id FROM f JOIN m ON f.id = m.id"
                " GROUP BY f.place HAVING max(m.n) IS DISTINCT FROM max(f.said))"
            )
            count, first = self._rows(_one(sql, f=f"fed_{side}", m=f"matched_{side}"))[0]
            if count:
                problems.append(f"_{side}_partners is wrong in {count:,} matched rows, first for {side} record {first}")
        return result("partners", problems, "as counted from the pairs")

    def check_reasons(self) -> Check:
        """How many unmatched records have which reason; unknown reasons are named."""
        problems = []
        found: dict[str, int] = {}
        for side in SIDES:
            scan = self._scan(f"unmatched_{side}", {1: "reason"})
            rows = self._rows(_one("SELECT reason, count(*) FROM u GROUP BY reason ORDER BY 1", u=scan))
            counted = {str(reason): int(n) for reason, n in rows}
            stated = self._evidence.manifest["reasons"][side]
            problems += [f"{side}: {reason} is no known reason" for reason in counted if reason not in REASONS]
            problems += [
                f"{side}: {reason} has {counted.get(reason, 0):,} rows, the manifest says {stated.get(reason, 0):,}"
                for reason in sorted({*counted, *stated})
                if counted.get(reason, 0) != stated.get(reason, 0)
            ]
            found |= {reason: found.get(reason, 0) + n for reason, n in counted.items()}
        return result("reasons", problems, ", ".join(f"{r} {n:,}" for r, n in found.items()) or "nothing is unmatched")

    def check_totals(self) -> Check:
        """Source = matched + unmatched for each control total, its row counts, and both parts from the rows."""
        stated = [output["name"] for output in self._evidence.manifest["outputs"]]
        written = self._schemas["matched"].names[len(ROW_FIELDS) :]
        problems = [] if stated == written else ["the manifest's outputs are not the columns of matched"]
        names = []
        for side in SIDES:
            for name, total in self._evidence.manifest["control_totals"][side].items():
                only = "" if matched_place(self._evidence, side, name) else " (matched rows do not hold it)"
                names.append(f"{side} {name} {_shown(Decimal(total['source']['sum']))}{only}")
                problems += [f"{side} {name}: {p}" for p in self._total_problems(side, name, total)]
        return result("control_totals", problems, ", ".join(names) or "no numeric column is used")

    # --- control totals ---

    def _total_problems(self, side: str, name: str, total: dict[str, Any]) -> Iterator[str]:
        with localcontext() as context:
            context.prec = _DIGITS
            sums = {part: Decimal(total[part]["sum"]) for part in total if part in ("source", "matched", "unmatched")}
            if sums["source"] != sums["matched"] + sums["unmatched"]:
                yield f"{sums['source']:f} is not {sums['matched']:f} matched + {sums['unmatched']:f} unmatched"
        if total["source"]["empty"] != total["matched"]["empty"] + total["unmatched"]["empty"]:
            yield "the empty values do not add up"
        counts = self._evidence.counts
        rows = {
            "source": f"{side}_record_count",
            "matched": f"matched_{side}_count",
            "unmatched": f"unmatched_{side}_count",
        }
        for part, count in rows.items():
            if total[part]["rows"] != counts[count]:
                yield f"{part} covers {total[part]['rows']:,} rows, {count} is {counts[count]:,}"
        unmatched = self._unmatched_cells(side, name)
        if unmatched is None:
            yield "the unmatched rows have no such column"
        else:
            yield from self._sum_problems(side, "unmatched", *unmatched, total, sums)
        matched = self._matched_cells(side, name)
        if matched is not None:
            yield from self._sum_problems(side, "matched", *matched, total, sums)

    def _unmatched_cells(self, side: str, name: str) -> tuple[exp.Query, pa.DataType] | None:
        """``SELECT cell`` of a source's column over the side's unmatched records."""
        place = source_places(self._evidence, side).get(name)
        if place is None:
            return None
        set_name = f"unmatched_{side}"
        return self._scan(set_name, {place: "cell"}), self._schemas[set_name].field(place).type

    def _matched_cells(self, side: str, name: str) -> tuple[exp.Query, pa.DataType] | None:
        """The same over the matched records, each once; None where match_sql did not select the column."""
        place = matched_place(self._evidence, side, name)
        if place is None or self.lists:  # of a grouping statement only keys, which have no totals, are columns as such
            return None
        scan = self._scan("matched", {SIDES.index(side): "ids", place: "cells"})
        kind = self._schemas["matched"].field(place).type
        return _one("SELECT any_value(cells) AS cell FROM s GROUP BY ids", s=scan), kind

    def _sum_problems(
        self, side: str, part: str, cells: exp.Query, kind: pa.DataType, total: dict[str, Any], sums: dict[str, Decimal]
    ) -> Iterator[str]:
        number = control_number(self._evidence.recipe, side, kind_of(kind), exp.column("cell"))
        asked = exp.select(exp.Sum(this=number.copy()), exp.Count(this=exp.Star()), exp.Count(this=number.copy()))
        found, rows, filled = self._rows(asked.from_(cells.subquery("u")))[0]
        if Decimal(found or 0) != sums[part]:
            yield f"the {part} rows add up to {Decimal(found or 0):f}, the manifest says {sums[part]:f}"
        if rows - filled != total[part]["empty"]:
            yield f"{rows - filled:,} {part} rows have no number, the manifest says {total[part]['empty']:,}"

    # --- statements ---

    def _counts(self) -> dict[str, int]:
        found = {"matched_count": self._value("SELECT count(*) FROM m", m=self._scan("matched", {0: "id"}))}
        for side in SIDES:
            matched = self._value("SELECT count(*) FROM m", m=f"matched_{side}")
            alone = self._value("SELECT count(*) FROM a", a=f"alone_{side}")
            found |= {
                f"{side}_record_count": matched + alone,
                f"matched_{side}_count": matched,
                f"unmatched_{side}_count": alone,
            }
        return found

    def _named(self, side: str, text: str, tree: exp.Query) -> list[str]:
        sql = exp.select(exp.Count(this=exp.Star()), exp.Min(this=exp.column("id"))).from_(tree.subquery("q"))
        count, first = self._rows(sql)[0]
        several = f" and {count - 1:,} more" if count > 1 else ""
        return [f"{side} record {first}{several} {text}"] if count else []

    def _missing(self, side: str, records: int) -> list[str]:
        """Ids that stand nowhere; only asked once all others are known to be sound."""
        sound = _one("SELECT id FROM m UNION ALL SELECT id FROM a", m=f"matched_{side}", a=f"alone_{side}")
        seen = self._value("SELECT count(*) FROM s", s=sound)
        if seen == records:
            return []
        if records - seen > 10 * seen + 1000:  # a made-up count; naming what is missing would take for ever
            return [f"{records - seen:,} of {records:,} {side} records are missing"]
        sql = "SELECT i.i AS id FROM range(1, n) AS i(i) ANTI JOIN s ON i.i = s.id ORDER BY 1"
        tree = _one(sql, s=sound, n=records + 1).limit(MOST_NAMED)
        first = ", ".join(str(row[0]) for row in self._rows(tree))
        return [f"{records - seen:,} of {records:,} {side} records are missing: {first}"]

    def _fed(self, ids: int, partners: int) -> exp.Query:
        """``SELECT place, id, said``."""
        scan = self._scan("matched", {ids: "ids", partners: "said"}, place=True)
        each = "SELECT place, unnest(ids) AS id, said FROM s"
        return _one(each if self.lists else "SELECT place, ids AS id, said FROM s", s=scan)

    def _scan(self, set_name: str, wanted: dict[int, str], place: bool = False) -> exp.Select:
        """The columns at the given places of a set's parts, by new names: a source's own names mean nothing here."""
        paths = [str(self._links[part.name]) for part in self._evidence.parts(set_name)]
        return scan(paths, len(self._schemas[set_name]), wanted, place)

    def _create(self, table: str, tree: exp.Expr) -> None:
        create = exp.Create(this=exp.to_table(table), kind="TABLE", expression=tree)
        create.set("properties", exp.Properties(expressions=[exp.TemporaryProperty()]))
        self._connection.execute(create.sql("duckdb"))

    def _rows(self, tree: exp.Expr) -> list[tuple[Any, ...]]:
        found: list[tuple[Any, ...]] = self._connection.execute(tree.sql("duckdb")).fetchall()
        return found

    def _value(self, sql: str, **tables: str | int | exp.Expr) -> int:
        return int(self._rows(_one(sql, **tables))[0][0])


def _one(sql: str, **named: str | int | exp.Expr) -> exp.Query:
    """A statement in which tables of those names become other tables or statements, and columns numbers."""

    def place(node: exp.Expr) -> exp.Expr:
        found = named.get(node.name) if isinstance(node, (exp.Table, exp.Column)) else None
        if isinstance(node, exp.Column) and isinstance(found, int):
            return exp.Literal.number(found)
        if not isinstance(node, exp.Table) or found is None or isinstance(found, int):
            return node
        if isinstance(found, str):
            return exp.alias_(exp.to_table(found), node.alias_or_name, table=True)
        return exp.Subquery(this=found.copy(), alias=exp.TableAlias(this=exp.to_identifier(node.alias_or_name)))

    tree = parse_one(sql, dialect="duckdb").transform(place)
    assert isinstance(tree, exp.Query), "templates are queries"
    return tree


def guarded(name: str, check: Callable[..., Check], *arguments: str) -> Check:
    """The check's result; what the engine cannot read or compute is a failed check, not an end."""
    try:
        return check(*arguments)
    except duckdb.Error as error:
        return Check(name, False, f"it cannot be computed: {str(error).splitlines()[0][:200]}")


def not_checked(names: Iterable[str]) -> list[Check]:
    return [Check(name, False, "not checked: the parts are not readable as a whole") for name in names]


def _shown(number: Decimal) -> str:
    """Digits in groups of three; zeros past the second decimal are left out."""
    text = format(number, ",f")
    whole, point, fraction = text.partition(".")
    return whole + point + (fraction[:2] + fraction[2:].rstrip("0")) if point else text
