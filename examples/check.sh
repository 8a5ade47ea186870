#!/usr/bin/env bash
# Installs Binade from a build folder into a clean place, builds the examples against what is installed, moves it, runs
# them on generated images, and shows that headers of another version do not link: examples/check.sh BUILD
set -euo pipefail
build=$(realpath "${1:?usage: examples/check.sh BUILD}")
examples=$(realpath "$(dirname "$0")")
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT

cmake --install "$build" --prefix "$place/first" >/dev/null
mv "$place/first" "$place/installed"  # no path of the build or of the first place may be needed
cp -r "$examples" "$place/source"
cmake -S "$place/source" -B "$place/build" -G Ninja -DCMAKE_PREFIX_PATH="$place/installed" >/dev/null
cmake --build "$place/build"

cd "$place"
binade=$place/installed/bin/binade
"$binade" --version
"$binade" train "$place/installed/share/binade/configs/train/generated.cfg" --model tiny_mobilenet --dataset generated --data images \
  --generated.train 80 --generated.val 20 --train.epochs 1 --train.batch 16 --out train >/dev/null
"$binade" ptq --model train/network.h5 --data images --calibration-images 20 --target generic --out ptq >/dev/null
"$binade" verify --model ptq/network.h5 --data images --images 10 --out verify >/dev/null
image=$(find images/val -name '*.png' -o -name '*.JPEG' -o -name '*.jpg' | sort | head -1)
"$place/build/run_program" verify/program.h5 ptq/network.h5 "$image" | tee said
grep -q '^class [0-9]* (.*), score ' said

# The same source as a part of another project: its own tests and benchmarks stay out.
mkdir -p outer
cat >outer/CMakeLists.txt <<TXT
cmake_minimum_required(VERSION 3.22)
project(outer LANGUAGES C CXX)
add_subdirectory($examples/.. binade)
add_executable(run_program $place/source/run_program.cpp)
target_link_libraries(run_program PRIVATE Binade::datasets)
TXT
cmake -S outer -B outer/build -G Ninja >/dev/null
ninja -C outer/build -n run_program >/dev/null
if ninja -C outer/build -t targets all | grep -q '^test_core:'; then
  echo "error: the tests of Binade became those of the other project" >&2
  exit 1
fi

# Headers that are those of another version: the linker must say so.
sed -i 's/version_0_2_0/version_0_1_0/' "$place/installed/include/binade/core/base/abi.hpp"
if cmake --build "$place/build" --clean-first >"$place/mismatch.log" 2>&1; then
  echo "error: headers and libraries of different versions were linked" >&2
  exit 1
fi
grep -q 'version_0_1_0' "$place/mismatch.log"
echo "examples: built against the installed package, run, and refused with headers of another version"
