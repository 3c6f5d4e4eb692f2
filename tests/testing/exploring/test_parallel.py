"""Processes that try: one that ends between two batches loses nothing."""

from __future__ import annotations

import os
from concurrent.futures.process import BrokenProcessPool

import pytest

from amends.testing.exploring.parallel import _Processes


def _nothing():
    raise AssertionError("no scenario is given, so no laboratory is needed")


def test_a_batch_that_is_given_to_processes_that_have_ended_is_tried_by_new_ones():
    with _Processes(_nothing, 1, 5.0) as processes:
        broken = processes._pool
        with pytest.raises(BrokenProcessPool):
            broken.submit(os._exit, 9).result()
        with pytest.raises(BrokenProcessPool):
            broken.submit(int)
        processes.submit([])
        assert processes.next_trials() == []
        assert processes._pool is not broken
