#!/usr/bin/env bash
# Compile the Solidity and Vyper sources of the tests and of the apps; `--check` fails where the committed artefacts differ.
set -euo pipefail
cd "$(dirname "$0")/../tests/contracts"
command -v npm >/dev/null || { echo "contracts: npm is missing: install Node.js 22 or newer" >&2; exit 1; }
npm ci --silent --no-audit --no-fund
npm run --silent compile
npm run --silent compile -- ../../apps/data_market/contracts
npm run --silent compile -- ../../apps/inference/contracts
npm run --silent compile -- ../../apps/knowledge/contracts
"$(../../scripts/vyper.sh)/bin/python" compile_vyper.py
if [ "${1:-}" = --check ]; then
    git diff --exit-code -- artifacts ../../apps/data_market/contracts/artifacts ../../apps/inference/contracts/artifacts ../../apps/knowledge/contracts/artifacts
fi
