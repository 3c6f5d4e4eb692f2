"""Every rule, by its id."""

from __future__ import annotations

from . import effects, isolation, keys, memory, order, outcomes, patience, refused, repeated, unattended, undoing
from .findings import Rule, Severity

SILENT = Rule(
    "SG090",
    Severity.WARNING,
    "a comment silences a rule and does not say why",
    "write `# amends: ignore[SG011] the reason`",
    "A reason is what tells the next reader whether the comment still holds. Without one, and without the rules it "
    "is for, the comment silences nothing.",
)

LATE = Rule(
    "SG013",
    Severity.ERROR,
    "an action that comes late, or never came, is not reckoned with",
    "let the participant note under the action's key what became of it: an undo that comes first keeps the action out, "
    "and undoes nothing (amends.participant is such a note)",
    "A request may be held up on its way, and arrive when the saga has turned back and its compensation was "
    "acknowledged. And a compensation runs for a step whose request never arrived. Whoever undoes without looking, "
    "or acts without looking, leaves what nobody takes back. Only a run shows it: `amends verify` does.",
)
_GROUPS = (
    order.RULES, undoing.RULES, keys.RULES, repeated.RULES, patience.RULES, outcomes.RULES, unattended.RULES,
    effects.RULES, isolation.RULES, memory.RULES, refused.RULES, (SILENT,),
)  # fmt: skip

RULES: dict[str, Rule] = {
    rule.id: rule for rule in sorted((rule for group in _GROUPS for rule in group), key=lambda rule: rule.id)
}

RULES_BY_RUNNING: dict[str, Rule] = {LATE.id: LATE}  # what only `amends verify` can find
