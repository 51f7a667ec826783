#!/usr/bin/env bash
# Run one stage of the checks under a heading: stage.sh NAME COMMAND...
set -euo pipefail
name=$1
shift
printf '\n== %s: %s\n' "$name" "$*"
began=$SECONDS
"$@"
printf '== %s: ok (%ds)\n' "$name" "$((SECONDS - began))"
