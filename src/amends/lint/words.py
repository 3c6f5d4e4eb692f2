"""The words by which functions are judged when nothing else speaks.

Rules of this file: a word judges a *name* only, and whole words of it. What is found by a word alone is
never more than a choice between two rules, a warning, or a question.
"""

from __future__ import annotations

import re

# What reaches a person or another system and cannot be called back.
TOLD = frozenset({
    "announce", "dispatch", "email", "emails", "invite", "mail", "mails", "notify", "publish", "send", "ship", "sms",
    "tell", "tweet",
})  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")


def words_of(name: str) -> frozenset[str]:
    """The words of a name in snake_case or camelCase, in lower case."""
    return frozenset(word.lower() for word in _WORD.findall(name))
