#!/usr/bin/env bash
# Compare the data market's values with pyDVL's, in an environment of its own: it wants an older numpy.
set -euo pipefail
cd "$(dirname "$0")/.."
place=${XDG_CACHE_HOME:-$HOME/.cache}/qanat/oracle
[ -x "$place/bin/python" ] || .venv/bin/python -m venv "$place"
UV_SYSTEM_CERTS=1 .venv/bin/uv pip install -q --python "$place/bin/python" 'pydvl==0.10.0' 'numpy<2' orjson
PYTHONPATH=. "$place/bin/python" -W ignore -m tests.support.valuation_oracle
