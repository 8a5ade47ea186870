#!/bin/bash
# Makes the main tables of docs/results.md from report.json files: results.sh DATA OUT [PAGE]. No number is typed.
#
# DATA is the folder with weights/*.onnx and the image folders; OUT keeps a run per table, so that a second call goes on
# where the first ended. Without PAGE the tables are printed; with it they replace what stands between its markers.
set -euo pipefail
data=$1 out=$2 page=${3:-}
here=$(cd "$(dirname "$0")" && pwd)
binade=${BINADE:-$here/../build/binade}
methods=float,ptq8-simple,ptq8,ptq16,calibration8,integer8
mkdir -p "$out"

run() { # NAME MODEL KIND IMAGES CALIBRATION [FLAG...]
  local name=$1 model=$2 kind=$3 images=$4 calibration=$5
  shift 5
  if [ -f "$out/$name/report.json" ]; then return; fi
  echo "$name" >&2
  "$binade" table --model "$data/weights/$model.onnx" --dataset "$kind" --data "$data/$images" \
    --calibration-data "$data/$calibration" --methods $methods --out "$out/$name" --force "$@" \
    >"$out/$name.log" 2>&1 || { cat "$out/$name.log" >&2; exit 1; }
}

run "MobileNetV2" mobilenet_v2_1.0_224_torchvision imagenet imagenet-val650 imagenet-sample --calibration-images 50
run "SqueezeNet 1.1" squeezenet1.1_gluon imagenet imagenet-val650 imagenet-sample
run "MobileNetV1-0.25" mobilenet_v1_0.25_224_keras imagenet imagenet-val650 imagenet-sample
run "ResNet20" resnet20_cifar10 folder cifar10-test cifar10-train
run "ResNet8" mlperf_tiny_resnet8_cifar10 folder cifar10-test cifar10-train
run "ESPNet" espnet_p2_q8_camvid camvid camvid camvid
methods=float,ptq8,calibration8,ptq-w4a8 run "MobileNetV2, five calibration sets" mobilenet_v2_1.0_224_torchvision \
  imagenet imagenet-val650 imagenet-sample --calibration-images 50 --calibration-sets 5

python3 "$here/results.py" ${page:+--page "$page"} "$out/MobileNetV2" "$out/SqueezeNet 1.1" "$out/MobileNetV1-0.25" \
  "$out/ResNet20" "$out/ResNet8" "$out/ESPNet" "$out/MobileNetV2, five calibration sets"
