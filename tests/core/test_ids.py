"""Ids: they sort by time, grow strictly within their maker or shard, and say their shard."""

from __future__ import annotations

import random

import pytest

from amends.core.ids import IdMaker
from amends.core.shards import SHARDS, shard_of

NOW = 1_700_000_000_000


def maker(seed: int = 1) -> IdMaker:
    return IdMaker(random.Random(seed).randbytes)


def test_they_have_26_characters_and_sort_by_the_time_they_were_made():
    made = maker()
    ids = [made.new(NOW + at) for at in range(500)]
    assert ids == sorted(set(ids))
    assert {len(each) for each in ids} == {26}
    assert set("".join(ids)) <= set("0123456789ABCDEFGHJKMNPQRSTVWXYZ")


@pytest.mark.parametrize("shard", [None, 0, 17, 63])
def test_they_grow_strictly_also_when_the_clock_stands_or_steps_back(shard):
    made = maker()
    clock = [NOW] * 3_000 + [NOW - 5_000] * 100 + [NOW + 1] * 3
    ids = [made.new(now) if shard is None else made.new_in(shard, now) for now in clock]
    assert ids == sorted(set(ids))
    if shard is not None:
        assert {shard_of(each) for each in ids} == {shard}


def test_two_makers_make_none_twice():
    one, other = maker(1), maker(2)
    ids = [each.new(NOW + at // 50) for at in range(2_000) for each in (one, other)]
    assert len(set(ids)) == 4_000


def test_an_id_made_for_no_shard_has_one_and_all_are_met_alike():
    made = maker()
    counts = [0] * SHARDS
    for at in range(SHARDS * 200):
        counts[shard_of(made.new(NOW + at))] += 1
    assert min(counts) > 100
    assert max(counts) < 300


def test_the_rule_is_for_ever():
    assert shard_of("01HF7YAT00" + "00" + "0" * 14) == 0
    assert shard_of("01HF7YAT00" + "1Z" + "0" * 14) == 63
    assert shard_of("01HF7YAT00" + "20" + "0" * 14) == 0  # the last six of the ten bits
    assert [shard_of(text) for text in ("a", "s-1", "")] == [3, 14, 0]  # no ULID: by its checksum
