"""The transactions of one member, with a producer that does as the test says."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from confluent_kafka import KafkaError, KafkaException, TopicPartition

from busbridge.errors import AccessRefused, MessageRefused, StaleDelivery, TransactionAborted
from busbridge.routing import Destination, Kind
from busbridge.transport import Entry
from busbridge_kafka import _transactions as transactions
from busbridge_kafka._transactions import Transactions

LOG = Destination("log", Kind.STREAM, "kafka", "shop.log")
OFFSETS = [TopicPartition("orders", 0, 7), TopicPartition("orders", 2, 3)]
TOO_LARGE = KafkaError(KafkaError.MSG_SIZE_TOO_LARGE)


def failing(code):
    return KafkaException(KafkaError(code))


class Scripted:
    """A producer that writes down what it is asked, and raises or reports what the script says."""

    def __init__(self, cluster):
        self.cluster = cluster
        self.reports = []

    def __getattr__(self, name):
        def called(*arguments, **options):
            self.cluster.calls.append(name)
            if (error := self.cluster.failures.pop(name, None)) is not None:
                raise error

        return called

    def produce(self, kafka_topic, body, key, *, headers, on_delivery):
        self.cluster.calls.append(f"produce {body.decode()}")
        if body in self.cluster.refused:
            self.reports.append(on_delivery)

    def poll(self, seconds):
        for report in self.reports:
            report(TOO_LARGE, None)


@dataclass
class Cluster:
    calls: list[str] = field(default_factory=list)
    failures: dict[str, Exception] = field(default_factory=dict)
    refused: set[bytes] = field(default_factory=set)
    reached: dict[int, int] = field(default_factory=lambda: {0: 5, 2: 1})
    answers: list[Exception] = field(default_factory=list)

    def positions(self, partitions):
        self.calls.append("positions")
        if self.answers:
            raise self.answers.pop()
        return [TopicPartition(each.topic, each.partition, self.reached[each.partition]) for each in partitions]

    def explain(self, error):
        refused = error.code() == KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED
        return AccessRefused("Kafka", "me", error.str()) if refused else None


@pytest.fixture
def cluster(monkeypatch):
    monkeypatch.setattr(transactions, "PAUSE", (0.0, 0.0))
    return Cluster()


@pytest.fixture
def made(cluster):
    return Transactions("shop.stock", lambda: Scripted(cluster), cluster.positions, cluster.explain)


def commit(made, *bodies, membership=lambda: b"member"):
    made.commit([Entry(LOG, body, []) for body in bodies], OFFSETS, membership)


def test_messages_and_offsets_go_in_one_transaction_of_a_producer_that_is_kept(cluster, made):
    commit(made, b"a", b"b")
    commit(made, b"c")
    one = ["begin_transaction", "produce a", "produce b", "send_offsets_to_transaction", "commit_transaction"]
    other = ["begin_transaction", "produce c", "send_offsets_to_transaction", "commit_transaction"]
    assert cluster.calls == ["init_transactions", *one, *other]


def test_who_is_no_member_any_more_commits_nothing(cluster, made):
    def stale():
        raise StaleDelivery("<Delivery>")

    with pytest.raises(StaleDelivery):
        commit(made, b"a", membership=stale)
    assert "abort_transaction" in cluster.calls
    assert not {"send_offsets_to_transaction", "commit_transaction"} & {*cluster.calls}


def test_after_a_failure_another_producer_goes_on(cluster, made):
    cluster.failures["send_offsets_to_transaction"] = failing(KafkaError.ILLEGAL_GENERATION)
    with pytest.raises(TransactionAborted, match=r"shop\.stock"):
        commit(made, b"a")
    commit(made, b"a")
    assert cluster.calls.count("init_transactions") == 2


def test_a_commit_that_failed_but_took_place_is_one(cluster, made):
    cluster.failures["commit_transaction"] = failing(KafkaError._TIMED_OUT)
    cluster.reached = {0: 7, 2: 3}
    commit(made, b"a")
    assert cluster.calls[-2:] == ["init_transactions", "positions"]  # in this order: what was open is ended first


def test_a_commit_that_did_not_take_place_is_none(cluster, made):
    cluster.failures["commit_transaction"] = failing(KafkaError._TIMED_OUT)
    with pytest.raises(TransactionAborted):
        commit(made, b"a")


def test_what_a_commit_has_come_to_is_asked_until_it_is_known(cluster, made):
    cluster.failures["commit_transaction"] = failing(KafkaError._TIMED_OUT)
    cluster.answers = [failing(KafkaError._TRANSPORT), failing(KafkaError._TIMED_OUT)]
    cluster.reached = {0: 7, 2: 3}
    commit(made, b"a")
    assert cluster.calls.count("positions") == 3


def test_it_is_asked_no_more_once_it_is_closed(cluster, made):
    cluster.failures["commit_transaction"] = failing(KafkaError._TIMED_OUT)
    made.closed = True
    with pytest.raises(TransactionAborted, match="or perhaps committed"):
        commit(made, b"a")


def test_what_is_refused_is_told_with_its_destination(cluster, made):
    cluster.refused = {b"b"}
    cluster.failures["commit_transaction"] = failing(KafkaError.MSG_SIZE_TOO_LARGE)
    with pytest.raises(MessageRefused) as caught:
        commit(made, b"a", b"b")
    assert (caught.value.reason, caught.value.destination) == ("too_large", "log")


def test_who_may_not_use_the_transactional_id_is_told_so(cluster, made):
    cluster.failures["init_transactions"] = failing(KafkaError.TRANSACTIONAL_ID_AUTHORIZATION_FAILED)
    with pytest.raises(AccessRefused):
        made.begin()


def test_closing_ends_the_producer(cluster, made):
    made.begin()
    made.close()
    assert cluster.calls == ["init_transactions", "close"]
