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


_GROUPS = (
    order.RULES, undoing.RULES, keys.RULES, repeated.RULES, patience.RULES, outcomes.RULES, unattended.RULES,
    effects.RULES, isolation.RULES, memory.RULES, refused.RULES, (SILENT,),
)  # fmt: skip

RULES: dict[str, Rule] = {
    rule.id: rule for rule in sorted((rule for group in _GROUPS for rule in group), key=lambda rule: rule.id)
}
