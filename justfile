# Every task by name; `just` lists them. https://just.systems

_list:
    @just --list

# Pre-train, fine-tune and predict on bundled emoji
demo *arguments:
    cargo run --release --locked -p fcmae-cli -- demo {{ arguments }}

# All tests
test *arguments:
    cargo test --release --locked --workspace --features fcmae-cuda/nvidia {{ arguments }}

# Clippy, warnings are errors
lint:
    cargo clippy --release --locked --workspace --all-targets --features fcmae-cuda/nvidia -- -D warnings

# Format the source
fmt:
    cargo fmt --all

# The libraries' documentation, in target/doc
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --release --locked --workspace --no-deps --features fcmae-cuda/nvidia

# Licences, bans, sources and advisories of all crates linked (needs cargo-deny)
deny:
    cargo deny --locked check

# Work off the experiments in the background (see experiments/README.md)
queue *arguments:
    experiments/run {{ arguments }}

# What every change must pass
ci:
    bash .ci/run
