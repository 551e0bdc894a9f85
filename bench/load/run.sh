#!/usr/bin/env bash
# Load test on loopback: 10,000 memories of 100 users, 16 connections, nine searches to one add. Needs wrk, curl and a release
# build. Prints wrk's results, the server's own latencies by route, and its memory use every five seconds.
# usage: bench/load/run.sh [SECONDS] [MNEMON]
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-60}
mnemon=${2:-../../target/release/mnemon}
work=$(mktemp -d)
trap 'kill "$server" 2>/dev/null || true; rm -rf "$work"' EXIT
port=${PORT:-18080}

words=(tea coffee Lisbon Maria guitar marathon garden kitchen train novel dentist bicycle violin harbour recipe passport)
for ((number = 0; number < 10000; number++)); do
  a=${words[RANDOM % 16]} b=${words[RANDOM % 16]} c=${words[RANDOM % 16]}
  printf '{"id":%d,"payload":{"user_id":"user%d","created_at":"2026-01-01T00:00:00Z","data":"In week %d I bought %s, met %s and spoke of the %s"}}\n' \
    "$number" $((number % 100)) "$number" "$a" "$b" "$c"
done > "$work/points.jsonl"
"$mnemon" --store "sqlite:$work/m.db" import "$work/points.jsonl" > /dev/null
keys=$(for ((number = 0; number < 100; number++)); do printf '"key%d":"user%d",' "$number" "$number"; done)
API_KEYS="{${keys%,}}" ADMIN_API_KEY=admin MNEMON_LOG=warn \
  "$mnemon" --store "sqlite:$work/m.db" serve --bind "127.0.0.1:$port" > /dev/null &
server=$!
until curl -sf "http://127.0.0.1:$port/readyz" > /dev/null; do sleep 0.05; done
echo "memories: $(curl -s -H 'X-API-Key: admin' "http://127.0.0.1:$port/metrics" | sed -n 's/^mnemon_memories //p')"
(
  for ((at = 0; at <= seconds; at += 5)); do
    printf 'RSS at %2d s: %d MB\n' "$at" "$(($(sed -n 's/^VmRSS:[^0-9]*\([0-9]*\) kB/\1/p' "/proc/$server/status") / 1024))"
    sleep 5
  done
) &
wrk -t 1 -c 16 -d "${seconds}s" -s mixed.lua "http://127.0.0.1:$port" | grep -E '^(requests|not)'
wait %2 2>/dev/null || true
metrics=$(curl -s -H 'X-API-Key: admin' "http://127.0.0.1:$port/metrics")
echo "memories: $(sed -n 's/^mnemon_memories //p' <<< "$metrics")"
grep -E '^mnemon_http_requests_total.*(search|memories)"' <<< "$metrics"
grep -E '^mnemon_(http_request|store|embed)_seconds_(sum|count)' <<< "$metrics" | grep -vE 'readyz|metrics'
