"""The next pair worth asking: first a clear one, then those at the edges of what has been understood so far."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from decimal import Decimal

from webapp.inference.candidates import Candidate, candidates
from webapp.inference.columns import Analysis, Columns
from webapp.inference.fitting import Fit, amount_gap, fit
from webapp.inference.gaps import plain
from webapp.inference.model import Pair, Proposal, Row, Rule, Table, Verdicts
from webapp.inference.sentences import counted, joined, rule_sentence

CLEAR, INSIDE, OUTSIDE, FORM = "clear", "inside", "outside", "form"


def next_pair(
    analysis: Analysis,
    left_rows: Sequence[Row],
    right_rows: Sequence[Row],
    confirmed: Sequence[Pair],
    rejected: Sequence[Pair],
    unsure: Sequence[Pair] = (),
) -> Proposal | None:
    """The pair of sampled rows whose verdict says most; None when there is none left to ask.

    A clear pair first; then the largest difference that is taken to belong together; then the smallest that is not;
    then one whose reference or name is written differently; then further clear ones.
    """
    verdicts = Verdicts(confirmed, rejected, unsure)
    fitted = fit(analysis, verdicts)
    if not fitted.conditions:
        return None
    sides = _sampled(analysis.sides[0], left_rows), _sampled(analysis.sides[1], right_rows)
    asked = [(pair["left"], pair["right"]) for pair in (*confirmed, *rejected, *unsure)]
    found = [one for one in candidates(fitted, sides) if _pair(one, left_rows, right_rows) not in asked]
    used = [_row_use(asked, at) for at in (0, 1)]
    fresh = [one for one in found if left_rows[one.left] not in used[0] and right_rows[one.right] not in used[1]]
    covered = _covered(fitted, confirmed, rejected, analysis)
    for why, choose in _WAYS:
        if why == CLEAR and confirmed and any(other(fresh, covered) for name, other in _WAYS if name != CLEAR):
            continue
        chosen = choose(fresh, covered)
        if chosen is not None:
            return _proposal(chosen, why, fitted, sides, left_rows, right_rows)
    return None


def _row_use(asked: Sequence[tuple[Row, Row]], at: int) -> list[Row]:
    return [pair[at] for pair in asked]


def _pair(one: Candidate, lefts: Sequence[Row], rights: Sequence[Row]) -> tuple[Row, Row]:
    return lefts[one.left], rights[one.right]


def _sampled(side: Columns, rows: Sequence[Row]) -> Columns:
    table = side.table
    cells = [[row.get(name) for name in table.names] for row in rows]
    return Columns(Table(table.names, table.kinds, cells, table.format), side.profile)


# --- what is known -------------------------------------------------------------------------------------


class _Covered:
    """The largest amount gap, most days and least similarity that were confirmed, and the smallest gap rejected."""

    def __init__(self, gap: Decimal, refused: Decimal | None, days: Decimal, alike: float, forms: int) -> None:
        self.gap, self.refused, self.days, self.alike, self.forms = gap, refused, days, alike, forms


def _covered(fitted: Fit, confirmed: Sequence[Pair], rejected: Sequence[Pair], analysis: Analysis) -> _Covered:
    known = [_own(fitted, pairs, analysis) for pairs in (confirmed, rejected)]
    refused = [one.gap for one in known[1] if one.gap > 0]
    return _Covered(
        max((one.gap for one in known[0]), default=Decimal(0)),
        min(refused, default=None),
        max((one.days for one in known[0]), default=Decimal(0)),
        min((one.alike for one in known[0]), default=1.0),
        sum(one.is_form for one in known[0]),
    )


def _own(fitted: Fit, pairs: Sequence[Pair], analysis: Analysis) -> list[Candidate]:
    sides = (
        _sampled(analysis.sides[0], [pair["left"] for pair in pairs]),
        _sampled(analysis.sides[1], [pair["right"] for pair in pairs]),
    )
    return [one for one in candidates(fitted, sides) if one.left == one.right]


# --- ways to choose ------------------------------------------------------------------------------------

_Choice = Callable[[Sequence[Candidate], _Covered], Candidate | None]


def _clear(found: Sequence[Candidate], covered: _Covered) -> Candidate | None:
    some = [one for one in found if one.is_inside]
    return min(
        some, key=lambda one: (not one.is_single, one.gap, -round(one.alike, 1), one.days, one.left), default=None
    )


def _inside(found: Sequence[Candidate], covered: _Covered) -> Candidate | None:
    """The largest difference inside the limit, when it is larger than what was confirmed."""
    some = [one for one in found if one.is_inside and one.gap > covered.gap]
    return max(some, key=lambda one: (one.gap, one.is_single, one.alike, -one.left), default=None)


def _outside(found: Sequence[Candidate], covered: _Covered) -> Candidate | None:
    """The smallest difference beyond the limit, when nobody has rejected a smaller one."""
    some = [
        one
        for one in found
        if not one.is_inside and one.is_single and one.gap > covered.gap and (covered.refused is None)
    ]
    return min(some, key=lambda one: (one.gap, -one.alike, one.days, one.left), default=None)


def _form(found: Sequence[Candidate], covered: _Covered) -> Candidate | None:
    """A reference or name written differently, or dates further apart, than anything confirmed."""
    some = [one for one in found if one.is_inside and one.is_single]
    odd = [one for one in some if (one.is_form and not covered.forms) or one.alike < covered.alike - 0.1]
    late = [one for one in some if one.days > covered.days + 1]
    if odd:
        return min(odd, key=lambda one: (one.alike, -one.days, one.left))
    return max(late, key=lambda one: (one.days, -one.left), default=None)


_WAYS: tuple[tuple[str, _Choice], ...] = (
    (CLEAR, _clear),
    (INSIDE, _inside),
    (OUTSIDE, _outside),
    (FORM, _form),
    (CLEAR, _clear),
)


# --- in words ------------------------------------------------------------------------------------------


def _proposal(
    one: Candidate,
    why: str,
    fitted: Fit,
    sides: tuple[Columns, Columns],
    lefts: Sequence[Row],
    rights: Sequence[Row],
) -> Proposal:
    facts = [_fact(rule, sides, one) for rule in (*fitted.conditions, *fitted.closest)]
    said = list(dict.fromkeys(fact for fact in facts if fact))
    reasoning = f"{_INTRO[why]}: {joined(said)}." if said else f"{_INTRO[why]}."
    return Proposal(dict(lefts[one.left]), dict(rights[one.right]), reasoning, why)


_INTRO = {
    CLEAR: "These two agree most plainly",
    INSIDE: "This is the largest difference that I would still accept",
    OUTSIDE: "I would not match these two, tell me if I am wrong",
    FORM: "These are written differently, or lie further apart",
}


def _fact(rule: Rule, sides: tuple[Columns, Columns], one: Candidate) -> str:
    if rule.is_key:
        return rule_sentence(rule)
    if rule.op in ("tolerance", "percent"):
        gap = amount_gap(rule, sides, one.left, one.right)
        if gap is None:
            return "an amount is missing"
        unit = " %" if rule.op == "percent" else ""
        return "the same amount" if not gap else f"amounts {plain(gap)}{unit} apart"
    if rule.op == "date_within" and one.days >= 0:
        return "the same day" if not one.days else f"dates {counted(int(one.days), 'day')} apart"
    if rule.op == "similarity":
        return "texts that read alike" if one.alike >= 0.5 else "texts that differ"
    return ""
