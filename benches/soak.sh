#!/usr/bin/env bash
# The Lambda function at full speed for a while, with an intake that is at fault now and then and a folder as its store:
# whether its memory, open files or threads grow, and whether each item is accounted for. The argument is the number of
# seconds. Needs Linux and Python 3.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly SECONDS_OF_SOAK=${1:-1800}

generator=$(pipeline_binary)
bootstrap=$(bootstrap_binary)

"$generator" --event usual-1000 >"$work/event"
python3 benches/stand_in.py soak "$bootstrap" "$work/event" "$SECONDS_OF_SOAK"
