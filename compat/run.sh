#!/usr/bin/env bash
# Runs every real mem0 client against BASE_URL and sums up: compat/run.sh http://127.0.0.1:8000
# Keys come from API_KEY and OTHER_KEY (two users) and ADMIN_KEY; see README.md beside this.
set -euo pipefail
if [ $# -ne 1 ]; then
    echo "usage: API_KEY=… OTHER_KEY=… ADMIN_KEY=… compat/run.sh BASE_URL" >&2
    exit 2
fi
: "${API_KEY:?is not set}" "${OTHER_KEY:?is not set}"
export BASE_URL=$1 API_KEY OTHER_KEY ADMIN_KEY="${ADMIN_KEY:-}"

cd "$(dirname "$0")"
./setup.sh
lines=$(mktemp)
trap 'rm -f "$lines"' EXIT

# One after another, because each deletes all memories of its users at its end.
stopped=()
for client in ".venv-2/bin/python sync.py" ".venv-2/bin/python async_client.py" \
    ".venv-1/bin/python sync.py" ".venv-1/bin/python async_client.py" \
    "node node.mjs" ".venv-2/bin/python cli.py"; do
    before=$(wc -l <"$lines")
    status=0
    $client | tee -a "$lines" || status=$?
    # A script that failed without a failed step did not run to its end.
    tail -n "+$((before + 1))" "$lines" | grep -q '"ok": \?false' && status=0
    [ "$status" -eq 0 ] || stopped+=("$client (exit $status)")
done

python3 summary.py "$lines" "${stopped[@]}"
