#!/usr/bin/env bash
# demo.sh BIN DIR: scans a made-up world that fails in places, and shows how each provider fared.
#
# The world's configuration, lists, expected amounts and store stay in DIR. The exit code is the scan's.
set -euo pipefail

bin=$1
dir=$2
start_within_s=30

rm -rf "$dir"
mkdir -p "$dir"
"$bin/upstream" --demo 20 --with-faults --listen 127.0.0.1:0 \
    --write-to "$dir" --port-file "$dir/port" 2>"$dir/upstream.log" &
upstream=$!
trap 'kill "$upstream" 2>/dev/null || true; wait "$upstream" 2>/dev/null || true' EXIT

# The port is written last, when requests are answered.
until [ -s "$dir/port" ]; do
    if ! kill -0 "$upstream" 2>/dev/null || [ "$SECONDS" -ge "$start_within_s" ]; then
        echo "demo: the simulator did not start:" >&2
        cat "$dir/upstream.log" >&2
        exit 1
    fi
    sleep 0.05
done

exit_code=0
"$bin/scanhost" --config "$dir/scanhost.toml" scan || exit_code=$?
echo
"$bin/scanhost" --config "$dir/scanhost.toml" health
exit "$exit_code"
