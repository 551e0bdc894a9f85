"""Summarizes the JSON lines of a run: a row for each client, then the failed steps. Exits 1 if any step failed."""

import json
import sys

lines = [json.loads(line) for line in open(sys.argv[1])]
stopped = sys.argv[2:]
counts = {}
for line in lines:
    row = counts.setdefault((line["client"], line["version"]), {True: 0, False: 0, None: 0})
    row[line["ok"]] += 1

print(f"\n{'client':14} {'version':8} {'passed':>6} {'failed':>6} {'skipped':>7}")
for (client, version), row in counts.items():
    print(f"{client:14} {version:8} {row[True]:6} {row[False]:6} {row[None]:7}")
for line in lines:
    if line["ok"] is False:
        print(f"failed: {line['client']} {line['version']} {line['method']}: {line['error']}")
for client in stopped:
    print(f"did not come to its end: {client}")
sys.exit(1 if stopped or any(line["ok"] is False for line in lines) else 0)
