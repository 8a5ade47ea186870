// Times the steps of a network of the zoo on the integer engine, one by one: MODEL THREADS [SECONDS PER STEP [WIDTHS]].
//
// For each step: microseconds in a hot loop, and where it stands in the network; operations per second (an addition and
// a multiplication are two) and their share of what this processor's vpdpbusd does in registers; then the sums. Lines
// begin with a key, "dw3x3 s1 96->96 @112x112", that compare_onednn.sh understands.
#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <variant>
#include <vector>

#include "bench/random_integer_program.hpp"
#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/integer/engine/plan.hpp"
#include "core/integer/simd/dispatch.hpp"
#include "core/models/models.hpp"
#include "experiment/timing.hpp"

namespace {

using namespace binade;

constexpr int kPeakRounds = 100'000, kPeakSums = 10;

#if defined(__x86_64__)
/// Operations per second of one thread, in units of 10^9: independent sums in registers.
__attribute__((target("avx512f,avx512vnni"))) double vnni_peak() {
  double best = 0;
  for (int trial = 0; trial < 20; ++trial) {
    __m512i s0{}, s1{}, s2{}, s3{}, s4{}, s5{}, s6{}, s7{}, s8{}, s9{};
    const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
    const double start = now_ms();
    for (int i = 0; i < kPeakRounds; ++i) {
      s0 = _mm512_dpbusd_epi32(s0, a, b), s1 = _mm512_dpbusd_epi32(s1, a, b), s2 = _mm512_dpbusd_epi32(s2, a, b);
      s3 = _mm512_dpbusd_epi32(s3, a, b), s4 = _mm512_dpbusd_epi32(s4, a, b), s5 = _mm512_dpbusd_epi32(s5, a, b);
      s6 = _mm512_dpbusd_epi32(s6, a, b), s7 = _mm512_dpbusd_epi32(s7, a, b), s8 = _mm512_dpbusd_epi32(s8, a, b);
      s9 = _mm512_dpbusd_epi32(s9, a, b);
      asm volatile(""
                   : "+v"(s0), "+v"(s1), "+v"(s2), "+v"(s3), "+v"(s4), "+v"(s5), "+v"(s6), "+v"(s7), "+v"(s8),
                     "+v"(s9));
    }
    const double ms = now_ms() - start;
    best = std::max(best, 128.0 * kPeakRounds * kPeakSums / ms / 1e6);
  }
  return best;
}
#else
/// There is no vpdpbusd elsewhere, and so no share of its peak.
double vnni_peak() {
  return 0;
}
#endif

/// Multiplications and additions, and what to call the step.
struct Layer {
  std::string key;
  double operations = 0;
  bool is_depthwise = false;
};

Layer layer_of(const ConvInstr& conv) {
  const Shape &in = conv.in.shape, &out = conv.out.shape;
  const bool depthwise = conv.groups > 1 && conv.groups == in.c;
  std::string key = depthwise ? "dw" : "";
  key += std::to_string(conv.kernel_h) + "x" + std::to_string(conv.kernel_w) + " s" + std::to_string(conv.stride_h);
  key += " " + std::to_string(in.c) + "->" + std::to_string(out.c) + " @" + std::to_string(in.h);
  const double taps = static_cast<double>(conv.kernel_h) * conv.kernel_w * in.c / conv.groups;
  return {key, 2 * taps * static_cast<double>(out.count()), depthwise};
}
template <class Instr>
Layer layer_of(const Instr& instr) {
  const Shape& out = instr.out.shape;
  return {std::string(Instr::name) + " " + std::to_string(out.c) + " @" + std::to_string(out.h)};
}

int run(int argc, char** argv) {
  if (argc < 3) throw UsageError("usage: bench_integer_layers MODEL THREADS [SECONDS [WIDTHS]]");
  const int threads = std::atoi(argv[2]);
  const double seconds = argc > 3 ? std::atof(argv[3]) : 0.02;
  const std::string widths = argc > 4 ? argv[4] : "8";
  set_thread_count(threads);
  const Program program = bench::RandomProgram(build_graph(find_model(argv[1])), bench::widths_of(widths)).make();
  const integer::EnginePlan plan = integer::plan_engine(program, integer::kernels_for(active_isa()), false);
  Block<std::byte> arena(plan.arena_bytes);
  std::fill_n(arena.data(), arena.size(), std::byte{1});
  const std::size_t lane = integer::round_up(plan.scratch_bytes + integer::kTailBytes, 4096);
  Block<std::byte> scratch(lane * static_cast<std::size_t>(thread_count()));
  const integer::Frame frame{arena.data(), plan.constants.data(), scratch.data(), lane};

  std::vector<std::vector<double>> in_network(plan.steps.size());
  for (const double start = now_ms(); now_ms() - start < 1000;) {
    for (std::size_t i = 0; i < plan.steps.size(); ++i) {
      const double before = now_ms();
      plan.steps[i].step->run(frame);
      in_network[i].push_back(now_ms() - before);
    }
  }
  const double peak = active_isa() == Isa::avx512 ? vnni_peak() * threads : 0;
  double hot_sum = 0, network_sum = 0, conv_sum = 0, depthwise_sum = 0, operations = 0;
  for (std::size_t i = 0; i < plan.steps.size(); ++i) {
    const Layer layer = std::visit([](const auto& instr) { return layer_of(instr); },
                                   program.code[static_cast<std::size_t>(plan.steps[i].instruction)].operation);
    const double hot = measure(seconds, [&] { plan.steps[i].step->run(frame); }).wall_ms;
    const double network = median(in_network[i]);
    hot_sum += hot;
    network_sum += network;
    if (layer.operations > 0) (layer.is_depthwise ? depthwise_sum : conv_sum) += hot;
    operations += layer.operations;
    const double rate = layer.operations / hot / 1e6;
    std::printf("%-28s %9.2f us hot %9.2f us in network %7.1f Gop/s %4.0f%%\n", layer.key.c_str(), 1e3 * hot,
                1e3 * network, rate, peak > 0 ? 100 * rate / peak : 0.0);
  }
  std::printf(
      "%s integer%s steps %dthread: hot %.3f ms, in network %.3f ms; conv %.3f ms, depthwise %.3f ms; "
      "%.1f Gop/s of a peak of %.1f\n",
      argv[1], widths.c_str(), threads, hot_sum, network_sum, conv_sum, depthwise_sum, operations / hot_sum / 1e6,
      peak);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 1;
  }
}
