"""The figures: exact with any number of sagas, the same in SQL as in memory, and by one scan of one index."""

import pytest
from hypothesis import given, settings, strategies as st
from msgspec.structs import replace

from amends.core.filters import Filter
from amends.core.summary import Summary
from amends.core.transitions import ENDS
from amends.stores.figures import Figures, figures_of, nearest_rank
from amends.stores.projection import matches
from amends.stores.sqlite.reader import Reader, _listed
from amends.stores.sqlite.sql import query, statements
from tests.filters import NOW, filters, summaries
from tests.stores.test_filters import database


def consistent(summary):
    """As a fold would leave it: an end is an end, what stands waits, and no length is negative."""
    ended = max(summary.ended, summary.started, 1) if summary.status in ENDS else 0
    return replace(summary, ended=ended, waiting_since=summary.waiting_since or 1, version=summary.version % 2)


some = st.lists(summaries.map(consistent), max_size=30, unique_by=lambda each: each.saga_id)
names = st.sampled_from(["a", "b"])


@pytest.fixture(scope="module")
def empty():
    db = database()
    yield db
    db.close()


@settings(max_examples=300, deadline=None)
@given(found=some, name=names, which=filters, since=st.one_of(st.just(0), st.integers(NOW - 20_000, NOW)))
def test_sql_and_memory_agree_on_every_figure(empty, found, name, which, since):
    found = [replace(each, name=name if each.name else "") for each in found]
    for statement in statements(query("clear_projection")):
        empty.execute(statement)
    empty.execute(query("insert_projected"), (0, 0, *_listed(found)))
    reader = Reader(":memory:", 1)
    for narrowed in (which, replace(which, terms=())):
        expected = figures_of((each for each in found if matches(each, narrowed)), since)
        assert reader.figures(empty, narrowed, since) == expected


@pytest.mark.parametrize(
    ("lengths", "p50", "p95", "p99"),
    [
        ([], None, None, None),
        ([7], 7, 7, 7),
        ([1, 2], 1, 2, 2),
        ([3, 1, 2], 2, 3, 3),
        (list(range(1, 101)), 50, 95, 99),
        (list(range(1, 102)), 51, 96, 100),
        (list(range(1, 1001)), 500, 950, 990),
    ],
)
def test_a_percentile_is_the_nearest_rank(lengths, p50, p95, p99):
    assert [nearest_rank(lengths, percent) for percent in (50, 95, 99)] == [p50, p95, p99]


def test_shares_are_of_what_settled_and_there_are_none_of_nothing():
    figures = Figures(name="a", version=1, in_flight=5, completed=6, compensated=1, closed=1, standing=2, by_hand=4)
    assert (figures.settled, figures.share(figures.completed), figures.share(figures.by_hand)) == (10, 0.6, 0.4)
    assert Figures(name="a", version=1, in_flight=5).share(0) is None


def test_ended_sagas_are_read_in_one_scan_of_their_index_and_nothing_is_sorted(empty):
    plan = [
        row[3] for row in empty.execute(f"EXPLAIN QUERY PLAN {query('select_figures').format(conditions='true')}", (0,))
    ]
    assert "SCAN amends_summaries USING COVERING INDEX amends_summaries_figures" in plan
    ranked = query("select_length").format(conditions="true")
    (step,) = [row[3] for row in empty.execute(f"EXPLAIN QUERY PLAN {ranked}", (0, "a", 1, 0))]
    assert step == "SEARCH amends_summaries USING COVERING INDEX amends_summaries_figures (name=? AND version=?)"


@pytest.mark.parametrize("count", [1, 2, 3, 11, 19, 99, 100, 101, 1_000])
def test_sql_ranks_exactly_whatever_the_number_of_sagas(empty, count):
    for statement in statements(query("clear_projection")):
        empty.execute(statement)
    found = [
        Summary(
            saga_id=f"s{length:04d}", name="a", version=1, fingerprint="f", status="completed",
            started=NOW, updated=NOW, ended=NOW + length,
        )
        for length in range(1, count + 1)
    ]  # fmt: skip
    empty.execute(query("insert_projected"), (0, 0, *_listed(found)))
    (figures,) = Reader(":memory:", 1).figures(empty, Filter(), 0)
    lengths = list(range(1, count + 1))
    expected = [nearest_rank(lengths, percent) for percent in (50, 95, 99)]
    assert [figures.p50_ms, figures.p95_ms, figures.p99_ms] == expected
