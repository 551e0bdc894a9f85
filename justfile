# What CI runs.
check:
    bash .ci/run

# Without the tests.
quick:
    bash .ci/run check

# With every server, client and tool; a skip fails.
strict:
    CI_STRICT=1 bash .ci/run

# The tests whose name contains a text: `just test mnemon-engine it delete`.
test crate suite name="":
    cargo test -p {{crate}} --test {{suite}} -- {{name}}

# Runs the examples: the Rust one, then those that need a server, each against one of its own.
examples:
    cargo run -p mnemon-engine --example remember
    compat/setup.sh
    cargo test -p mnemon-cli --test clients -- example

# Unused dependencies, and each feature alone; needs cargo-machete and cargo-hack.
dependencies:
    cargo machete --with-metadata
    cargo hack check --workspace --each-feature --locked

# Stores a small conversation in a temporary store and searches it.
tour:
    cargo run --release -- tour

# Recall on the conversations in DIR (see `mnemon bench locomo --help`), and speed.
bench dir:
    cargo run --release -- bench locomo --data {{dir}}
    cargo run --release -p mnemon-bench -- speed

# Load on a separate server: 10,000 memories, 16 connections.
load seconds="60":
    cargo build --release
    bench/load/run.sh {{seconds}}

# Generates docs/openapi.json from the code.
openapi:
    cargo run -- serve --openapi > docs/openapi.json

# Generates docs/settings.md and crates/cli/mnemon.default.toml from the declaration of the settings.
settings:
    UPDATE_DOCS=1 cargo test -p mnemon-cli --lib settings::reference

fmt:
    cargo fmt --all
