#!/bin/bash
# The convolutions of a network layer by layer in turns with oneDNN's int8: compare_onednn.sh ROUNDS [MODEL].
#
# ONEDNN is the program that bench/peers/install.sh builds (source its env file); ours is bench_integer_layers, whose
# layers are what oneDNN is asked for. One thread, pinned to the last CPU; the least time of the rounds counts for both.
# At the end: both sums, and the layers that are slower than 0.95 times oneDNN.
set -euo pipefail
rounds=${1:-3} model=${2:-mobilenet_v2}
here=$(cd "$(dirname "$0")" && pwd)
ours=${OURS:-$here/../build/bench/bench_integer_layers}
: "${ONEDNN:?run bench/peers/install.sh, then source the env file that it names}"
last=$(($(nproc) - 1))
layers=$(mktemp); trap 'rm -f "$layers"' EXIT
for ((i = 0; i < rounds; i++)); do
  taskset -c "$last" "$ours" "$model" 1 0.02 | tee "$layers" | sed 's/^/ours /'
  OMP_NUM_THREADS=1 taskset -c "$last" "$ONEDNN" 0.03 <"$layers"
done | awk '
  # "onednn dw3x3 s1 32->32 @112 138.6 us" and "ours dw3x3 s1 32->32 @112  39.5 us hot ..."
  /@/ { for (i = 1; i <= NF; i++) if ($i ~ /^@/) at = i
    key = $(at - 3) " " $(at - 2) " " $(at - 1) " " $at; us = $(at + 1) + 0 }
  $1 == "onednn" && /@/ { if (!(key in peer) || us < peer[key]) peer[key] = us }
  $1 == "ours" && /@/ && / us hot/ { if (!(key in own) || us < own[key]) own[key] = us
    if (!(key in order)) { order[key] = ++count; name[count] = key }
    seen[key]++ }
  END { for (i = 1; i <= count; i++) { key = name[i]; if (!(key in peer)) continue
      times = seen[key] / rounds; p += times * peer[key]; o += times * own[key]
      printf "%-28s x%d  onednn %8.2f us  ours %8.2f us  %5.2f\n", key, times, peer[key], own[key], peer[key] / own[key]
      if (peer[key] / own[key] < 0.95) slow = slow "  " key }
    printf "sum: onednn %.3f ms, ours %.3f ms, %.2f times as fast; slower than 0.95:%s\n", p / 1e3, o / 1e3, p / o,
           slow == "" ? " none" : slow }' rounds="$rounds"
