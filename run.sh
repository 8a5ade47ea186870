#!/usr/bin/env bash
# Set-up, build, tests and the demo on a Debian 12 machine: ./run.sh build | demo | test | bench | ci
set -euo pipefail
cd "$(dirname "$0")"

BUILD=${BINADE_BUILD:-build}
DEMO=${BINADE_DEMO:-out/demo}
PACKAGES=(cmake ninja-build ccache g++ git pkg-config libeigen3-dev libopencv-dev libpng-dev libjpeg-dev zlib1g-dev libhdf5-dev
          libboost-program-options-dev libboost-dev libdnnl-dev ocl-icd-opencl-dev libonnx-dev libprotobuf-dev protobuf-compiler
          nlohmann-json3-dev libfmt-dev libssl-dev libgtest-dev libgmock-dev libbenchmark-dev)
CI_PACKAGES=(clang-format clang-tidy)

usage() {
  cat <<'TXT'
Usage: ./run.sh COMMAND
  build   install what is missing, configure, build build/binade
  demo    build, draw a set of images, train a small network, print its accuracy table at 8 and 16 bit
  test    build everything, run every test
  bench   build everything, run the benchmarks
  ci      what CI runs: formatting, warnings as errors, every test
TXT
}

# Installs the packages that are not there; asks for them when it may not.
install_packages() {
  command -v dpkg-query >/dev/null || return 0  # not Debian: CMake will say what it misses
  local missing=() package
  for package in "$@"; do
    # A header-only metapackage may stand in through its versioned form (libboost-dev: libboost1.74-dev).
    if [ "$package" = libboost-dev ] && [ -e /usr/include/boost/version.hpp ]; then continue; fi
    if [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" != installed ]; then missing+=("$package"); fi
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  local as_root=()
  if [ "$(id -u)" -ne 0 ]; then
    if ! sudo -n true 2>/dev/null; then
      echo "error: packages are missing and this user may not install them. As root:" >&2
      echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
      exit 2
    fi
    as_root=(sudo)
  fi
  echo "installing ${missing[*]}" >&2
  "${as_root[@]}" apt-get update -qq >&2
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >&2
}

# configure_and_build TARGET... ; CMAKE_FLAGS may hold more options.
configure_and_build() {
  cmake -S . -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE=Release ${CMAKE_FLAGS:-} >&2
  cmake --build "$BUILD" --target "$@" >&2
}

build() {
  install_packages "${PACKAGES[@]}"
  configure_and_build binade
  echo "built $BUILD/binade; try: $BUILD/binade --help"
}

demo() {
  install_packages "${PACKAGES[@]}"
  configure_and_build binade
  local binade="$BUILD/binade"
  "$binade" train configs/train/demo.cfg --data "$DEMO/images" --out "$DEMO/train" --force
  echo
  "$binade" table configs/table/demo.cfg --model "$DEMO/train/network.h5" --data "$DEMO/images" --out "$DEMO/table" --force
  echo
  echo "The same numbers are in $DEMO/table: report.json, .csv, .md, .tex; per-image predictions in predictions.h5."
}

tests() {
  install_packages "${PACKAGES[@]}"
  configure_and_build all
  ctest --test-dir "$BUILD" --output-on-failure --timeout 600
}

bench() {
  install_packages "${PACKAGES[@]}"
  configure_and_build all
  local threads scheme
  "$BUILD/bench/bench_elementwise"
  for threads in 1 2; do
    for scheme in float fakequant; do
      "$BUILD/bench/bench_float_inference" mobilenet_v2 "$scheme" 1 "$threads"
      "$BUILD/bench/bench_float_inference" mobilenet_v2 "$scheme" 32 "$threads"
    done
  done
  # Loading: the images of the demo, drawn if they are not there.
  "$BUILD/binade" table --model tiny_mobilenet --dataset generated --data "$DEMO/images" --methods float --images 50 \
    --out "$DEMO/bench" --force >/dev/null
  "$BUILD/bench/bench_jpeg_loading" "$DEMO/images" generated
}

ci() {
  install_packages "${PACKAGES[@]}" "${CI_PACKAGES[@]}"
  git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run --Werror
  CMAKE_FLAGS="${CMAKE_FLAGS:-} -DBINADE_WERROR=ON" ./run.sh test
}

case "${1:-}" in
  build) build ;;
  demo) demo ;;
  test) tests ;;
  bench) bench ;;
  ci) ci ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
