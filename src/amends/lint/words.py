"""The words by which functions are judged when nothing else speaks.

Rules of this file: a word judges a *name* only, and whole words of it. What is found by a word alone is
never more than a choice between two rules, a warning, or a question.
"""

from __future__ import annotations

import re
from functools import lru_cache

# What reaches a person or another system and cannot be called back.
TOLD = frozenset({
    "announce", "dispatch", "email", "emails", "invite", "mail", "mails", "notify", "publish", "send", "ship", "sms",
    "tell", "tweet",
})  # fmt: skip

# The same, as a method that is called: `client.send` may be a request like any other.
MESSAGES = frozenset({"email", "mail", "notify", "sms", "sendmail"})

# What moves money: twice is a loss.
MONEY = frozenset({
    "capture", "charge", "credit", "debit", "deposit", "pay", "payout", "refund", "topup", "transfer", "withdraw",
})  # fmt: skip

# What takes, and is undone by a word of `GIVES`.
TAKES = frozenset({
    "acquire", "allocate", "authorize", "block", "book", "charge", "debit", "deduct", "hold", "lock", "open", "order",
    "reserve", "withdraw",
})  # fmt: skip
GIVES = frozenset({
    "cancel", "credit", "deallocate", "free", "refund", "release", "revert", "undo", "unblock", "unbook", "unlock",
    "void",
})  # fmt: skip
LOCKS = frozenset({"acquire", "lock"})

# What changes something at whoever is called.
ACTS = TOLD | MONEY | TAKES | GIVES | frozenset({"create", "delete", "insert", "remove", "save", "store", "update"})

# Fields that must not be read by whoever looks.
SECRETS = frozenset({
    "accesstoken", "apikey", "apisecret", "cardnumber", "clientsecret", "creditcard", "cvc", "cvv", "iban", "pan",
    "passphrase", "passwd", "password", "pin", "privatekey", "refreshtoken", "secret", "secretkey",
    "socialsecuritynumber", "ssn",
})  # fmt: skip

_WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_PLAIN = frozenset({"a", "an", "the", "for", "of", "step", "to", "all", "by"})


@lru_cache(10_000)
def words_of(name: str) -> frozenset[str]:
    """The words of a name in snake_case or camelCase, in lower case."""
    return frozenset(word.lower() for word in _WORD.findall(name))


def things_of(name: str) -> frozenset[str]:
    """What a name speaks of: its words that say neither what is done nor nothing."""
    return words_of(name) - ACTS - _PLAIN


def is_secret(name: str) -> bool:
    """Whether a field's name says that it must not be read by everybody."""
    return name.replace("_", "").lower() in SECRETS
