#!/usr/bin/env bash
# Make the environment of the Vyper compiler, whose needs are not ours, unless it is there; print its folder.
set -euo pipefail
cd "$(dirname "$0")/.."
place=${XDG_CACHE_HOME:-$HOME/.cache}/qanat/vyper-$(sha256sum requirements/vyper.txt | cut -c1-16)
if [ ! -e "$place/made" ]; then
    .venv/bin/python -m venv --clear "$place"
    UV_SYSTEM_CERTS=1 .venv/bin/uv pip install -q --python "$place/bin/python" --require-hashes -r requirements/vyper.txt
    touch "$place/made"
fi
echo "$place"
