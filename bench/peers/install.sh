#!/usr/bin/env bash
# Installs what the comparisons in bench/ run beside Binade, below PEERS (default: build-peers): ONNX Runtime from npm,
# PyTorch, OpenCV and oneDNN from Debian. It then makes the networks as ONNX files, with random weights: nothing but
# packages is downloaded. Run as root, or with passwordless sudo. Sets what bench/compare_*.sh read: source PEERS/env.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
peers=${PEERS:-$here/../../build-peers}
ort_version=1.30.0  # the one that the figures in the documents were measured against
packages=(g++ libdnnl-dev nodejs npm python3-numpy python3-onnx python3-opencv python3-torch python3-torchvision)

missing=()
for package in "${packages[@]}"; do
  case $package in  # a Node of another origin will do
    nodejs) command -v node >/dev/null && continue ;;
    npm) command -v npm >/dev/null && continue ;;
  esac
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" -eq 0 ] || as_root=(sudo -n)
  echo "installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
fi

mkdir -p "$peers/models" "$peers/node"
peers=$(cd "$peers" && pwd)
if [ ! -d "$peers/node/node_modules/onnxruntime-node" ]; then
  # The CPU runtime is in the package; its install script would only fetch the one for GPUs.
  npm install --prefix "$peers/node" --no-save --ignore-scripts --no-audit --no-fund "onnxruntime-node@$ort_version" >&2
fi
g++ -O2 -march=native -std=c++17 "$here/onednn_conv.cpp" -o "$peers/onednn_conv" -ldnnl
/usr/bin/python3 "$here/make_models.py" "$peers/models"
cat >"$peers/env" <<TXT
export NODE_PATH=$peers/node/node_modules
export MODELS=$peers/models
export ONEDNN=$peers/onednn_conv
TXT
echo "the peers are ready; next: source $peers/env && bench/compare_ort.sh 5 1"
