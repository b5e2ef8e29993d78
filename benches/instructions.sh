#!/usr/bin/env bash
# Instructions of the pipeline and of its floor for each event: unlike times, the same on a busy machine.
# Needs valgrind. Arguments are names of pipelines (see `cargo bench --bench pipeline -- --list`).
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

names=("$@")
[[ ${#names[@]} -gt 0 ]] || names=(inflate scan measure encode floor-1 logferry-1 whole-1 floor-6 logferry-6 whole-6)

if ! command -v valgrind >/dev/null; then
    echo 'valgrind is not installed (Debian: apt-get install valgrind): nothing is counted' >&2
    exit 0
fi

binary=$(pipeline_binary)
declare -A counted
printf '%-24s %18s\n' pipeline instructions/event
for name in "${names[@]}"; do
    # Only what happens in `Case::measured` counts: neither making the event nor checking it.
    valgrind --tool=callgrind --toggle-collect='*Case*measured*' --callgrind-out-file="$work/callgrind.$name" \
        "$binary" --once "$name" >"$work/out" 2>"$work/err" || { cat "$work/err" >&2; exit 1; }
    events=$(cut --delimiter=' ' --fields=1 "$work/out")
    counted[$name]=$(sed --quiet 's/.*Collected *: *\([0-9]*\).*/\1/p' "$work/err")
    printf '%-24s %18d\n' "$name" "$((counted[$name] / events))"
done

for level in 1 6; do
    if [[ -n ${counted[floor-$level]:-} && -n ${counted[logferry-$level]:-} ]]; then
        awk -v floor="${counted[floor-$level]}" -v ferry="${counted[logferry-$level]}" -v level="$level" \
            'BEGIN { printf "logferry/floor at gzip %d: %.3f\n", level, ferry / floor }'
    fi
    if [[ -n ${counted[logferry-$level]:-} && -n ${counted[whole-$level]:-} ]]; then
        awk -v bare="${counted[logferry-$level]}" -v whole="${counted[whole-$level]}" -v level="$level" \
            'BEGIN { printf "whole forwarder/encoders alone at gzip %d: %.4f\n", level, whole / bare }'
    fi
done
