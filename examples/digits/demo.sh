#!/usr/bin/env bash
# What ./dev demo shows once the tools are built: from a .model file to a recognised digit. usage: demo.sh BUILD
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/../.."
bin=$1/bin
demo=$1/demo
mkdir -p "$demo"

step() {  # says the command, then runs it
  printf '\n$'
  printf ' %s' "$@"
  printf '\n'
  PATH=$bin:$PATH "$@"
}

step draw-digits "$demo/data"
step draw-digits --png "$demo/seven.png" --digit 7
step kiln build examples/digits/digits.model -o "$demo/digits"
step "$demo/digits" summary
rm -rf "$demo/run"
step "$demo/digits" train --data "$demo/data" --run "$demo/run"
step "$demo/digits" eval --data "$demo/data" --run "$demo/run" --json | tee "$demo/eval.txt"
step "$demo/digits" predict --art --run "$demo/run" "$demo/seven.png"

accuracy=$(tail -n 1 "$demo/eval.txt" | sed -n 's/.*"accuracy": *\([0-9.]*\).*/\1/p')
if ! awk -v accuracy="${accuracy:-0}" 'BEGIN { exit !(accuracy >= 0.98) }'; then
  echo "demo: the accuracy on digits never seen is ${accuracy:-missing}; 0.98 was expected" >&2
  exit 1
fi
cat <<TEXT

Accuracy on digits it has never seen: $accuracy. To try next:
  $demo/digits train --data $demo/data --run $demo/run2 --lr 3e-4 --epochs 2
  $bin/kiln emit optimized examples/digits/digits.model
  $bin/kiln check examples/digits/digits.model
TEXT
