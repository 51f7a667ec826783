#!/usr/bin/env bash
# Run a command, unless this is a short run and it passed with the same files before: unchanged.sh NAME PATHS... -- COMMAND...
set -euo pipefail
cd "$(dirname "$0")/.."
name=$1
shift
paths=()
while [ "$1" != -- ]; do
    paths+=("$1")
    shift
done
shift
stamp=.venv/.passed-$name
# Files by content; the command, and what compiles, by their words.
print=$({
    echo "$*"
    rustc --version 2>/dev/null || true
    find "${paths[@]}" -type f -not -path '*/target/*' -not -path '*/__pycache__/*' -print0 | sort -z | xargs -0 sha256sum
} | sha256sum | cut -d' ' -f1)
if [ "${QANAT_SHORT_TESTS:-}" = 1 ] && [ -e "$stamp" ] && [ "$(cat "$stamp")" = "$print" ]; then
    echo "nothing changed since it passed (short run); ALL=1 runs it again"
    exit
fi
"$@"
# Without an environment there is nowhere to remember it.
[ ! -d .venv ] || echo "$print" >"$stamp"
