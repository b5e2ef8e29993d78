#!/usr/bin/env bash
# Cold start of the Lambda function, from its start to its first question for an invocation, beside what the machine takes
# for a program that does nothing else; size of its binary; and that nothing of the command-line tool is in it. Needs Linux
# and Python 3.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"

readonly TIMES=30
readonly CPU_BAR_MS=2
readonly SIZE_BAR_MB=6.5

bootstrap=$(bootstrap_binary)
cargo build --quiet --release --bin logferry

rustc --edition 2024 -O -C strip=symbols -o "$work/floor" benches/cold_start/floor.rs
result=$(python3 benches/stand_in.py cold_start "$bootstrap" "$TIMES" "$work/floor")
millis() { awk -v nanos="$(field "$1" <<<"$result")" 'BEGIN { printf "%.2f", nanos / 1e6 }'; }
cpu=$(millis cpu_ns)
echo "CPU time, median of $TIMES:   $cpu ms, bar $CPU_BAR_MS ms: $(holds "$cpu" "$CPU_BAR_MS")"
echo "  of a program that only asks: $(millis floor_cpu_ns) ms"
echo "wall time, median of $TIMES:  $(millis wall_ns) ms"
echo "  of a program that only asks: $(millis floor_wall_ns) ms"

size=$(awk -v bytes="$(stat --format=%s "$bootstrap")" 'BEGIN { printf "%.2f", bytes / 1e6 }')
echo "size, stripped:          $size MB, bar $SIZE_BAR_MB MB: $(holds "$size" "$SIZE_BAR_MB")"

# Code that can panic carries the path of its source, and those of a crate hold the crate's name and version. The tool
# itself shows that the search finds them.
crates=$(cargo tree --quiet --edges normal --prefix none --package clap --package terminal_size --format '{p}' |
    sed --quiet 's/^\([^ ]*\) v\([^ ]*\).*/\1-\2/p' | sort --unique | grep -E '^(clap|anst|terminal_size|strsim)')
found_in() {
    for crate in $crates; do
        ! grep --quiet --fixed-strings --text "/$crate/" "$1" || echo "$crate"
    done
}
of_tool=$(found_in "$target/release/logferry" | paste --serial --delimiters=' ')
of_bootstrap=$(found_in "$bootstrap" | paste --serial --delimiters=' ')
echo "of the tool's crates, paths in the tool:      ${of_tool:-none: the search proves nothing}"
echo "of the tool's crates, paths in the function:  ${of_bootstrap:-none}"
[[ -n $of_tool && -z $of_bootstrap ]]
