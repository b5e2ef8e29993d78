# Sourced by the scripts beside it: builds what they measure.

cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=${CARGO_TARGET_DIR:-target}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# The benchmark `pipeline`, built; prints where it is.
pipeline_binary() {
    cargo bench --quiet --bench pipeline --no-run --message-format=json | python3 -c '
import json, sys
for line in sys.stdin:
    message = json.loads(line)
    if message.get("executable") and message["target"]["name"] == "pipeline":
        print(message["executable"])'
}

# The Lambda function, built, or the binary that `LOGFERRY_TEST_BOOTSTRAP` names, as that of `sam build`, which is built for
# newer processors and linked otherwise; prints where it is.
bootstrap_binary() {
    if [[ -n ${LOGFERRY_TEST_BOOTSTRAP:-} ]]; then
        echo "$LOGFERRY_TEST_BOOTSTRAP"
    else
        cargo build --quiet --release --bin bootstrap
        echo "$target/release/bootstrap"
    fi
}

# field NAME <<<JSON
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# holds VALUE BAR: a word for a table.
holds() {
    python3 -c 'import sys; print("holds" if float(sys.argv[1]) <= float(sys.argv[2]) else "MISSED")' "$1" "$2"
}
