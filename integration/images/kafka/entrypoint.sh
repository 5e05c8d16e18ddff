#!/bin/bash
# Settings as in the official image: a mounted /mnt/shared/config/server.properties, and after it each KAFKA_* variable
# as one property (one underscore is a dot, two are an underscore, three are a hyphen); the defaults if there is neither.
set -euo pipefail
mounted=/mnt/shared/config/server.properties
config=/opt/kafka/config/server.properties

property_names() {
    env | sed -nE 's/^(KAFKA_[A-Z0-9_]+)=.*/\1/p' | sed -E '/^KAFKA_(VERSION|HEAP_OPTS|OPTS|JMX_OPTS|LOG4J_.*)$/d'
}

properties_from_environment() {
    local variable key
    for variable in $(property_names); do
        key=$(tr '[:upper:]_' '[:lower:].' <<< "${variable#KAFKA_}" | sed -e 's/\.\.\./-/g' -e 's/\.\./_/g')
        echo "$key=${!variable}"
    done
}

{
    [[ ! -e $mounted ]] || cat "$mounted"
    properties_from_environment
} > "$config"
[[ -s $config ]] || cp /etc/kafka/docker/server.properties "$config"

export KAFKA_HEAP_OPTS="${KAFKA_HEAP_OPTS:--Xmx1g -Xms256m}"
run_class=/opt/kafka/bin/kafka-run-class.sh
# A container that is started again finds its storage formatted, and keeps it.
$run_class kafka.tools.StorageTool format --ignore-formatted -t "${CLUSTER_ID:-5L6g3nShT-eMCtK--X86sw}" -c "$config"
export KAFKA_OPTS="${KAFKA_OPTS:-} -Dlog4j2.configurationFile=/etc/kafka/docker/log4j2.yaml"
exec $run_class kafka.Kafka "$config"
