"""Every rule, by its id."""

from __future__ import annotations

from collections.abc import Iterable

from . import effects, isolation, keys, memory, order, outcomes, patience, refused, undoing
from .findings import Rule, Severity

SILENT = Rule(
    "SG090",
    Severity.WARNING,
    "a comment silences a rule and does not say why",
    "write `# amends: ignore[SG011] the reason`",
    "A reason is what tells the next reader whether the comment still holds. Without one, and without the rules it "
    "is for, the comment silences nothing.",
)


def _sorted(*groups: Iterable[Rule]) -> dict[str, Rule]:
    return {rule.id: rule for rule in sorted((rule for group in groups for rule in group), key=lambda rule: rule.id)}


RULES: dict[str, Rule] = _sorted(
    order.RULES, refused.RULES, undoing.RULES, keys.RULES, patience.RULES, outcomes.RULES, effects.RULES,
    isolation.RULES, memory.RULES, (SILENT,),
)  # fmt: skip
