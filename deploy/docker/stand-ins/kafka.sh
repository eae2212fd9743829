#!/bin/bash
# As the official image: KAFKA_SOME_NAME is some.name in the broker's properties; the storage is formatted once.
set -eu
properties=/opt/kafka/config/server.properties
env | sed -n 's/^KAFKA_\([A-Z_]*\)=\(.*\)$/\1 \2/p' | grep -v '^HEAP_OPTS ' | while read -r name value; do
  echo "$(tr 'A-Z_' 'a-z.' <<<"$name")=$value"
done >"$properties"
java=(java -Dlog4j2.configurationFile=/etc/kafka/docker/log4j2.properties -cp '/opt/kafka/libs/*')
[ -e /var/lib/kafka/data/meta.properties ] ||
  "${java[@]}" -Xmx256m kafka.tools.StorageTool format --cluster-id "$CLUSTER_ID" --config "$properties"
# shellcheck disable=SC2086 # several options in one variable
exec "${java[@]}" $KAFKA_HEAP_OPTS kafka.Kafka "$properties"
