"""The client's log says a thing once, not ten times a second."""

from __future__ import annotations

import logging

from confluent_kafka import KafkaError

from busbridge_kafka._log import ClientLog


def test_the_same_line_again_is_dropped_and_another_one_is_not(caplog):
    caplog.set_level(logging.INFO)
    log = ClientLog()
    for milliseconds in (0, 1, 7):
        log.log(
            logging.ERROR, "%s [%s] %s", "FAIL", "c", f"Connection refused (after {milliseconds}ms in state CONNECT)"
        )
    log.log(logging.ERROR, "%s", "something else")
    assert [record.message.partition(" (")[0] for record in caplog.records] == [
        "FAIL [c] Connection refused",
        "something else",
    ]


def test_a_connection_that_failed_is_no_error_of_the_log_for_our_own_line_tells_it(caplog):
    caplog.set_level(logging.DEBUG)
    log = ClientLog()
    log.log(logging.ERROR, "%s [%s] %s", "FAIL", "c", "Connect to ipv4#127.0.0.1:1 failed: Connection refused")
    log.log(logging.DEBUG, "%s [%s] %s", "FAIL", "c", "Disconnected while idle")
    log.log(logging.ERROR, "%s [%s] %s", "FAILURE", "c", "something else")
    assert [record.levelno for record in caplog.records] == [logging.INFO, logging.DEBUG, logging.ERROR]


def test_a_broker_that_is_down_is_said_once_whatever_the_words(caplog):
    log = ClientLog()
    log.error("Kafka at a:1", KafkaError(KafkaError._TRANSPORT, "refused"))  # noqa: PLE1205 - no logger
    log.error("Kafka at a:1", KafkaError(KafkaError._ALL_BROKERS_DOWN, "1/1 brokers are down"))  # noqa: PLE1205 - no logger
    assert [record.message for record in caplog.records] == ["Kafka at a:1: refused"]
