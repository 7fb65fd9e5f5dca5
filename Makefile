# What people and CI run. `make` alone lists the recipes.

# Where cargo builds, as an absolute path, also when CARGO_TARGET_DIR or a cargo configuration moves it.
TARGET = $(shell cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/')
# CI sees every failure of a run, not only the first.
PROFILE = $(if $(CI),ci,default)

.DEFAULT_GOAL := help
.PHONY: help run demo test sanitize bench soak check fmt lint doc tools api rust nextest clean

run: rust ## scan the sample lists of config/ on mainnet, no key needed (exit 3: some cells unknown)
	cargo build --release --locked --workspace --exclude scanhost-tests
	@SCANHOST__STORE__URL="sqlite://$(TARGET)/run.db" "$(TARGET)/release/scanhost" --config config/scanhost.toml scan --budget 60s

demo: rust ## the same against a simulator with faults, no network needed
	cargo build --release --locked --workspace
	@scripts/demo.sh "$(TARGET)/release" "$(TARGET)/demo"

test: rust nextest tools ## every test; the build comes first, since the tests run the built files
	cargo build --workspace --locked
	cargo nextest run --workspace --locked --profile $(PROFILE)
	cargo nextest run -p scanhost --lib --locked --features loom gate::tests::model
	cargo test --doc --workspace --locked
	@scripts/sanitize.sh "$(TARGET)"

sanitize: rust nextest ## the ABI under AddressSanitizer, also across a loaded library; part of `make test`
	@scripts/sanitize.sh "$(TARGET)"

bench: rust ## speed and memory against their targets, in one run of about three minutes
	cargo build --release --locked -p scanhost-plugin-bsc-rpc
	cargo bench --locked -p scanhost --bench speed

soak: rust nextest ## the long forms of tests: kills, limits, memory (a quarter of an hour)
	cargo build --workspace --locked
	cargo nextest run -p scanhost-tests --locked --profile soak

check: lint test ## what CI runs

fmt: rust ## format all sources
	cargo fmt --all
	cargo fmt --all --manifest-path tests/fixtures/Cargo.toml

lint: rust ## formatting, clippy and documentation, each warning an error
	cargo fmt --all --check
	cargo fmt --all --check --manifest-path tests/fixtures/Cargo.toml
	cargo clippy --workspace --all-targets --locked -- -D warnings
	RUSTDOCFLAGS=-Dwarnings cargo doc --workspace --no-deps --locked

doc: rust ## the documentation of all crates, opened in a browser
	cargo doc --workspace --no-deps --locked --open

tools: ## put what tests need beside cargo in place: Anvil, a local EVM node, and a browser
	@scripts/tools.sh

api: rust tools ## refresh docs/api: the document of the service's API, and its TypeScript types
	cargo build --locked -p scanhost
	"$(TARGET)/debug/scanhost" openapi > docs/api/openapi.json
	.tools/node_modules/.bin/openapi-typescript docs/api/openapi.json > docs/api/scanhost.d.ts

clean: rust ## remove what was built and downloaded
	cargo clean
	rm -rf .tools tests/browser/node_modules tests/fixtures/target

help: ## this list
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

rust:
	@scripts/need.sh cargo "Rust 1.95 or newer from https://rustup.rs"
	@scripts/need.sh cc "a C compiler (Debian, Ubuntu: apt-get install build-essential; macOS: xcode-select --install)"

nextest: rust
	@scripts/need.sh cargo-nextest "it by: cargo install cargo-nextest --locked"
