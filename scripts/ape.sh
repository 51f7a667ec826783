#!/usr/bin/env bash
# Make the environment of the Ape project of the e2e tests, unless it is there; print its folder.
set -euo pipefail
cd "$(dirname "$0")/.."
place=${XDG_CACHE_HOME:-$HOME/.cache}/qanat/ape-$(sha256sum requirements/ape.txt | cut -c1-16)
if [ ! -e "$place/made" ]; then
    .venv/bin/python -m venv --clear "$place"
    UV_SYSTEM_CERTS=1 .venv/bin/uv pip install -q --python "$place/bin/python" --require-hashes -r requirements/ape.txt
    touch "$place/made"
fi
echo "$place"
