#!/bin/bash
# The zoo as ONNX files in ONNX Runtime: compare_onnx.sh [MODEL ...] exports each network (all, without names) and runs
# the file on two random images; the outputs must be ours to 1e-4 of the largest. bench/peers/install.sh
# installs ONNX Runtime; source the env file that it names. The last line counts.
set -uo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build}
: "${NODE_PATH:?run bench/peers/install.sh, then source the env file that it names}"
folder=$(mktemp -d); trap 'rm -rf "$folder"' EXIT
if [ $# = 0 ]; then
  mapfile -t models < <("$build/binade" inspect --model all --format csv | tail -n +2 | cut -d, -f1)
else
  models=("$@")
fi
equal=0
for model in "${models[@]}"; do
  if "$build/bench/bench_onnx_reference" "$model" "$folder" && node "$here/compare_onnx.js" "$folder/$model"; then
    equal=$((equal + 1))
  fi
  rm -f "$folder/$model".*
done
echo "$equal of ${#models[@]} networks have the same outputs"
[ "$equal" = "${#models[@]}" ]
