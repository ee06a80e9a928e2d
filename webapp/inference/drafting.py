"""A recipe's heart from verdicts: rules, match_sql, words, keys, and what stays ambiguous; counted by running it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import Decimal, InvalidOperation

from webapp.inference.columns import Analysis
from webapp.inference.curves import curve_of
from webapp.inference.engine import Bench, TooManyPairs, bench
from webapp.inference.fitting import Fit, Judged, fit
from webapp.inference.gaps import plain
from webapp.inference.links import analyse
from webapp.inference.model import Draft, Figures, Profile, Rule, Table, Verdicts
from webapp.inference.rules import scored
from webapp.inference.sentences import choice, counted, description, with_sentence
from webapp.inference.statements import Statement, match_sql
from webapp.inference.support import RowPair

_KEPT = 8  # drafts that an analysis remembers: the same one is asked for several times in a turn
_MANY = 0.03  # of the matched records with several partners from which each gets one only


class NoRule(Exception):
    """Nothing that both sides hold can be compared; ``message`` says so in a sentence."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message


@dataclass(frozen=True)
class _Judgement:
    """A statement and what it finds."""

    statement: Statement
    sql: str
    pairs: list[RowPair]
    loose: list[RowPair]  # before each record got one partner at most


def draft(
    left: Table,
    right: Table,
    verdicts: Verdicts,
    tolerance: str | None = None,
    analysis: Analysis | None = None,
) -> Draft:
    """The rule that the verdicts and both sides speak for.

    Args:
        tolerance: a limit of the amounts that the person has chosen, instead of the one that was found.
        analysis: of the same tables, where it is known.

    Raises:
        NoRule: the sides share no reference and no amount, or no statement could be judged.
        ValueError: ``tolerance`` is no number of at least 0.
    """
    found = analysis or analyse(left, right)
    known = repr((verdicts.confirmed, verdicts.rejected, tolerance))
    if known not in found.memory:
        while len(found.memory) >= _KEPT:
            found.memory.pop(next(iter(found.memory)), None)
        found.memory[known] = _drafted(found, verdicts, tolerance)
    remembered: Draft = found.memory[known]
    return remembered


def _drafted(found: Analysis, verdicts: Verdicts, tolerance: str | None) -> Draft:
    fitted = fit(found, verdicts)
    if not fitted.conditions:
        raise NoRule(
            "The two sources share no reference and no amounts, so nothing says which records belong together."
        )
    if tolerance is not None:
        fitted = with_tolerance(fitted, tolerance)
    judged = Judged.of(found, verdicts)
    with bench(found.left, found.right) as opened:
        judgement = _judged(fitted, found, opened)
        rules = tuple(
            replace(rule, matches=count, leaves=None if count is None else len(found.left.rows) - count)
            for rule, count in zip(
                (scored(rule, judged, found) for rule in fitted.conditions),
                _funnel(fitted.conditions, found, opened),
                strict=True,
            )
        )
        curve = curve_of(judgement.statement, found, opened, fitted.limit)
    statement = judgement.statement
    proven = [_is_proven(profile, pk, table) for profile, pk, table in _keys(found, statement)]
    return Draft(
        rules=rules,
        match_sql=judgement.sql,
        match_description=description(fitted.conditions, statement.one_to_one, statement.closest),
        left_pk=statement.left_pk,
        right_pk=statement.right_pk,
        left_pk_proven=proven[0],
        right_pk_proven=proven[1],
        ambiguities=tuple(_ambiguities(judgement, judged, found, verdicts)),
        figures=_figures(judgement.pairs, found),
        curve=curve,
        notes=tuple(_notes(proven, statement, found)),
        choice=choice(statement.closest) if statement.one_to_one else "",
    )


def with_tolerance(fitted: Fit, tolerance: str) -> Fit:
    """The fit with another limit of amounts. Raises ValueError."""
    try:
        limit = Decimal(tolerance.strip())
    except InvalidOperation:
        raise ValueError("A tolerance is a number of at least 0, such as 0.02.") from None
    if not limit.is_finite() or limit < 0 or limit >= Decimal(10) ** 18:
        raise ValueError("A tolerance is a number of at least 0, such as 0.02.")
    rule = fitted.amount_rule
    if rule is None:
        raise ValueError("This rule compares no amounts, so there is no tolerance to change.")
    if limit and not any(one.is_key for one in fitted.conditions):
        raise ValueError("Without a shared reference the amounts must be equal: a tolerance would pair strangers.")
    changed = with_sentence(replace(rule, threshold=plain(limit)))
    conditions = tuple(changed if one is rule else one for one in fitted.conditions)
    return replace(fitted, conditions=conditions)


# --- judging -------------------------------------------------------------------------------------------


def _judged(fitted: Fit, analysis: Analysis, opened: Bench) -> _Judgement:
    """The statement, with one partner for each record where too many would have several."""
    keys = [
        primary_key(profile, [link_column(rule, at) for rule in fitted.conditions if rule.is_key])
        for at, profile in enumerate((analysis.left_profile, analysis.right_profile))
    ]
    simple = Statement(fitted.conditions, keys[0], keys[1])
    single = replace(simple, one_to_one=True, closest=fitted.closest)
    sql = match_sql(simple, analysis.sides)
    try:
        loose = opened.pairs(sql)
    except TooManyPairs:
        raise NoRule("The rule found so far gives too many partners for each record to be of use.") from None
    can_rank = all(keys) and all(map(_has_distinct_names, (analysis.left, analysis.right)))
    is_loose = bool(loose) and max(_shares_of_many(loose)) > _MANY
    if can_rank and (is_loose or (not fitted.key and loose)):
        ranked = match_sql(single, analysis.sides)
        return _Judgement(single, ranked, opened.pairs(ranked), loose)
    return _Judgement(simple, sql, loose, loose)


def link_column(rule: Rule, at: int) -> str:
    """The left or right column of a rule."""
    return (rule.left_col, rule.right_col)[at]


def primary_key(profile: Profile, linked: Sequence[str]) -> tuple[str, ...]:
    """What tells the rows apart in the rows read, else what links them, else the column with most values."""
    if profile.keys:
        return profile.keys[0]
    if linked:
        return tuple(dict.fromkeys(linked))
    most = max(profile.columns, key=lambda column: column.distinct, default=None)
    return (most.name,) if most is not None else ()


def _has_distinct_names(table: Table) -> bool:
    """Ranking statements cannot tell names apart that differ in case only."""
    return len({name.casefold() for name in table.names}) == len(table.names)


def _shares_of_many(pairs: Sequence[RowPair]) -> tuple[float, float]:
    found = [Counter(pair[at] for pair in pairs) for at in (0, 1)]
    left, right = (sum(count > 1 for count in counts.values()) / len(counts) for counts in found)
    return left, right


def _figures(pairs: Sequence[RowPair], analysis: Analysis) -> Figures:
    lefts, rights = (Counter(pair[at] for pair in pairs) for at in (0, 1))
    return Figures(
        left_total=len(analysis.left.rows),
        right_total=len(analysis.right.rows),
        matched_left=len(lefts),
        matched_right=len(rights),
        pairs=len(pairs),
        left_many=sum(count > 1 for count in lefts.values()),
        right_many=sum(count > 1 for count in rights.values()),
        is_sample=not (analysis.left.is_whole and analysis.right.is_whole),
    )


def _funnel(conditions: Sequence[Rule], analysis: Analysis, opened: Bench) -> list[int | None]:
    """Left rows that find a partner by the first rule, by the first two, and so on; None where those are too many."""
    counts: list[int | None] = []
    for size in range(1, len(conditions) + 1):
        some = conditions[:size]
        if not some[0].is_key and some[0].threshold != "0":
            counts.append(None)
            continue
        try:
            pairs = opened.pairs(match_sql(Statement(tuple(some), (), ()), analysis.sides))
        except TooManyPairs:
            counts.append(None)
            continue
        counts.append(len({left for left, _ in pairs}))
    return counts


# --- said rather than guessed --------------------------------------------------------------------------


def _ambiguities(judgement: _Judgement, judged: Judged, analysis: Analysis, verdicts: Verdicts) -> list[str]:
    said = _contradictions(judgement.statement, judged, analysis)
    if judgement.statement.one_to_one:
        for at, side in enumerate(("left", "right")):
            left_out = {pair[at] for pair in judgement.loose} - {pair[at] for pair in judgement.pairs}
            if left_out:
                said.append(
                    f"{counted(len(left_out), 'record')} on the {side} fit a record that has a nearer partner, or fit "
                    "several equally well: nothing tells them apart, so they stay unmatched."
                )
    else:
        for at, side in enumerate(("left", "right")):
            many = sum(count > 1 for count in Counter(pair[at] for pair in judgement.pairs).values())
            if many:
                have = "has" if many == 1 else "have"
                said.append(
                    f"{counted(many, 'record')} on the {side} {have} more than one partner: nothing tells these apart. "
                    "The result marks them."
                )
    return said


def _contradictions(statement: Statement, judged: Judged, analysis: Analysis) -> list[str]:
    """Verdicts that the rule does not follow, found by running it on the judged pairs themselves."""
    if not judged.confirmed and not judged.rejected:
        return []
    plain_statement = replace(statement, one_to_one=False)
    with bench(judged.sides[0].table, judged.sides[1].table) as opened:
        pairs = set(opened.pairs(match_sql(plain_statement, analysis.sides)))
    missed = sum((at, at) not in pairs for at in judged.confirmed)
    wrong = sum((at, at) in pairs for at in judged.rejected)
    said = []
    if missed:
        said.append(f"{counted(missed, 'pair')} that you confirmed would not be matched by this rule.")
    if wrong:
        said.append(f"{counted(wrong, 'pair')} that you rejected would be matched by this rule.")
    return said


def _keys(analysis: Analysis, statement: Statement) -> list[tuple[Profile, tuple[str, ...], Table]]:
    return [
        (analysis.left_profile, statement.left_pk, analysis.left),
        (analysis.right_profile, statement.right_pk, analysis.right),
    ]


def _is_proven(profile: Profile, key: tuple[str, ...], table: Table) -> bool:
    return table.is_whole and key in profile.keys


def _notes(proven: Sequence[bool], statement: Statement, analysis: Analysis) -> list[str]:
    notes = []
    for is_proven, (profile, key, table), side in zip(
        proven, _keys(analysis, statement), ("left", "right"), strict=True
    ):
        if is_proven:
            continue
        names = " and ".join(key)
        if key in profile.keys:
            notes.append(
                f"{names} tells the {side} records apart in the {len(table.rows):,} rows read, so most likely in all."
            )
        else:
            notes.append(f"No column tells the {side} records apart for sure; {names} comes nearest.")
    return notes
