#!/usr/bin/env bash
# Exported QDQ files in ONNX Runtime give the codes of our integers: qdq.sh FOLDER [NETWORK.h5 DATASET DATA].
# Without a network, small networks of the zoo are quantized on images that are drawn on the spot. onnxruntime-node is
# installed from npm into FOLDER unless NODE_PATH says where it is. Exit code 1 if a single code differs.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
build=${BUILD:-$here/../../build}
folder=${1:?usage: qdq.sh FOLDER [NETWORK.h5 DATASET DATA]}
mkdir -p "$folder"
if [ -z "${NODE_PATH:-}" ]; then
  [ -d "$folder/node_modules/onnxruntime-node" ] ||
    (cd "$folder" && npm init -y >/dev/null && npm install --ignore-scripts --silent onnxruntime-node@1.30.0 >/dev/null)
  export NODE_PATH="$folder/node_modules"
fi
status=0
compare() {  # NETWORK.h5 DATASET DATA NAME
  "$build/qdq_reference" "$1" onnxruntime "$2" "$3" "${IMAGES:-100}" "$folder/$4" &&
    node "$here/qdq.js" "$folder/$4" || status=1
}
if [ $# -ge 4 ]; then
  compare "$2" "$3" "$4" "$(basename "$(dirname "$2")")"
else
  for model in tiny_mobilenet mlperf_resnet8; do
    size=$([ $model = tiny_mobilenet ] && echo 64 || echo 32)
    "$build/binade" ptq --model $model --dataset generated --data "$folder/images_$size" --generated.size $size \
      --generated.train 64 --generated.val 100 --calibration-images 32 --out "$folder/$model" --force >/dev/null 2>&1
    compare "$folder/$model/network.h5" generated "$folder/images_$size" $model
  done
fi
exit $status
