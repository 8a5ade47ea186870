#!/bin/bash
# MobileNetV2 in turns with ONNX Runtime: compare_ort.sh ROUNDS [BATCH]. Ratios of medians are at the end.
#
# ONNX Runtime comes from the folder of the peers' scripts, PEERS (it has ort/ort_bench.js), and NODE_PATH, where
# onnxruntime-node is installed, beside MODELS, the folder of mobilenet_v2_fp32_b<BATCH>.onnx. One thread is pinned to
# the last CPU, two to the last two. Run it on a quiet machine: both sides lose, but not equally.
set -euo pipefail
rounds=${1:-5} batch=${2:-32}
here=$(cd "$(dirname "$0")" && pwd)
ours=${OURS:-$here/../build/bench/bench_float_inference}
: "${PEERS:?the folder of the peers\' scripts}" "${MODELS:?the folder of the ONNX files}" "${NODE_PATH:?where onnxruntime-node is}"
last=$(($(nproc) - 1))
lines=$(mktemp); trap 'rm -f "$lines"' EXIT
for ((i = 0; i < rounds; i++)); do
  for threads in 1 2; do
    cpus=$last; [ "$threads" = 2 ] && cpus=$((last - 1)),$last
    taskset -c "$cpus" node "$PEERS/ort/ort_bench.js" "$MODELS/mobilenet_v2_fp32_b$batch.onnx" "$threads" 3
    for scheme in float fakequant; do
      taskset -c "$cpus" "$ours" mobilenet_v2 "$scheme" "$batch" "$threads" 3
    done
  done
done | tee "$lines"
awk '
  { match($0, /[12]thread/); threads = substr($0, RSTART, 1)
    key = /^onnxruntime/ ? "onnxruntime" : $2
    match($0, /: [0-9.]+ ms/); time[key threads, ++n[key threads]] = substr($0, RSTART + 2, RLENGTH - 5) + 0 }
  function median(key,   i, j, t) {
    for (i = 1; i <= n[key]; i++) for (j = i + 1; j <= n[key]; j++)
      if (time[key, j] < time[key, i]) { t = time[key, i]; time[key, i] = time[key, j]; time[key, j] = t }
    return time[key, int((n[key] + 1) / 2)] }
  END { for (t = 1; t <= 2; t++) {
      o = median("onnxruntime" t); f = median("float" t); q = median("fakequant" t)
      printf "%d thread: onnxruntime %.1f ms, float %.1f ms (%.2f times as fast), fakequant %.1f ms (%.2f of float)\n",
             t, o, f, o / f, q, q / f } }' "$lines"
