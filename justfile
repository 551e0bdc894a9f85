# What CI runs.
check:
    bash .ci/run

# Remembers a small conversation in a temporary store and asks it questions.
tour:
    cargo run --release -- tour

# Recall and speed on this machine; DIR holds conversations (see `mnemon bench locomo --help`).
bench dir:
    cargo run --release -- bench locomo --data {{dir}}
    cargo run --release -- bench speed

# Load on a server of its own: 10,000 memories, 16 connections.
load seconds="60":
    cargo build --release
    bench/load/run.sh {{seconds}}

# Generates docs/openapi.json from the code.
openapi:
    cargo run -- serve --openapi > docs/openapi.json

fmt:
    cargo fmt --all
