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

fmt:
    cargo fmt --all
