#!/usr/bin/env bash
# Set-up, build, tests and the demo on a Debian 12 machine; ./run.sh help lists the commands.
set -euo pipefail
cd "$(dirname "$0")"

BUILD=${BINADE_BUILD:-build}
DEMO=${BINADE_DEMO:-out/demo}
PACKAGES=(cmake ninja-build ccache g++ git pkg-config libeigen3-dev libopencv-dev libpng-dev libjpeg-dev zlib1g-dev libhdf5-dev
          libboost-program-options-dev libboost-dev libdnnl-dev ocl-icd-opencl-dev libonnx-dev libprotobuf-dev protobuf-compiler
          nlohmann-json3-dev libfmt-dev libssl-dev libgtest-dev libgmock-dev libbenchmark-dev
          python3 python3-h5py)  # the last two run the documents' commands
CI_PACKAGES=(clang-format clang-16 clang-tidy-16 libclang-rt-16-dev)  # clang 14 lacks parts of C++20
COVERAGE_PACKAGES=(lcov)

usage() {
  cat <<'TXT'
Usage: ./run.sh COMMAND
  build   install what is missing, configure, build build/binade
  demo    build, draw a set of images, train a small network, print its accuracy table at 8 and 16 bit
  test    build everything, run every test
  bench   build everything, run the benchmarks
  ci      what CI runs: formatting, clang-tidy on changed files, warnings as errors, every test, the examples against the
          installed package, and some seconds of fuzzing for every reader
  tidy [all]  clang-tidy on the files that differ from the main branch, or on all
  sanitize    the unit tests under the address, undefined-behaviour and thread sanitizers (not part of ci)
  coverage    the share of lines that the tests run: one number, and build-coverage/report
  fuzz SECONDS  damaged inputs for every reader of foreign bytes, so many seconds each
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

# The files that clang-tidy looks at: all, those that the last commit changed, or those that this branch did.
tidy_files() {
  local base
  if [ "${1:-}" = all ]; then
    git ls-files 'core/*.cpp' 'calibration/*.cpp' 'ptq/*.cpp' 'qat/*.cpp' 'datasets/*.cpp' 'experiment/*.cpp' 'cli/*.cpp'
    return
  fi
  base=$([ "${1:-}" = last ] || git merge-base HEAD origin/main 2>/dev/null || true)
  if [ -z "$base" ] || [ "$base" = "$(git rev-parse HEAD)" ]; then base=HEAD~1; fi
  git diff --name-only --diff-filter=d "$base" -- 'core/*.cpp' 'calibration/*.cpp' 'ptq/*.cpp' 'qat/*.cpp' 'datasets/*.cpp' \
    'experiment/*.cpp' 'cli/*.cpp'
}

# Kernels of one instruction set need its flags in a form that clang knows; GCC builds and tests them.
tidy() {
  install_packages "${PACKAGES[@]}" "${CI_PACKAGES[@]}"
  [ -f "$BUILD/compile_commands.json" ] || cmake -S . -B "$BUILD" -G Ninja -DCMAKE_BUILD_TYPE=Release >&2
  tidy_files "${1:-}" | sed '/_avx/d' | xargs -r -P "$(nproc)" -n 1 clang-tidy-16 --quiet \
    --extra-arg=-Wno-unknown-warning-option --extra-arg=-Wno-ignored-optimization-argument -p "$BUILD"
}

# sanitizer_build FOLDER SANITIZERS TARGET... ; clang, -O1: few programs, made fast.
sanitizer_build() {
  local folder=$1 sanitizers=$2
  shift 2
  CC=clang-16 CXX=clang++-16 cmake -S . -B "$folder" -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS="-O1 -g1 ${SANITIZER_FLAGS:-}" \
    -DBINADE_SANITIZE="$sanitizers" -DBINADE_BENCH=OFF -DBINADE_INSTALL=OFF ${SANITIZER_OPTIONS:-} >&2
  cmake --build "$folder" --target "$@" >&2
}

# Reading, arithmetic and loading under the address and undefined-behaviour sanitizers; threads under their own.
sanitize() {
  install_packages "${PACKAGES[@]}" "${CI_PACKAGES[@]}"
  export ASAN_OPTIONS=detect_leaks=1:allocator_may_return_null=1 UBSAN_OPTIONS=print_stacktrace=1
  export LSAN_OPTIONS=suppressions=$PWD/tests/sanitizers/leaks.txt TSAN_OPTIONS=suppressions=$PWD/tests/sanitizers/races.txt:halt_on_error=1
  sanitizer_build build-asan address,undefined test_core test_datasets fuzz_readers
  build-asan/tests/test_core --gtest_brief=1 --gtest_filter='Hdf5*:Checkpoint*:ModelJson*:Program*:Predictions*:Onnx*:Validate*:Shown*:Engine*-*EveryNetwork*:*Golden*'
  build-asan/tests/test_datasets --gtest_brief=1
  sanitizer_build build-tsan thread test_core test_datasets test_ptq
  build-tsan/tests/test_core --gtest_brief=1 --gtest_filter='Parallel*:Engine*:*Progress*:*Threads*'
  build-tsan/tests/test_datasets --gtest_brief=1 --gtest_filter='*Loader*:*Images*:*Training*'
  build-tsan/tests/test_ptq --gtest_brief=1 --gtest_filter='*Bias*:*Pass*'
}

coverage() {
  install_packages "${PACKAGES[@]}" "${COVERAGE_PACKAGES[@]}"
  cmake -S . -B build-coverage -G Ninja -DCMAKE_BUILD_TYPE=None -DCMAKE_CXX_FLAGS=-O1 -DBINADE_COVERAGE=ON -DBINADE_BENCH=OFF >&2
  cmake --build build-coverage >&2
  ctest --test-dir build-coverage -j "$(nproc)" --timeout 1200 --output-on-failure >&2
  lcov --quiet --capture --directory build-coverage --output-file build-coverage/all.info
  lcov --quiet --extract build-coverage/all.info "$PWD/"{core,calibration,ptq,qat,datasets,experiment,cli}'/*' \
    --output-file build-coverage/ours.info
  genhtml --quiet --output-directory build-coverage/report build-coverage/ours.info
  lcov --summary build-coverage/ours.info 2>&1 | sed -n 's/.*lines[. ]*: \([0-9.]*%\).*/lines covered: \1/p'
}

# libFuzzer under the sanitizers where there is clang, then the mutation loop, which also takes whole files apart.
fuzz() {
  local seconds=${1:?./run.sh fuzz SECONDS} reader status=0
  install_packages "${PACKAGES[@]}"
  if command -v clang++-16 >/dev/null; then
    local readers=(onnx model program-text lists target image)
    SANITIZER_OPTIONS=-DBINADE_FUZZER=ON sanitizer_build build-fuzz address,undefined "${readers[@]/#/libfuzzer_}" fuzz_readers
    export ASAN_OPTIONS=allocator_may_return_null=1:detect_leaks=0
    for reader in "${readers[@]}"; do
      mkdir -p "build-fuzz/corpus/$reader"
      "build-fuzz/libfuzzer_$reader" "build-fuzz/corpus/$reader" -max_total_time="$seconds" -timeout=20 -rss_limit_mb=2048 \
        -artifact_prefix="build-fuzz/$reader-" -verbosity=0 -print_final_stats=1 2>&1 | tail -30 || status=1
    done
    build-fuzz/fuzz_readers all --seconds "$seconds" || status=1
  else
    configure_and_build fuzz_readers
    "$BUILD/fuzz_readers" all --seconds "$seconds" || status=1
  fi
  return $status
}

ci() {
  install_packages "${PACKAGES[@]}" "${CI_PACKAGES[@]}"
  git ls-files '*.cpp' '*.hpp' | xargs clang-format --dry-run --Werror
  CMAKE_FLAGS="${CMAKE_FLAGS:-} -DBINADE_WERROR=ON" ./run.sh test
  examples/check.sh "$BUILD"
  tidy last
  configure_and_build fuzz_readers
  "$BUILD/fuzz_readers" all --seconds "${BINADE_FUZZ_SECONDS:-20}"
}

case "${1:-}" in
  build) build ;;
  demo) demo ;;
  test) tests ;;
  bench) bench ;;
  ci) ci ;;
  tidy) tidy "${2:-}" ;;
  sanitize) sanitize ;;
  coverage) coverage ;;
  fuzz) fuzz "${2:-}" ;;
  -h | --help | help) usage ;;
  *) usage >&2; exit 2 ;;
esac
