"""What the two sides and the person's verdicts say together: which links are the key, how far amounts and dates may
differ, and whether texts must be alike. Everything else (rules, questions, samples) is read off the fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal

from webapp.inference.columns import Analysis, Columns
from webapp.inference.gaps import Limit, fitted, is_proportional, percent_gap, plain, separating, usual_days
from webapp.inference.links import joined
from webapp.inference.model import Link, Pair, Rule, Table, Verdicts
from webapp.inference.references import key_of
from webapp.inference.sentences import link_rule, with_sentence
from webapp.inference.support import Companion, RowPair, companions, shuffled, similarities, similarity
from webapp.inference.values import days_apart

_EVIDENCE = 4000  # pairs that limits are found from
_PERCENT_SMALL = Decimal(1)


@dataclass(frozen=True)
class Fit:
    """A hypothesis of what makes a pair. ``conditions`` are the rules in the order in which they are said; ``closest``
    are those by which partners are ranked; ``evidence`` are the pairs that it was found from."""

    key: tuple[Link, ...]
    conditions: tuple[Rule, ...]
    closest: tuple[Rule, ...]
    amount: Companion | None
    limit: Limit | None
    evidence: tuple[RowPair, ...]

    @property
    def amount_rule(self) -> Rule | None:
        """The rule over amounts, if there is one."""
        return next((rule for rule in self.conditions if rule.op in ("tolerance", "percent")), None)


def fit(analysis: Analysis, verdicts: Verdicts) -> Fit:
    """The hypothesis that fits the verdicts best."""
    judged = Judged.of(analysis, verdicts)
    for key in analysis.keys:
        if judged.allows(key):
            return _with_key(analysis, key, judged)
    return _without_key(analysis, judged)


# --- verdicts as rows ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Judged:
    """The judged pairs as two small sides of their own, read like the large ones."""

    sides: tuple[Columns, Columns]
    confirmed: tuple[int, ...]
    rejected: tuple[int, ...]

    @classmethod
    def of(cls, analysis: Analysis, verdicts: Verdicts) -> Judged:
        pairs = [*verdicts.confirmed, *verdicts.rejected]
        sides = (_small(analysis.sides[0], pairs, "left"), _small(analysis.sides[1], pairs, "right"))
        first = len(verdicts.confirmed)
        return cls(sides, tuple(range(first)), tuple(range(first, len(pairs))))

    def satisfies(self, key: Sequence[Link], at: int) -> bool | None:
        """Whether a judged pair satisfies a key; None where a value is missing."""
        cells = [
            (link, self.sides[0].table.column(link.left_col)[at], self.sides[1].table.column(link.right_col)[at])
            for link in key
        ]
        if any(one is None or other is None for _, one, other in cells):
            return None
        return all(link_holds(link, one, other) for link, one, other in cells)

    def allows(self, key: Sequence[Link]) -> bool:
        """Whether a key can be what the person means: most confirmed pairs satisfy it, and where none was confirmed no
        rejected pair does."""
        said = [holds for at in self.confirmed if (holds := self.satisfies(key, at)) is not None]
        if said:
            return sum(said) * 10 > len(said) * 7 or (len(said) > 1 and sum(said) * 2 > len(said))
        return self.confirmed == () and not any(self.satisfies(key, at) for at in self.rejected)

    def numbers(self, one: str, other: str, which: Sequence[int]) -> list[tuple[Decimal, Decimal]]:
        """Both amounts of the judged pairs that have both."""
        lefts, rights = self.sides[0].numbers(one), self.sides[1].numbers(other)
        return [(a, b) for at in which if (a := lefts[at]) is not None and (b := rights[at]) is not None]

    def lags(self, one: str, other: str, which: Sequence[int]) -> list[int]:
        """Days between both dates of the judged pairs that have both."""
        lefts, rights = self.sides[0].days(one), self.sides[1].days(other)
        return [days_apart(a, b) for at in which if (a := lefts[at]) is not None and (b := rights[at]) is not None]


def _small(side: Columns, pairs: Sequence[Pair], name: str) -> Columns:
    rows = [[pair[name].get(column) for column in side.table.names] for pair in pairs]
    table = Table(side.table.names, side.table.kinds, rows, side.table.format)
    return Columns(table, side.profile)


def link_holds(link: Link, one: str | None, other: str | None) -> bool:
    """Whether two cells hold the same reference as the link compares it."""
    if one is None or other is None:
        return False
    if link.op == "eq":
        return one == other
    left = key_of(one, link.left_pattern, link.strip_zeros)
    return left is not None and left == key_of(other, link.right_pattern, link.strip_zeros)


# --- with a key ----------------------------------------------------------------------------------------


def _with_key(analysis: Analysis, key: tuple[Link, ...], judged: Judged) -> Fit:
    sides = analysis.sides
    evidence, found = _spoken_for(analysis, key)
    amount = best(found, "amount", 0.3)
    amounts, limit = (None, None) if amount is None else _amount_rule(amount, evidence, sides, judged, key)
    dates = best(found, "date", 0.1)
    closest = () if dates is None else (_days_rule(dates, 0),)
    conditions = [*map(link_rule, key), *([amounts] if amounts else [])]
    if dates is not None and (narrowed := _narrowing_days(dates, conditions, judged)) is not None:
        conditions.append(narrowed)
    return Fit(key, tuple(conditions), closest, amount, limit, evidence)


def _spoken_for(analysis: Analysis, key: tuple[Link, ...]) -> tuple[tuple[RowPair, ...], list[Companion]]:
    """Pairs that a key joins and what agrees in them, whatever was judged; found once."""
    if key not in analysis.companions:
        pairs = joined(key, *analysis.sides, most=_EVIDENCE * 4)
        evidence = tuple(pairs[:: max(1, len(pairs) // _EVIDENCE)])
        analysis.companions[key] = evidence, companions(evidence, *analysis.sides, key)
    evidence, found = analysis.companions[key]
    return evidence, found


def best(found: Sequence[Companion], kind: str, least: float) -> Companion | None:
    """The companion of a kind that the pairs speak for most."""
    some = [companion for companion in found if companion.kind == kind and companion.lift >= least]
    return max(some, key=lambda companion: (round(companion.lift, 2), companion.near), default=None)


def _amount_rule(
    amount: Companion, evidence: Sequence[RowPair], sides: tuple[Columns, Columns], judged: Judged, key: Sequence[Link]
) -> tuple[Rule, Limit]:
    both = amounts_of(amount, evidence, sides)
    confirmed = [_signed(pair, amount) for pair in judged.numbers(amount.left_col, amount.right_col, judged.confirmed)]
    doubtful = [at for at in judged.rejected if judged.satisfies(key, at)]
    rejected = [_signed(pair, amount) for pair in judged.numbers(amount.left_col, amount.right_col, doubtful)]
    if is_proportional(both):
        limit = fitted(
            [percent_gap(a, b) for a, b in both],
            [percent_gap(a, b) for a, b in confirmed],
            [percent_gap(a, b) for a, b in rejected],
            small=_PERCENT_SMALL,
        )
        return amount_rule(amount, "percent", limit.threshold), limit
    limit = fitted([abs(a - b) for a, b in both], [abs(a - b) for a, b in confirmed], [abs(a - b) for a, b in rejected])
    return amount_rule(amount, "tolerance", limit.threshold), limit


def amounts_of(
    amount: Companion, pairs: Sequence[RowPair], sides: tuple[Columns, Columns]
) -> list[tuple[Decimal, Decimal]]:
    """Both amounts of the pairs that have both, the right one with its sign turned where the companion says so."""
    lefts, rights = sides[0].numbers(amount.left_col), sides[1].numbers(amount.right_col)
    return [_signed((a, b), amount) for i, j in pairs if (a := lefts[i]) is not None and (b := rights[j]) is not None]


def _signed(pair: tuple[Decimal, Decimal], amount: Companion) -> tuple[Decimal, Decimal]:
    return (pair[0], -pair[1]) if amount.negated else pair


def amount_rule(amount: Companion, op: str, threshold: Decimal) -> Rule:
    """A rule over two amounts."""
    why = "their difference is a share of the amount" if op == "percent" else "the amounts agree"
    return with_sentence(
        Rule(
            amount.left_col,
            amount.right_col,
            op,
            plain(threshold),
            confidence=round(amount.lift, 2),
            support=1.0,
            discriminating=True,
            reasoning=f"{why} in most pairs",
            sentence="",
            negated=amount.negated,
        )
    )


def _days_rule(dates: Companion, days: int) -> Rule:
    return with_sentence(
        Rule(
            dates.left_col,
            dates.right_col,
            "date_within",
            str(days),
            confidence=round(max(0.0, dates.lift), 2),
            support=1.0,
            discriminating=True,
            reasoning="the dates of partners lie near each other",
            sentence="",
        )
    )


def _narrowing_days(dates: Companion, conditions: Sequence[Rule], judged: Judged) -> Rule | None:
    """A limit of days where a rejected pair satisfies everything else and lies further apart than confirmed ones."""
    wrong = [at for at in judged.rejected if all(holds(rule, judged.sides, at, at) for rule in conditions)]
    confirmed = judged.lags(dates.left_col, dates.right_col, judged.confirmed)
    lags = judged.lags(dates.left_col, dates.right_col, wrong)
    if not confirmed or not lags or min(lags) <= max(confirmed):
        return None
    return _days_rule(dates, max(confirmed))


def holds(rule: Rule, sides: tuple[Columns, Columns], left: int, right: int) -> bool | None:
    """Whether two rows satisfy a rule; None where a value is missing or cannot be read.

    For choosing what to ask. Figures come from running the compiled SQL.
    """
    if rule.is_key:
        one, other = sides[0].table.column(rule.left_col)[left], sides[1].table.column(rule.right_col)[right]
        link = Link(rule.left_col, rule.right_col, rule.op, 0, 0, 0, "", rule.left_pattern, rule.right_pattern)
        link = replace(link, strip_zeros=rule.strip_zeros)
        return None if one is None or other is None else link_holds(link, one, other)
    if rule.op == "similarity":
        one, other = sides[0].table.column(rule.left_col)[left], sides[1].table.column(rule.right_col)[right]
        return None if one is None or other is None else similarity(one, other) >= float(rule.threshold or 0)
    if rule.op == "date_within":
        gap: Decimal | None = day_gap(rule, sides, left, right)
    else:
        gap = amount_gap(rule, sides, left, right)
    return None if gap is None else gap <= Decimal(rule.threshold or "0")


def day_gap(rule: Rule, sides: tuple[Columns, Columns], left: int, right: int) -> Decimal | None:
    """Days between the dates of two rows."""
    one, other = sides[0].days(rule.left_col)[left], sides[1].days(rule.right_col)[right]
    return None if one is None or other is None else Decimal(days_apart(one, other))


def amount_gap(rule: Rule, sides: tuple[Columns, Columns], left: int, right: int) -> Decimal | None:
    """How far two amounts lie apart, in the rule's own measure."""
    one, other = sides[0].numbers(rule.left_col)[left], sides[1].numbers(rule.right_col)[right]
    if one is None or other is None:
        return None
    other = -other if rule.negated else other
    return percent_gap(one, other) if rule.op == "percent" else abs(one - other)


# --- without a key -------------------------------------------------------------------------------------


def _without_key(analysis: Analysis, judged: Judged) -> Fit:
    """Equal amounts, near dates, texts that are alike; each record gets its nearest partner."""
    sides = analysis.sides
    amount = _shared_amounts(sides)
    if amount is None:
        return Fit((), (), (), None, None, ())
    evidence = _single_amounts(amount, sides)
    found = companions(evidence, *sides)
    chance = shuffled(evidence)
    equal = amount_rule(amount, "tolerance", Decimal(0))
    conditions, closest = [equal], []
    texts, dates = best(found, "text", 0.08), best(found, "date", 0.05)
    if texts is not None:
        rule = _text_rule(texts, evidence, chance, sides)
        closest.append(rule)
        if rule.threshold != "0" and _confirmed_mostly(rule, judged):
            conditions.append(rule)
    if dates is not None:
        rule = _window(dates, evidence, chance, sides, judged)
        closest.append(rule)
        conditions.append(rule)
    return Fit((), tuple(conditions), tuple(closest), amount, None, tuple(evidence))


def _shared_amounts(sides: tuple[Columns, Columns]) -> Companion | None:
    """The two amount columns that share most values which each side holds once."""
    tried: list[tuple[int, bool, Companion]] = []
    for one in sides[0].amounts:
        for other in sides[1].amounts:
            for negated in (False, True):
                companion = Companion(one, other, "amount", 1.0, 0.0, negated)
                tried.append((len(_single_amounts(companion, sides)), not negated, companion))
    if not tried:
        return None
    count, _, companion = max(tried, key=lambda item: item[:2])
    return companion if count else None


def _single_amounts(amount: Companion, sides: tuple[Columns, Columns]) -> list[RowPair]:
    """Pairs whose amount stands once on each side; where those are few, also of amounts that stand a few times."""
    places: tuple[dict[Decimal, list[int]], dict[Decimal, list[int]]] = ({}, {})
    for at, name in enumerate((amount.left_col, amount.right_col)):
        for row, value in enumerate(sides[at].numbers(name)):
            if value is not None:
                signed = -value if at and amount.negated else value
                places[at].setdefault(signed, []).append(row)
    shared = [(places[0][value], places[1][value]) for value in places[0] if value in places[1] and value]
    for most in (1, 2, 6):
        pairs = [
            (i, j) for lefts, rights in shared if max(len(lefts), len(rights)) <= most for i in lefts for j in rights
        ]
        if len(pairs) >= 20:
            break
    return sorted(pairs)[:_EVIDENCE]


def _text_rule(
    texts: Companion, evidence: Sequence[RowPair], chance: Sequence[RowPair], sides: tuple[Columns, Columns]
) -> Rule:
    lefts, rights = sides[0].table.column(texts.left_col), sides[1].table.column(texts.right_col)
    alike, others = (
        similarities((lefts[i], rights[j]) for i, j in pairs) for pairs in (evidence[:1500], chance[:1500])
    )
    level = separating(alike, others)
    return with_sentence(
        Rule(
            texts.left_col,
            texts.right_col,
            "similarity",
            "0" if level is None else str(level),
            confidence=round(texts.lift, 2),
            support=1.0,
            discriminating=True,
            reasoning="the texts of partners are more alike than those of other records",
            sentence="",
        )
    )


def _confirmed_mostly(rule: Rule, judged: Judged) -> bool:
    said = [held for at in judged.confirmed if (held := holds(rule, judged.sides, at, at)) is not None]
    return not said or sum(said) * 2 > len(said)


def _window(
    dates: Companion,
    evidence: Sequence[RowPair],
    chance: Sequence[RowPair],
    sides: tuple[Columns, Columns],
    judged: Judged,
) -> Rule:
    lefts, rights = sides[0].days(dates.left_col), sides[1].days(dates.right_col)
    lags, others = (_lags(lefts, rights, pairs) for pairs in (evidence, chance))
    usual = usual_days(lags, others) or 0
    confirmed = judged.lags(dates.left_col, dates.right_col, judged.confirmed)
    return _days_rule(dates, max([usual, *confirmed]))


def _lags(lefts: Sequence[date | None], rights: Sequence[date | None], pairs: Sequence[RowPair]) -> list[int]:
    return [days_apart(a, b) for i, j in pairs if (a := lefts[i]) is not None and (b := rights[j]) is not None]
