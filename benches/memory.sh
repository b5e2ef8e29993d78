#!/usr/bin/env bash
# Peak memory of the Lambda function, a new process for each event, with an intake on the loopback.
# Arguments are backends; without any it is each of them. Needs Linux and Python 3.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

generator=$(pipeline_binary)
bootstrap=$(bootstrap_binary)
backends=("$@")
((${#backends[@]})) || mapfile -t backends < <(python3 benches/stand_in.py backends)

# measure EVENT BAR_MB DESCRIPTION
measure() {
    local event=$1 bar=$2 description=$3 backend result peak
    "$generator" --event "$event" >"$work/event"
    for backend in "${backends[@]}"; do
        result=$(python3 benches/stand_in.py memory "$bootstrap" "$work/event" "$backend")
        peak=$(field peak_bytes <<<"$result")
        LC_ALL=C printf '%-42s %-13s %9d %8d %9.1f %5d %-7s %s\n' "$description" "$backend" \
            "$(stat --format=%s "$work/event")" "$(field requests <<<"$result")" \
            "$(awk "BEGIN { print $peak / 1e6 }")" "$bar" "$(holds "$peak" "${bar}000000")" \
            "$(field outcome <<<"$result")"
    done
}

printf '%-42s %-13s %9s %8s %9s %5s\n' event backend bytes requests 'peak, MB' bar
measure usual-10000 12 '10,000 log events'
measure usual-80000 24 '80,000 log events: as much as Lambda takes'
measure repetitive 24 '300,000 log events that repeat themselves'
measure bomb 24 '400 log events of 1 MiB, one letter'
measure bomb-of-8-mib 24 '100 log events of 8 MiB, one letter'
