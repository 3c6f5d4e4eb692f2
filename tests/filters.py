"""Random filters and random summaries, for property tests."""

from hypothesis import strategies as st

from amends.core.filters import (
    CORRELATION,
    FIELDS,
    MOMENT_MAX,
    MOMENT_MIN,
    WORDS,
    Compare,
    FieldKind,
    Filter,
    Match,
    Value,
)
from amends.core.summary import HOLDS, Summary
from amends.core.transitions import SagaStatus
from amends.limits import DURATION_MS_MAX, FILTER_VALUES_MAX

NOW = 1_790_000_000_000

# A few signs that a careless query would take for more than signs, so that texts often meet each other.
signs = st.sampled_from(list("ab%_'\"\\*,;:-()[]{} \t\n\0é́ß漢🎉\ud7ff\ue000\U0010ffff"))
texts = st.one_of(
    st.text(signs, max_size=5), st.text(max_size=8), st.sampled_from(["", "order-1", "order-2", "x" * 300])
)
some = texts.filter(bool)
stored = texts.map(lambda text: text.replace("\0", ""))  # which no text has that a store keeps
stored_some = stored.filter(bool)
keys = st.one_of(st.sampled_from(["customer", "status", "names", "correlation.x", "order.id", "9", "ä b"]), some)


def values(of, prefix=True):
    made = st.builds(Value, of, st.booleans() if prefix else st.just(False))
    return st.lists(made, min_size=1, max_size=3).map(tuple)


def terms():
    kinds = {kind: [name for name, its in FIELDS.items() if its is kind] for kind in FieldKind}
    negated = st.booleans()
    word = st.sampled_from(kinds[FieldKind.WORD]).flatmap(
        lambda name: st.builds(
            Match, st.just(name), values(st.sampled_from(WORDS[name]), prefix=False), negated=negated
        )
    )
    times, lengths = st.sampled_from(kinds[FieldKind.TIME]), st.sampled_from(kinds[FieldKind.LENGTH])
    op = st.sampled_from(["<", "<=", ">", ">="])
    length = st.one_of(st.integers(0, 20_000), st.integers(0, DURATION_MS_MAX))
    moment = st.one_of(st.integers(NOW - 20_000, NOW + 20_000), st.integers(MOMENT_MIN, MOMENT_MAX))
    number = st.one_of(st.integers(0, 4), st.integers(0, 10**15 - 1))
    return st.one_of(
        word,
        st.builds(Match, st.sampled_from(kinds[FieldKind.TEXT]), values(texts), negated=negated),
        st.builds(Match, st.just(CORRELATION), values(texts), keys, negated),
        st.builds(Match, st.just("cause"), values(some, prefix=False), negated=negated),
        st.builds(Match, st.just("version"), values(number.map(str), prefix=False), negated=negated),
        st.builds(Compare, st.just("version"), op, number, st.just("number"), negated),
        st.builds(Compare, times, op, moment, st.just("time"), negated),
        st.builds(Compare, st.one_of(times, lengths), op, length, st.just("length"), negated),
    )


filters = (
    st.lists(terms(), max_size=5)
    .map(lambda found: Filter(tuple(found), NOW))
    .filter(lambda which: sum(len(term.values) for term in which.terms if isinstance(term, Match)) <= FILTER_VALUES_MAX)
)

times = st.one_of(st.just(0), st.integers(NOW - 20_000, NOW))
summaries = st.builds(
    Summary,
    saga_id=stored_some, name=stored, version=st.integers(0, 4), fingerprint=st.just("f"),
    status=st.sampled_from([str(each) for each in SagaStatus]), step=stored, cause=stored, key=stored,
    correlation=st.dictionaries(keys.filter(lambda key: "\0" not in key), stored_some, max_size=2),
    started=times, updated=times, ended=times,
    deadline=st.one_of(st.just(0), st.integers(NOW - 20_000, NOW + 20_000)),
    paused=st.booleans(), anomalous=st.booleans(),
    followup_failed=st.booleans(), turned_back=st.booleans(), manual=st.booleans(), intervened=st.booleans(),
    holds=st.dictionaries(st.integers(0, 3), st.sampled_from(HOLDS), max_size=2), waiting_since=times,
    failed=st.lists(stored, max_size=2, unique=True).map(tuple),
)  # fmt: skip
