# Thin names for cargo lines. Nothing that the gate needs lives only here.

# List the recipes.
default:
    @just --list

# Build and serve.
run *args:
    cargo run --release -- {{args}}

# All tests.
test:
    cargo test --workspace

# What the gate checks.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace
    MEMORYCHAT_TEST_DATABASE=postgres MEMORYCHAT_TEST_INDEX=qdrant cargo test --workspace --test e2e
    cargo test -p adapter-qdrant --features embedded-qdrant --test embedded --test stand_in
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Write the generated files anew: OpenAPI document, schema picture, the README's table of settings.
openapi:
    UPDATE_OPENAPI=1 cargo test -p adapter-http --test openapi
    UPDATE_SCHEMA=1 cargo test -p adapter-sql --test schema
    UPDATE_README=1 cargo test -p app --test readme

# Fetch the local models.
models:
    cargo run --release -- models pull

# The README's tour, against a running server.
tour:
    sed -n '/^<!-- tour -->/,/^```$/p' README.md | sed '/^<!--/d;/^```/d' | bash

# Time per turn by step, turns per second, memory.
bench:
    cargo run --release -p bench

# A new, empty schema change: `just new-migration tags`.
new-migration name:
    printf '//! What this changes, and why.\n\ncrate::change!();\n\nconst SQL: &str = "\n";\n' > migrations/src/m$(date +%Y%m%d)_000001_{{name}}.rs
    @echo "Now name it in migrations/src/lib.rs, and run: just openapi"
