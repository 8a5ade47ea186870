#!/bin/bash
# Proves the integers of real networks: verify_networks.sh DATA OUT [IMAGES] [PRESET]. One line per network, width, target.
#
# DATA is the folder with weights/*.onnx and the image folders; OUT keeps the quantized networks, so that a second run
# goes on where the first ended. Ends with the sums; exit code 1 if anything differed.
set -euo pipefail
data=$1 out=$2 images=${3:-100} preset=${4:-best}
binade=${BINADE:-$(cd "$(dirname "$0")" && pwd)/../build/binade}
mkdir -p "$out"
for model in "$data"/weights/*.onnx; do
  name=$(basename "$model" .onnx)
  case $name in
    espnet*) calibrate=camvid/train verify=camvid/test count=8 ;;
    *cifar10* | *kws*) calibrate=cifar10-train verify=cifar10-test count=50 ;;
    *) calibrate=imagenet-sample verify=imagenet-val650 count=25 ;;
  esac
  for bits in 8 16; do
    network=$out/$name.$bits.$preset
    [ -f "$network/network.h5" ] || "$binade" ptq --model "$model" --bits $bits --preset "$preset" --dataset images --force \
      --calibration-data "$data/$calibrate" --calibration-images $count --out "$network" >"$network.log" 2>&1 || { cat "$network.log" >&2; exit 1; }
    for target in tidl generic cmsis tidl_bias16; do
      result=$network/$target.$images.txt
      if ! [ -f "$result" ]; then
        "$binade" verify --model "$network/network.h5" --target $target --dataset images --data "$data/$verify" \
          --images "$images" >"$result.part" 2>"$result.errors" || true
        mv "$result.part" "$result"
      fi
      echo "$name $bits bit $target: $(tail -1 "$result" | grep mismatches || cat "$result.errors")"
    done
  done
done | tee "$out/summary.$images.txt"
awk '{ n++; for (i = 1; i < NF; i++) { if ($(i + 1) == "elements,") e += $i; if ($(i + 1) == "mismatches") { m += $i; v++ } } }
  END { printf "%d verifications, %d finished, %.0f elements, %d mismatches\n", n, v, e, m; exit m > 0 || v < n }' "$out/summary.$images.txt"
