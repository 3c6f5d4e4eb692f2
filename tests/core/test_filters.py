"""The grammar of filters: what a text says, what it cannot say, and that it says so wherever it is wrong."""

import pytest
from hypothesis import example, given, settings, strategies as st

from amends.core.filter_text import parse
from amends.core.filters import Compare, Filter, Match, Value, resembled, successor, where
from amends.errors import FilterError, UsageError
from amends.limits import FILTER_CHARS_MAX, FILTER_TERMS_MAX, FILTER_VALUES_MAX
from tests.filters import filters, texts

HOUR = 3_600_000
FIRST_OF_NOVEMBER = 1_793_491_200_000


def one(text):
    (term,) = parse(text).terms
    return term


def test_the_filter_of_the_documents_says_what_they_say():
    text = "status:compensating name:place_order customer:ann waiting>1h failed:reserve_payment"
    assert parse(text).terms == (
        Match("status", (Value("compensating"),)),
        Match("name", (Value("place_order"),)),
        Match("correlation", (Value("ann"),), "customer"),
        Compare("waiting", ">", HOUR, "length"),
        Match("failed", (Value("reserve_payment"),)),
    )
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    ("text", "term"),
    [
        ("status:running,compensating", Match("status", (Value("running"), Value("compensating")))),
        ("-is:paused", Match("is", (Value("paused"),), negated=True)),
        ("hold:signal", Match("hold", (Value("signal"),))),
        ("key:order-*", Match("key", (Value("order-", prefix=True),))),
        ('key:"order-*"', Match("key", (Value("order-*"),))),
        ('key:"a b"*,c', Match("key", (Value("a b", prefix=True), Value("c")))),
        ("customer:*", Match("correlation", (Value("", prefix=True),), "customer")),
        ('key:""', Match("key", (Value(""),))),
        (r'cause:"no \"money\" in C:\\"', Match("cause", (Value('no "money" in C:\\'),))),
        ("correlation.status:x", Match("correlation", (Value("x"),), "status")),
        ('correlation."my key":x', Match("correlation", (Value("x"),), "my key")),
        ("correlation.correlation.a:x", Match("correlation", (Value("x"),), "correlation.a")),
        ("order.id:7", Match("correlation", (Value("7"),), "order.id")),
        ("mail:ann@example.com", Match("correlation", (Value("ann@example.com"),), "mail")),
        ("url:https://a/b?c=d", Match("correlation", (Value("https://a/b?c=d"),), "url")),
        ("version:2", Match("version", (Value("2"),))),
        ("version:007", Match("version", (Value("7"),))),
        ("version>=2", Compare("version", ">=", 2, "number")),
        ("waiting>1.5h", Compare("waiting", ">", HOUR * 3 // 2, "length")),
        ("-duration<=90s", Compare("duration", "<=", 90_000, "length", negated=True)),
        ("started<2h", Compare("started", "<", 2 * HOUR, "length")),
        ("started>2026-11-01", Compare("started", ">", FIRST_OF_NOVEMBER, "time")),
        ("ended<2026-11-01T00:00Z", Compare("ended", "<", FIRST_OF_NOVEMBER, "time")),
        (
            "updated>=2026-11-01T01:30:00.250+01:00",
            Compare("updated", ">=", FIRST_OF_NOVEMBER + HOUR // 2 + 250, "time"),
        ),
        ("deadline<10m", Compare("deadline", "<", 600_000, "length")),
    ],
)
def test_each_form_of_a_term(text, term):
    assert one(text) == term


def test_an_empty_text_is_the_filter_that_narrows_nothing():
    for text in ("", "  \t\n "):
        assert parse(text) == Filter()
        assert not parse(text)
    assert parse("is:paused")


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("  status:running\n\tname:a ", "status:running name:a"),
        ('name:"a" key:"x*"', 'name:a key:"x*"'),
        ("waiting>60m duration<1500ms started<0.5h", "waiting>1h duration<1500ms started<30m"),
        ("started>2026-11-01T00:00:00.000Z", "started>2026-11-01"),
        ("ended<2026-11-01T10:00+02:00", "ended<2026-11-01T08:00:00Z"),
        ("correlation.customer:ann correlation.names:x", "customer:ann correlation.names:x"),
    ],
)  # fmt: skip
def test_the_canonical_text_is_the_shortest_that_means_the_same(text, canonical):
    assert str(parse(text)) == canonical


@pytest.mark.parametrize(
    ("text", "marked", "code", "words"),
    [
        ("running", "running", "AM2030", "field:value"),
        ("name:a b-c d", "b-c", "AM2030", "no term"),
        ("name:a :x", ":", "AM2030", "a field must stand"),
        ("-", "-", "AM2030", "a field must stand"),
        ('"a":x', '"', "AM2030", "a field must stand"),
        ('name:"a"b', "b", "AM2030", "a space is missing"),
        ("stauts:running", "stauts", "AM2031", "did you mean status?"),
        ("wating>1h", "wating", "AM2031", "did you mean waiting?"),
        ("names:x", "names", "AM2031", "correlation.names:value"),
        ("correlation:x", "correlation", "AM2031", "which key?"),
        ("correlation.:x", "correlation.", "AM2031", "in quotes"),
        ('correlation."":x', 'correlation.""', "AM2031", "never empty"),
        ("correlation.9:x", "correlation.9", "AM2031", "in quotes"),
        ("status:runing", "runing", "AM2032", "did you mean running?"),
        ("status:run*", "run*", "AM2032", "There are: scheduled, running"),
        ('status:""', '""', "AM2032", "There are"),
        ("is:sleepy", "sleepy", "AM2032", "followup_failed"),
        ("hold:", " ", "AM2032", "is missing"),
        ("name: a", " ", "AM2032", "is missing"),
        ("name:a,", " ", "AM2032", "is missing"),
        ("name:a*b", "a*b", "AM2032", "at the end of a value only"),
        ("name:**", "**", "AM2032", "in quotes"),
        ('cause:""', '""', "AM2032", "not empty"),
        ("cause:a*", "a*", "AM2032", "no *"),
        ("version:two", "two", "AM2032", "whole number"),
        ("version:1234567890123456", "1234567890123456", "AM2032", "whole number"),
        ("waiting>1", "1", "AM2032", "90s, 5m or 24h"),
        ("waiting>2026-11-01", "2026-11-01", "AM2032", "length of time"),
        ("waiting>", " ", "AM2032", "length of time"),
        ("waiting>9999999d", "9999999d", "AM2032", "3650 days"),
        ("started>yesterday", "yesterday", "AM2032", "2026-11-01"),
        ("started>2026-02-30", "2026-02-30", "AM2032", "no day"),
        ("started>0001-01-01T00:00+23:00", "0001-01-01T00:00+23:00", "AM2032", "no day"),
        ("version>1h", "1h", "AM2032", "whole number"),
        ('name:"a b', '"a b', "AM2033", "never closed"),
        (r'name:"a\n"', r"\n", "AM2033", "backslash"),
        ('name:"a\\', "\\", "AM2033", "backslash"),
        ("waiting:1h", ":", "AM2034", "compared, with < or >"),
        ("started:2026-11-01", ":", "AM2034", "compared"),
        ("name>a", ">", "AM2034", "only ':'"),
        ("status<=running", "<=", "AM2034", "only ':'"),
        ("customer>5", ">", "AM2034", "correlation key"),
        ("name:\ud800x", "?", "AM2030", "surrogate"),
    ],
)  # fmt: skip
def test_what_is_no_filter_is_refused_with_a_mark_under_the_place(text, marked, code, words):
    with pytest.raises(FilterError) as refused:
        parse(text)
    error = refused.value
    shown, mark = error.pointer
    assert (error.code, words in error.what) == (code, True), error.what
    begin = mark.index("^")
    assert shown[begin : begin + mark.count("^")].ljust(1) == marked
    assert str(error) == f"[{code}] filter: {error.what}\n    {shown}\n    {mark}"


def test_the_mark_stands_under_the_place_also_in_long_texts_and_behind_wide_signs():
    with pytest.raises(FilterError) as refused:
        parse("name:" + "a" * 200 + " status:nope " + "b" * 200 + ":c")
    shown, mark = refused.value.pointer
    assert len(shown) < 70 and shown[0] == shown[-1] == "…"
    assert shown[mark.index("^") : len(mark)] == "nope"
    with pytest.raises(FilterError) as refused:
        parse("name:漢字 status:nope")
    assert refused.value.pointer == ("name:漢字 status:nope", " " * 17 + "^^^^")


def test_a_filter_that_is_too_long_is_refused():
    with pytest.raises(FilterError, match=f"at most {FILTER_CHARS_MAX}"):
        parse("name:" + "x" * FILTER_CHARS_MAX)
    assert len(parse(" ".join(["is:paused"] * FILTER_TERMS_MAX)).terms) == FILTER_TERMS_MAX
    with pytest.raises(FilterError, match=f"at most {FILTER_TERMS_MAX} terms"):
        parse(" ".join(["is:paused"] * (FILTER_TERMS_MAX + 1)))
    with pytest.raises(FilterError, match=f"at most {FILTER_VALUES_MAX} values"):
        parse("name:" + ",".join("x" * 51) + " key:" + ",".join("x" * 50))


def test_what_is_no_text_is_refused():
    with pytest.raises(FilterError, match="a filter is a text"):
        parse(None)


@given(filters)
@settings(max_examples=300)
def test_every_filter_has_a_text_that_means_it(which):
    text = str(which)
    assert parse(text).at(which.now) == which
    assert str(parse(text)) == text


PIECES = (
    "status:", "status:running", "is:", "-is:paused", "waiting>", "started<", "1h", "2026-11-01", "customer:",
    "correlation.", "version>", "name:", "key:a*", '"', '"a"', "\\", "*", ",", ":", ">", "<=", "-", "(", "\0", "\ud800",
)  # fmt: skip
grammar = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=4), st.just(" ")), max_size=12).map("".join)


@given(st.one_of(st.text(), grammar))
@example("-" * 3_000)
@example('"' * 3_000)
@settings(max_examples=1_000)
def test_any_text_parses_or_is_refused_in_words_and_nothing_else_happens(text):
    refused = None
    try:
        which = parse(text)
    except FilterError as error:
        refused = error
    if refused is None:
        assert parse(str(which)) == which
        return
    assert isinstance(refused, UsageError)
    assert refused.code.startswith("AM203") and refused.what
    shown, mark = refused.pointer
    assert shown.isprintable() and mark.strip("^ ") == "" and "^" in mark


@given(texts, texts)
def test_a_text_begins_with_a_prefix_exactly_when_it_lies_between_the_prefix_and_its_successor(text, prefix):
    end = successor(prefix)
    assert text.startswith(prefix) == (text >= prefix and (not end or text < end))


@pytest.mark.parametrize(
    ("prefix", "end"),
    [("", ""), ("a", "b"), ("a\U0010ffff", "b"), ("\U0010ffff" * 3, ""), ("a\ud7ff", "a\ue000"), ("50%", "50&")],
)
def test_a_successor_is_a_text_that_a_store_can_compare_with(prefix, end):
    assert successor(prefix) == end


def test_keyword_arguments_are_a_filter_too():
    which = where(status=["running", "closed"], name="n", key="k", hold="poison", anomalous=True, followup_failed=False)
    assert str(which) == "status:running,closed name:n key:k hold:poison is:anomalous -is:followup_failed"
    assert str(where(correlation=[("status", "x"), ("customer", "ann")])) == "correlation.status:x customer:ann"
    assert where() == Filter()


def test_a_name_that_is_near_a_field_is_no_correlation_key_unless_said():
    assert resembled("customer") == resembled("order_id") == resembled("tenant") == ""
    assert resembled("statuss") == "status"
