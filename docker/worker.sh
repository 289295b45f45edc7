#!/bin/sh
# Starts a worker in a container. It has the container's address, and a name that belongs to its volume: a container
# that replaces this one finds the state again.
set -eu
if [ -z "${SIGNALFLOW_WORKER_NAME:-}" ]; then
    name_file="$SIGNALFLOW_STATE_DIR/name"
    [ -s "$name_file" ] || hostname > "$name_file"
    SIGNALFLOW_WORKER_NAME=$(cat "$name_file")
fi
: "${SIGNALFLOW_WORKER_WEB_HOST:=$(hostname)}"
export SIGNALFLOW_WORKER_NAME SIGNALFLOW_WORKER_WEB_HOST
exec faust --loop uvloop -A signalflow worker -l warn
