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

# The Lambda function as it is deployed, built; prints where it is.
bootstrap_binary() {
    cargo build --quiet --release --bin bootstrap
    echo "$target/release/bootstrap"
}

# field NAME <<<JSON
field() {
    python3 -c 'import json, sys; print(json.load(sys.stdin)[sys.argv[1]])' "$1"
}

# holds VALUE BAR: a word for a table.
holds() {
    python3 -c 'import sys; print("holds" if float(sys.argv[1]) <= float(sys.argv[2]) else "MISSED")' "$1" "$2"
}
