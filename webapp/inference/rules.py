"""Rules from confirmed and rejected pairs (contract 4.2): comparisons of the named columns that the pairs bear out."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from webapp.inference.columns import Analysis
from webapp.inference.engine import Bench, TooManyPairs
from webapp.inference.fitting import Judged, holds, link_holds
from webapp.inference.gaps import is_proportional, percent_gap, plain
from webapp.inference.links import analyse
from webapp.inference.model import CounterExample, Link, Pair, Rule, Table, Verdicts
from webapp.inference.references import patterns
from webapp.inference.sentences import counted, link_rule, with_sentence
from webapp.inference.statements import Statement, match_sql
from webapp.inference.support import RowPair, near_amounts, shuffled, similarity

_EQUAL, _NEAR, _TOGETHER = 0.7, 0.5, 0.7  # more than these shares of the pairs, as contract 4.2 says
_ALIKE = 0.55  # mean similarity from which texts count as alike
_CONSTANT = 0.3
_RANDOM = 300
_COUNTED = 12  # rules whose matches are counted
_EXAMPLES = 5


def infer_rules(
    left: Table,
    right: Table,
    confirmed: Sequence[Pair],
    rejected: Sequence[Pair],
    left_columns: Sequence[str],
    right_columns: Sequence[str],
    analysis: Analysis | None = None,
) -> tuple[Rule, ...]:
    """Rules over the named columns that the confirmed pairs support, best first; empty without confirmed pairs.

    Two kinds of values are never compared. Thresholds are the smallest that cover the confirmed pairs. Raises KeyError
    for a column that is none.
    """
    found = analysis or analyse(left, right)
    for table, names in ((left, left_columns), (right, right_columns)):
        for name in names:
            table.place(name)
    judged = Judged.of(found, Verdicts(confirmed, rejected))
    if not judged.confirmed:
        return ()
    rules = [
        scored(rule, judged, found)
        for one in dict.fromkeys(left_columns)
        for other in dict.fromkeys(right_columns)
        for rule in _tried(one, other, found, judged)
    ]
    ranked = sorted(rules, key=lambda rule: (-rule.confidence, -rule.support, rule.left_col, rule.right_col))
    return _with_counts(ranked, found)


def _tried(one: str, other: str, analysis: Analysis, judged: Judged) -> Iterator[Rule]:
    kinds = analysis.left_profile.column(one).kind, analysis.right_profile.column(other).kind
    codes = analysis.left_profile.column(one).is_code and analysis.right_profile.column(other).is_code
    if kinds == ("number", "number"):
        yield from _number_rules(one, other, judged)
        if codes:
            yield from _text_rules(one, other, analysis, judged)
    elif kinds == ("date", "date"):
        yield from _date_rules(one, other, judged)
    elif kinds == ("text", "text") or (codes and "date" not in kinds):
        yield from _text_rules(one, other, analysis, judged)


def _number_rules(one: str, other: str, judged: Judged) -> Iterator[Rule]:
    for negated in (False, True):
        both = judged.numbers(one, other, judged.confirmed)
        both = [(a, -b if negated else b) for a, b in both]
        if not both or (negated and all(not a for a, _ in both)):
            continue
        equal = sum(a == b for a, b in both) / len(both)
        near = sum(bool(near_amounts(a, b)) for a, b in both) / len(both)
        if equal > _EQUAL:
            yield _rule(
                one, other, "tolerance", "0", f"{_share(equal)} of the confirmed pairs hold equal amounts", negated
            )
        if equal < 1 and (near > _NEAR or max(equal, near) > _TOGETHER):
            fits = [(a, b) for a, b in both if near_amounts(a, b)]
            limit = max(abs(a - b) for a, b in fits)
            why = f"{_share(near)} of the confirmed pairs lie within 5 %; {plain(limit)} covers them"
            yield _rule(one, other, "tolerance", plain(limit), why, negated)
            if is_proportional(both):
                share = max(percent_gap(a, b) for a, b in fits)
                yield _rule(one, other, "percent", plain(share), "the difference is a share of the amount", negated)
        if equal > _EQUAL or near > _NEAR:
            return


def _date_rules(one: str, other: str, judged: Judged) -> Iterator[Rule]:
    lags = judged.lags(one, other, judged.confirmed)
    if lags:
        why = f"the dates of the confirmed pairs are at most {counted(max(lags), 'day')} apart"
        yield _rule(one, other, "date_within", str(max(lags)), why)


def _text_rules(one: str, other: str, analysis: Analysis, judged: Judged) -> Iterator[Rule]:
    lefts, rights = judged.sides[0].table.column(one), judged.sides[1].table.column(other)
    pairs = [(a, b) for at in judged.confirmed if (a := lefts[at]) is not None and (b := rights[at]) is not None]
    if not pairs:
        return
    for link in _links(one, other, analysis):
        share = sum(link_holds(link, a, b) for a, b in pairs) / len(pairs)
        if share > _EQUAL:
            reasoning = f"{_share(share)} of the confirmed pairs: {link.why}"
            yield replace(link_rule(link), reasoning=reasoning)
            return
    alike = [similarity(a, b) for a, b in pairs]
    if sum(alike) / len(alike) >= _ALIKE:
        level = int(min(alike) * 100) / 100
        yield _rule(one, other, "similarity", str(max(level, 0.3)), "the texts of the confirmed pairs are alike")


def _links(one: str, other: str, analysis: Analysis) -> Iterator[Link]:
    """Ways in which two texts may hold the same reference, the plainest first."""
    known = [link for link in analysis.links if (link.left_col, link.right_col) == (one, other)]
    yield Link(one, other, "eq", 0, 0, 0, "the same value on both sides")
    yield Link(one, other, "normalized", 0, 0, 0, "the same reference, written differently")
    yield Link(one, other, "normalized", 0, 0, 0, "the same reference but for zeros in front", strip_zeros=True)
    yield from known
    lefts, rights = (
        patterns([c for c in side.table.column(name) if c], is_code=side.profile.column(name).is_code)
        for side, name in zip(analysis.sides, (one, other), strict=True)
    )
    for pattern in dict.fromkeys((*lefts, *rights)):
        yield Link(one, other, "contains", 0, 0, 0, "the left reference inside the right text", "", pattern)
        yield Link(one, other, "contains", 0, 0, 0, "the right reference inside the left text", pattern, "")
        yield Link(one, other, "regex", 0, 0, 0, "the same reference inside both texts", pattern, pattern)


def _rule(one: str, other: str, op: str, threshold: str, why: str, negated: bool = False) -> Rule:
    return with_sentence(
        Rule(
            one,
            other,
            op,
            threshold,
            confidence=0.0,
            support=0.0,
            discriminating=True,
            reasoning=why,
            sentence="",
            negated=negated,
        )
    )


def _share(part: float) -> str:
    return "all" if part == 1 else f"{part:.0%}"


# --- how sure ------------------------------------------------------------------------------------------


def scored(rule: Rule, judged: Judged, analysis: Analysis) -> Rule:
    """The rule with support, confidence, whether it tells records apart, and what speaks against it.

    Confidence is the share of the confirmed pairs that satisfy it, less what satisfies it without belonging together:
    records put together at random, and rejected pairs.
    """
    said = [held for at in judged.confirmed if (held := holds(rule, judged.sides, at, at)) is not None]
    support = len(said) / len(judged.confirmed) if judged.confirmed else 0.0
    agreed = sum(said) / len(said) if said else 0.0
    wrong = [at for at in judged.rejected if holds(rule, judged.sides, at, at)]
    random = [held for i, j in _random(analysis) if (held := holds(rule, analysis.sides, i, j)) is not None]
    crossed = [
        held
        for i in judged.confirmed
        for j in judged.confirmed
        if i != j and (held := holds(rule, judged.sides, i, j)) is not None
    ]
    others = [*random, *crossed]
    chance = sum(others) / len(others) if others else 0.0
    refused = len(wrong) / len(judged.rejected) if judged.rejected else 0.0
    confidence = agreed * (1 - chance) * (1 - refused / 2) * (0.5 + support / 2)
    constant = (
        analysis.left_profile.column(rule.left_col).is_constant
        or analysis.right_profile.column(rule.right_col).is_constant
    )
    return replace(
        rule,
        confidence=round(min(confidence, _CONSTANT) if constant else confidence, 3),
        support=round(support, 3),
        discriminating=not constant and chance < 0.9,
        counter_examples=_against(rule, judged, wrong),
        reasoning="; ".join([rule.reasoning, *_cleaned(rule, analysis), *_doubts(rule, judged, constant, chance)]),
    )


def _random(analysis: Analysis) -> list[RowPair]:
    """Records put together without regard to what they hold, spread over both sides."""
    sizes = len(analysis.left.rows), len(analysis.right.rows)
    if not all(sizes):
        return []
    number = min(_RANDOM, sizes[0] * sizes[1])
    straight = [(at * sizes[0] // number, at * sizes[1] // number) for at in range(number)]
    return shuffled(straight)


def _against(rule: Rule, judged: Judged, wrong: Sequence[int]) -> tuple[CounterExample, ...]:
    missed = [at for at in judged.confirmed if holds(rule, judged.sides, at, at) is False]
    found = [(at, "confirmed", "confirmed, but the rule does not hold") for at in missed]
    found += [(at, "rejected", "rejected, but the rule holds") for at in wrong]
    return tuple(
        CounterExample(judged.sides[0].table.row(at), judged.sides[1].table.row(at), verdict, words)
        for at, verdict, words in found[:_EXAMPLES]
    )


def _doubts(rule: Rule, judged: Judged, constant: bool, chance: float) -> list[str]:
    missed = sum(holds(rule, judged.sides, at, at) is False for at in judged.confirmed)
    found = [f"contradicts {counted(missed, 'confirmed pair')}"] if missed else []
    if constant:
        found.append("one of the columns holds a single value, so it tells nothing apart")
    elif chance >= 0.2:
        found.append(f"{chance:.0%} of records put together at random satisfy it too")
    return found


def _cleaned(rule: Rule, analysis: Analysis) -> list[str]:
    """Names of values that SQL must clean before it can read them."""
    if rule.op not in ("tolerance", "percent"):
        return []
    examples = [
        f"{name} holds values such as {', '.join(cleaning)}, whose signs must be taken off"
        for profile, name in ((analysis.left_profile, rule.left_col), (analysis.right_profile, rule.right_col))
        if (cleaning := profile.column(name).cleaning)
    ]
    formats = [
        f"{side} {name} is written with {' and '.join(forms)}"
        for side, profile, name in (
            ("left", analysis.left_profile, rule.left_col),
            ("right", analysis.right_profile, rule.right_col),
        )
        if (forms := [form for form in profile.column(name).forms if form != "currency signs"])
    ]
    return [*examples, *formats]


# --- how many ------------------------------------------------------------------------------------------


def _with_counts(rules: Sequence[Rule], analysis: Analysis) -> tuple[Rule, ...]:
    """The first rules with the rows that each would match and leave, alone or beside the best key."""
    bench = Bench(analysis.left, analysis.right)
    try:
        key = next((rule for rule in rules if rule.is_key and rule.discriminating), None)
        return tuple(
            _with_count(rule, key, bench, analysis) if at < _COUNTED else rule for at, rule in enumerate(rules)
        )
    finally:
        bench.close()


def _with_count(rule: Rule, key: Rule | None, bench: Bench, analysis: Analysis) -> Rule:
    alone = rule.is_key or (rule.op == "tolerance" and rule.threshold == "0")
    if not alone and key is None:
        return rule  # comparing every record with every other says nothing and takes long
    rules = (rule,) if alone or key is None else (key, rule)
    try:
        pairs = bench.pairs(match_sql(Statement(rules, (), ()), analysis.sides))
    except TooManyPairs:
        return rule
    matches = len({left for left, _ in pairs})
    return replace(rule, matches=matches, leaves=len(analysis.left.rows) - matches)
