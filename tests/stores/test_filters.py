"""What a filter finds in SQL: the same as in memory, with nothing but bound values, and by an index."""

import sqlite3
from pathlib import Path

import pytest
from hypothesis import example, given, settings, strategies as st
from msgspec.structs import replace

from amends.core.filter_text import parse
from amends.core.filters import Filter, Match, Value
from amends.core.summary import Summary
from amends.stores.base import GROUPS
from amends.stores.filter import conditions, grouping
from amends.stores.projection import group_of, matches
from amends.stores.sqlite.reader import _listed
from amends.stores.sqlite.schema import migrate
from amends.stores.sqlite.sql import query, statements
from tests.filters import NOW, filters, summaries


def database():
    db = sqlite3.connect(":memory:", isolation_level=None)
    migrate(db, Path("none"))
    for statement in statements(query("apply_projection")):
        db.execute(statement)
    return db


@pytest.fixture(scope="module")
def empty():
    db = database()
    yield db
    db.close()


def write(db, found):
    for statement in statements(query("clear_projection")):
        db.execute(statement)
    db.execute(query("insert_projected"), (0, 0, *_listed(found)))


def in_sql(db, which, before=""):
    text, values = conditions(which, before)
    rows = db.execute(f"SELECT saga_id FROM amends_summaries WHERE {text} ORDER BY saga_id DESC", values)
    return [saga_id for (saga_id,) in rows]


some_summaries = st.lists(summaries, max_size=6, unique_by=lambda each: each.saga_id)


@given(found=some_summaries, asked=st.lists(filters, min_size=1, max_size=8))
@settings(max_examples=300, deadline=None)
def test_sql_and_memory_agree_on_every_filter_and_every_list(empty, found, asked):
    write(empty, found)
    for which in asked:
        expected = sorted((each.saga_id for each in found if matches(each, which)), reverse=True)
        assert in_sql(empty, which) == expected, str(which)
        for before in expected[:1]:
            assert in_sql(empty, which, before) == expected[1:], str(which)


@given(found=some_summaries, which=filters, by=st.lists(st.sampled_from(GROUPS), min_size=1, unique=True))
@settings(max_examples=200, deadline=None)
def test_sql_and_memory_agree_on_every_count(empty, found, which, by):
    write(empty, found)
    text, values = conditions(which)
    rows = empty.execute(
        f"SELECT {grouping(by)}, count(*) FROM amends_summaries WHERE {text} GROUP BY {grouping(by)}", values
    )
    expected = {}
    for each in found:
        if matches(each, which):
            group = tuple(group_of(each, field) for field in by)
            expected[group] = expected.get(group, 0) + 1
    assert {tuple(group): number for *group, number in rows} == expected


WORDS_OF_SQL = frozenset(
    """true AND OR NOT IN SELECT FROM WHERE CASE WHEN THEN ELSE END saga_id amends_summaries amends_failed
    amends_correlation status name key hold step value paused anomalous followup_failed turned_back manual intervened
    ended started updated deadline waiting version body instr lower cause 0 1""".split()  # noqa: SIM905
)


@given(filters)
@example(Filter((Match("name", (Value("x' OR 1=1 --"), Value('%_\0\\"', prefix=True))),), NOW))
@settings(max_examples=300)
def test_the_statement_is_made_of_our_own_words_and_as_many_marks_as_there_are_values(which):
    text, values = conditions(which)
    assert text.count("?") == len(values)
    for sign in "(),?<>=-'":
        text = text.replace(sign, " ")
    assert set(text.split()) <= WORDS_OF_SQL


# --- what each term means, by one saga ---------------------------------------------------------

SAGA = Summary(
    saga_id="01SAGA", name="place_order", version=3, fingerprint="f", status="compensating", step="refund_payment",
    cause="reserve_stock rejected: NO Seats", key="order-17", correlation={"customer": "ann", "status": "vip"},
    started=NOW - 7_200_000, updated=NOW - 3_600_000, deadline=NOW + 1_800_000, turned_back=True, manual=True,
    holds={1: "retry"}, waiting_since=NOW - 3_600_000, failed=("reserve_stock", "ship"),
)  # fmt: skip
ENDED = replace(
    SAGA, saga_id="02ENDED", status="compensated", ended=NOW - 3_600_000, holds={}, waiting_since=0, deadline=0
)


@pytest.mark.parametrize(
    ("text", "saga", "ended"),
    [
        ("", True, True),
        ("status:compensating", True, False),
        ("status:compensating,compensated", True, True),
        ("-status:compensating", False, True),
        ("name:place_order", True, True),
        ("name:place_*", True, True),
        ("name:place", False, False),
        ("id:01*", True, False),
        ("key:order-*", True, True),
        ('key:""', False, False),
        ("customer:ann", True, True),
        ("customer:*", True, True),
        ("-customer:bob", True, True),
        ("tenant:*", False, False),
        ("correlation.status:vip", True, True),
        ("failed:ship", True, True),
        ("failed:reserve*", True, True),
        ("-failed:pay", True, True),
        ("failed:refund_payment", False, False),
        ("step:refund_payment", True, True),
        ("hold:retry", True, False),
        ("is:waiting", True, False),
        ("is:ended", False, True),
        ("-is:ended", True, False),
        ("is:turned_back is:manual -is:intervened", True, True),
        ("is:paused,manual", True, True),
        ("is:paused is:manual", False, False),
        ('cause:"no seats"', True, True),
        ("cause:money", False, False),
        ("version:3", True, True),
        ("version<3", False, False),
        ("waiting>59m", True, False),
        ("waiting>1h", False, False),
        ("waiting>=1h", True, False),
        ("-waiting>59m", False, True),
        ("started<3h", True, True),
        ("started<1h", False, False),
        ("started>1h", True, True),
        ("started>2026-01-01 started<2027-01-01", True, True),
        ("started<2026-01-01", False, False),
        ("ended<2h", False, True),
        ("ended>2h", False, False),
        ("updated>59m", True, True),
        ("deadline<1h", True, False),
        ("deadline>1h", False, False),
        ("deadline<10m", False, False),
        ("deadline>10m", True, False),
        ("duration>90m", True, False),
        ("duration>59m", True, True),
        ("duration<61m", False, True),
    ],
)
def test_what_a_term_means(empty, text, saga, ended):
    which = parse(text).at(NOW)
    assert [matches(SAGA, which), matches(ENDED, which)] == [saga, ended]
    write(empty, [SAGA, ENDED])
    assert in_sql(empty, which) == ["02ENDED"] * ended + ["01SAGA"] * saga


def test_an_age_without_a_moment_to_count_from_is_a_defect_and_no_empty_list():
    with pytest.raises(AssertionError, match=r"Filter\.at"):
        matches(SAGA, parse("waiting>1h"))
    with pytest.raises(AssertionError, match=r"Filter\.at"):
        conditions(parse("duration>1h"))


# --- indexes -----------------------------------------------------------------------------------

MANY = 100_000
FILL = f"""
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY - 1})
INSERT INTO amends_summaries (saga_id, name, status, key, hold, anomalous, followup_failed, body, shape, version, step,
    started, updated, ended, deadline, waiting, paused, turned_back, manual, intervened)
SELECT printf('%026d', i), 'saga_' || (i % 20), iif(i % 100 = 0, 'running', 'completed'),
    iif(i % 2, 'key-' || i, ''), iif(i % 100 = 0, 'signal', ''), i % 1000 = 1, i % 1000 = 2,
    json_object('saga_id', printf('%026d', i), 'name', 'n', 'version', 1, 'fingerprint', 'f', 'cause', ''), 2, 1, 'pay',
    {NOW} - {MANY} + i, {NOW}, iif(i % 100 = 0, 0, {NOW} + i), 0, iif(i % 100 = 0, {NOW} + i, 0), i % 1000 = 3, 0,
    i % 1000 = 4, i % 1000 = 5
FROM n
"""  # fmt: skip


@pytest.fixture(scope="module")
def large():
    """100,000 sagas, none of which was ever analyzed."""
    db = database()
    db.execute(FILL)
    db.execute(
        "INSERT INTO amends_correlation SELECT 'customer', 'c' || (saga_id % 5000), saga_id FROM amends_summaries"
    )
    db.execute("INSERT INTO amends_failed SELECT 'pay', saga_id FROM amends_summaries WHERE saga_id % 500 = 0")
    yield db
    db.close()


def plan(db, text, before=""):
    part, values = conditions(parse(text).at(NOW), before)
    sql = query("select_summaries").replace("{conditions}", part)
    return " / ".join(row[3] for row in db.execute(f"EXPLAIN QUERY PLAN {sql}", [*values, 50]))


@pytest.mark.parametrize(
    ("text", "served_by"),
    [
        ("id:0000000000000000000000042", "PRIMARY KEY"),
        ("status:running", "amends_summaries_status"),
        ("name:saga_7", "amends_summaries_name"),
        ("key:key-4711", "amends_summaries_key"),
        ("key:key-47*", "amends_summaries_key"),
        ("hold:signal", "amends_summaries_hold"),
        ("customer:c17", "amends_correlation USING PRIMARY KEY (key=? AND value=?)"),
        ("customer:c17*", "amends_correlation USING PRIMARY KEY (key=? AND value>? AND value<?)"),
        ("failed:pay", "amends_failed USING PRIMARY KEY (step=?)"),
        ("failed:pa*", "amends_failed USING PRIMARY KEY (step>? AND step<?)"),
        ("waiting>1h", "COVERING INDEX amends_summaries_waiting (waiting>? AND waiting<?)"),
        ("is:anomalous", "amends_summaries_anomalous"),
        ("is:followup_failed", "amends_summaries_followup_failed"),
        ("is:paused", "amends_summaries_paused"),
        ("is:manual", "amends_summaries_manual"),
        ("is:intervened", "amends_summaries_intervened"),
        ("status:running name:saga_0 customer:c100 waiting>1h", "amends_correlation USING PRIMARY KEY"),
    ],
)
@pytest.mark.parametrize("before", ["", "00000000000000000000050000"], ids=["first-page", "next-page"])
def test_an_index_serves_each_field_that_has_one(large, text, served_by, before):
    said = plan(large, text, before)
    assert served_by in said
    assert "SCAN amends_summaries" not in said


@pytest.mark.parametrize(
    "text", ["started<5m", "ended<5m", "duration>1h", "deadline<1h", "version:2", "step:pay", "-is:paused"]
)
def test_what_has_no_index_is_read_newest_first_and_never_sorted(large, text):
    assert "amends_summaries USING PRIMARY KEY (saga_id<?)" in plan(large, text, "00000000000000000000050000")
    assert "TEMP B-TREE" not in plan(large, text)


@pytest.mark.parametrize(
    ("text", "served_by"), [("started<5m", "amends_summaries_started"), ("ended<5m", "amends_summaries_ended")]
)
def test_sagas_of_a_span_of_time_are_counted_by_an_index(large, text, served_by):
    part, values = conditions(parse(text).at(NOW))
    sql = query("count_summaries").replace("{conditions}", part)
    assert f"COVERING INDEX {served_by}" in large.execute(f"EXPLAIN QUERY PLAN {sql}", values).fetchone()[3]


def test_pages_go_on_where_the_last_one_ended_and_give_each_saga_once(large):
    part, values = conditions(parse("name:saga_7 -is:anomalous").at(NOW))
    whole = [
        each
        for (each,) in large.execute(f"SELECT saga_id FROM amends_summaries WHERE {part} ORDER BY saga_id DESC", values)
    ]
    paged, before = [], ""
    while page := in_sql(large, parse("name:saga_7 -is:anomalous").at(NOW), before)[:700]:
        paged += page
        before = page[-1]
    assert len(whole) == 5_000
    assert paged == whole
