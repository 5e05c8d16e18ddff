#!/bin/sh
# Kafka's command-line tools, under the names they have in the official image.
case $(basename "$0") in
    kafka-acls.sh) class=org.apache.kafka.tools.AclCommand ;;
    kafka-configs.sh) class=kafka.admin.ConfigCommand ;;
    kafka-console-consumer.sh) class=org.apache.kafka.tools.consumer.ConsoleConsumer ;;
    kafka-console-producer.sh) class=org.apache.kafka.tools.ConsoleProducer ;;
    kafka-consumer-groups.sh) class=org.apache.kafka.tools.consumer.group.ConsumerGroupCommand ;;
    kafka-topics.sh) class=org.apache.kafka.tools.TopicCommand ;;
esac
KAFKA_HEAP_OPTS=-Xmx256m KAFKA_OPTS= exec /opt/kafka/bin/kafka-run-class.sh "$class" "$@"
