"""The tests of this folder are sharp: the adapter with one promise broken fails the test of that promise (T27)."""

from __future__ import annotations

import asyncio

import pytest

from integration.kafka import bench, saboteurs, test_consuming, test_positions, test_transactions
from integration.kafka.transforming import Scene


def test_a_late_settlement_that_counts_is_noticed(new_bench, monkeypatch):
    with saboteurs.late_settlement_accepted(), pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
        test_consuming.test_a_late_settlement_is_refused_also_when_the_partition_came_back(new_bench, monkeypatch)


def test_a_commit_before_the_dead_letters_confirm_is_noticed(new_bench):
    with saboteurs.finished_before_the_dead_letter(), pytest.raises(AssertionError):
        test_consuming.test_nothing_is_committed_before_its_dead_letter_is_confirmed(new_bench)


def test_a_start_that_is_resolved_each_time_is_noticed(new_bench, monkeypatch):
    monkeypatch.setattr(bench, "SECONDS", 5)
    with saboteurs.start_not_resolved(), pytest.raises((TimeoutError, AssertionError)):
        test_positions.test_latest_means_latest_at_the_first_start_not_at_each(new_bench)


def test_headers_kept_in_a_dict_are_noticed(new_bench):
    with saboteurs.headers_as_a_dict(), pytest.raises(AssertionError):
        test_consuming.test_headers_key_and_bytes_reach_the_dead_letters_as_they_were(new_bench)


@pytest.mark.faults
def test_offsets_that_are_committed_apart_are_noticed(kafka):
    async def run():
        scene = Scene(kafka, test_transactions.SHORT)
        async with scene.open() as bus:
            await scene.publish(bus, 100)
            await scene.killed(bus, seam="between", nth=2, saboteur="offsets_committed_apart")
            async with test_transactions.child(scene):
                await scene.complete(bus)
            return await scene.wrong(bus)

    assert asyncio.run(run())["more"]


def test_lost_answers_taken_for_aborts_are_noticed(kafka):
    with saboteurs.lost_answers_are_aborts(), pytest.raises(AssertionError, match="more"):
        test_transactions.test_a_commit_whose_answer_was_lost_is_found_out(kafka)
