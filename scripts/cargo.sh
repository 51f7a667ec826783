#!/usr/bin/env bash
# Run cargo with its build directory outside the checkout, so that a fresh clone finds earlier work.
set -euo pipefail
cd "$(dirname "$0")/.."
export CARGO_TARGET_DIR=${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/qanat/cargo-target}
exec cargo "$@"
