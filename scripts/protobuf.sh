#!/usr/bin/env bash
# Make Python of the .proto files again; a test says when it was forgotten.
set -euo pipefail
cd "$(dirname "$0")/.."
out=${1:-.}
.venv/bin/python -m grpc_tools.protoc -I . --python_out="$out" --pyi_out="$out" services/consensus/abci_socket/abci.proto
