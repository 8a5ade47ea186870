#!/bin/bash
# Networks in turns with ONNX Runtime: compare_ort.sh ROUNDS [BATCH] [MODEL] [KIND]. Ratios of medians are at the end.
#
# KIND is float (bench_float_inference: float and fakequant against fp32) or integer8 (binade bench --scheme int8 against the
# QDQ model). bench/peers/install.sh installs ONNX Runtime and makes the networks; source the env file that it names.
# One thread is pinned to the last CPU, two to the last two. Run it on a quiet machine: both
# sides lose, but not equally.
set -euo pipefail
rounds=${1:-5} batch=${2:-32} model=${3:-mobilenet_v2} kind=${4:-float}
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build}
: "${MODELS:?run bench/peers/install.sh, then source the env file that it names}" "${NODE_PATH:?the same}"
case $kind in
  float) onnx=fp32 ours="float fakequant" ;;
  integer8) onnx=qdq ours="int8" ;;
  *) echo "KIND is float or integer8, not '$kind'" >&2; exit 2 ;;
esac
run_ours() {  # CPUS THREADS SCHEME
  case $3 in
    int8) taskset -c "$1" "$build/binade" bench --model "$model" --scheme int8 --batch "$batch" --threads "$2" --seconds 3 --brief ;;
    *) taskset -c "$1" "$build/bench/bench_float_inference" "$model" "$3" "$batch" "$2" 3 ;;
  esac
}
last=$(($(nproc) - 1))
lines=$(mktemp); trap 'rm -f "$lines"' EXIT
for ((i = 0; i < rounds; i++)); do
  for threads in 1 2; do
    cpus=$last; [ "$threads" = 2 ] && cpus=$((last - 1)),$last
    taskset -c "$cpus" node "$here/peers/onnxruntime.js" "$MODELS/${model}_${onnx}_b$batch.onnx" "$threads" 3
    for scheme in $ours; do run_ours "$cpus" "$threads" "$scheme"; done
  done
done | tee "$lines"
awk -v ours="$ours" '
  { match($0, /[12]thread/); threads = substr($0, RSTART, 1)
    key = /^onnxruntime/ ? "onnxruntime" : $2
    match($0, /: [0-9.]+ ms/); time[key threads, ++n[key threads]] = substr($0, RSTART + 2, RLENGTH - 5) + 0 }
  function median(key,   i, j, t) {
    for (i = 1; i <= n[key]; i++) for (j = i + 1; j <= n[key]; j++)
      if (time[key, j] < time[key, i]) { t = time[key, i]; time[key, i] = time[key, j]; time[key, j] = t }
    return time[key, int((n[key] + 1) / 2)] }
  END { count = split(ours, scheme, " ")
    for (t = 1; t <= 2; t++) {
      peer = median("onnxruntime" t)
      printf "%d thread: onnxruntime %.2f ms", t, peer
      for (s = 1; s <= count; s++) { own = median(scheme[s] t); printf ", %s %.2f ms (%.2f times as fast)", scheme[s], own, peer / own }
      print "" } }' "$lines"
