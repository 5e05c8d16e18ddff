#!/bin/sh
# Runs one of Kafka's Java classes, as the script of the same name in the official image does.
exec java ${KAFKA_HEAP_OPTS:--Xmx256m} ${KAFKA_OPTS:-} -cp '/opt/kafka/libs/*' "$@"
