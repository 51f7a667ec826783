#!/usr/bin/env bash
# Build the wheel of the native module: maturin.sh --out DIR
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/qanat/cargo-target}
exec maturin build --release --locked --quiet -m crates/evm-py/Cargo.toml "$@"
