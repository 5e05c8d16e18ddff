"""Ids and times."""

from __future__ import annotations

import os
import random
import re
import time
import uuid
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from busbridge.envelope import DERIVED_IDS, derived_id, new_id, timestamp


def test_a_new_id_is_a_uuid_of_version_7():
    before = time.time_ns() // 1_000_000
    identity = uuid.UUID(new_id())
    after = time.time_ns() // 1_000_000
    assert (identity.version, identity.variant) == (7, uuid.RFC_4122)
    assert before <= identity.int >> 80 <= after


def test_new_ids_are_unique_and_ordered_by_time():
    made = [new_id() for _ in range(1000)]
    assert len(set(made)) == len(made)
    first = new_id()
    deadline = time.time_ns() + 2_000
    while time.time_ns() < deadline:
        pass
    assert first < new_id()


def test_a_seeded_random_repeats_no_id():
    random.seed(1)
    first = new_id()[19:]
    random.seed(1)
    assert new_id()[19:] != first


def test_a_fork_repeats_no_id():
    read_end, write_end = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(write_end, new_id().encode())
        os._exit(0)
    os.waitpid(child, 0)
    with os.fdopen(read_end) as pipe:
        os.close(write_end)
        assert pipe.read()[19:] != new_id()[19:]


def test_a_derived_id_never_changes():
    # Written down: consumers have these ids in their deduplication windows.
    assert derived_id("checkout", "id-1", "reserve-stock/reserve", 0) == "2d46f3b8-2c24-5998-a55c-3f71711e6550"


@given(st.text(), st.text(), st.text(), st.integers(min_value=0, max_value=2**31))
def test_a_derived_id_is_the_uuid5_that_is_documented(source: str, message_id: str, handler: str, ordinal: int):
    import json

    name = json.dumps([source, message_id, handler, ordinal], separators=(",", ":"), ensure_ascii=False)
    assert derived_id(source, message_id, handler, ordinal) == str(uuid.uuid5(DERIVED_IDS, name))


def test_a_derived_id_depends_on_each_part_and_on_where_one_ends():
    parts = [("a", "b", "c", 0), ("ab", "", "c", 0), ("a", "b", "c", 1), ("a", "bc", "", 0), ('a","b', "", "c", 0)]
    assert len({derived_id(*each) for each in parts}) == len(parts)


def test_a_timestamp_is_now_in_utc_by_rfc_3339():
    text = timestamp()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", text)
    assert abs(datetime.fromisoformat(text) - datetime.now(UTC)) < timedelta(seconds=5)
