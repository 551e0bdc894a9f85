# What CI runs.
check:
    bash .ci/run

# Remembers a small conversation in a temporary store and asks it questions.
tour:
    cargo run --release -- tour

# Recall on this machine; DIR holds conversations (see `mnemon bench locomo --help`).
locomo dir:
    cargo run --release -- bench locomo --data {{dir}}

# Rates and latencies on this machine: speed, embed, qdrant, or compare of two results.
bench *args="speed":
    cargo run --release -p mnemon-bench -- {{args}}

# Single functions; `just kernels --save-baseline before`, later `just kernels --baseline before`.
kernels *args:
    cargo bench -p mnemon-bench -- {{args}}

# Load on a server of its own: 10,000 memories, 16 connections.
load seconds="60":
    cargo build --release
    bench/load/run.sh {{seconds}}

# What the routes' description says, from the code.
openapi:
    cargo run -- serve --openapi > docs/openapi.json

fmt:
    cargo fmt --all
