#!/bin/bash
# Training steps in turns with PyTorch: compare_torch.sh ROUNDS [MODEL] [BATCH] [KIND]. Ratios of medians are at the end.
#
# KIND is float (batch norm on batch statistics on both sides) or qat (ours: learned thresholds, batch norm folded;
# PyTorch: FX QAT, symmetric per tensor, observer and quantizer fused, its fastest). Both print their peak of memory.
# bench/peers/install.sh installs PyTorch; PYTHON is the interpreter that has it. It gets an allocator that keeps its
# memory, on large
# pages: its default one is up to 1.5 times slower. One thread is pinned to the last CPU, two to the last two.
set -euo pipefail
rounds=${1:-3} model=${2:-mobilenet_v2} batch=${3:-32} kind=${4:-qat}
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../build}
case $kind in
  float) ours=float ;;
  qat) ours=tqt ;;
  *) echo "KIND is float or qat, not '$kind'" >&2; exit 2 ;;
esac
size=224
case $model in resnet20 | mlperf_resnet8) size=32 ;; esac
tunables=glibc.malloc.hugetlb=1:glibc.malloc.mmap_threshold=17179869184:glibc.malloc.trim_threshold=34359738368:glibc.malloc.top_pad=268435456
last=$(($(nproc) - 1))
lines=$(mktemp); trap 'rm -f "$lines"' EXIT
for ((i = 0; i < rounds; i++)); do
  for threads in 1 2; do
    cpus=$last; [ "$threads" = 2 ] && cpus=$((last - 1)),$last
    GLIBC_TUNABLES=$tunables taskset -c "$cpus" "${PYTHON:-/usr/bin/python3}" "$here/peers/torch_step.py" "$kind" "$model" \
      --size "$size" --batch "$batch" --threads "$threads" --steps 5 2>/dev/null | sed "s/^/torch ${threads}thread /"
    taskset -c "$cpus" "$build/bench/bench_training_step" "$model" "$ours" "$batch" "$threads" 6 | sed "s/^/binade ${threads}thread /"
  done
done | tee "$lines"
awk '
  match($0, /: [0-9.]+ ms/) { key = $1 $2; time[key, ++n[key]] = substr($0, RSTART + 2, RLENGTH - 5) + 0 }
  function median(key,   i, j, t) {
    for (i = 1; i <= n[key]; i++) for (j = i + 1; j <= n[key]; j++)
      if (time[key, j] < time[key, i]) { t = time[key, i]; time[key, i] = time[key, j]; time[key, j] = t }
    return time[key, int((n[key] + 1) / 2)] }
  END { for (t = 1; t <= 2; t++) {
      peer = median("torch" t "thread"); own = median("binade" t "thread")
      printf "%d thread: torch %.0f ms, binade %.0f ms (%.2f times as fast)\n", t, peer, own, peer / own } }' "$lines"
