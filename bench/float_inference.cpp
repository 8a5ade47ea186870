// Times a network of the zoo on random weights: `bench_float_inference MODEL SCHEME BATCH THREADS [SECONDS]`.
//
// SCHEME is float (batch norm folded), float-bn (as built), fakequant (folded, every weight and activation on a grid),
// double, or step (a training step without the optimiser). Prints "NAME SCHEME bN Tthread: X ms (cpu Y)": the median of
// the clock's time, and of the time that all threads together ran, which other programs disturb less.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/quantizers.hpp"
#include "experiment/timing.hpp"

namespace {

using namespace binade;

/// Every activation and weight at 8 bits. The grids are what a few typical ranges would give; time does not depend on
/// them.
Graph quantized(const Graph& graph) {
  SpecMap specs;
  for (const ValueId id : quantized_values(graph)) specs[graph.name(id)] = {.frac = 4, .bits = 8, .is_signed = true};
  for (const ValueId id : quantized_weights(graph)) specs[graph.name(id)] = {.frac = 7, .bits = 8, .is_signed = true};
  return insert_quantizers(graph, specs, {});
}

template <class T>
Timing infer(const Graph& graph, const Tensor<float>& images, double seconds) {
  Executor<T> executor(graph);
  return measure(seconds, [&] { executor.forward(images.view()); });
}

Timing train(const Graph& graph, const Tensor<float>& images, double seconds) {
  Executor<float> executor(graph, {.mode = Mode::training});
  std::vector<float> gradient;
  return measure(seconds, [&] {
    const View<const float> y = executor.forward(images.view());
    gradient.assign(y.span().size(), 1e-3F);
    executor.backward({gradient.data(), y.shape});
  });
}

int run(int argc, char** argv) {
  if (argc < 5) throw UsageError("usage: bench_float_inference MODEL SCHEME BATCH THREADS [SECONDS]");
  const std::string scheme = argv[2];
  const int batch = std::atoi(argv[3]), threads = std::atoi(argv[4]);
  const double seconds = argc > 5 ? std::atof(argv[5]) : 2;
  if (batch < 1 || threads < 1) throw UsageError("BATCH and THREADS must be at least 1");
  set_thread_count(threads);
  const Graph built = build_graph(find_model(argv[1]));
  Tensor<float> images(built.shape(built.inputs()[0]).with_batch(batch));
  Random random(1);
  for (float& x : images.span()) x = static_cast<float>(random.uniform(-2, 2));
  Timing time{};
  if (scheme == "float") {
    time = infer<float>(fold_batch_norm(built), images, seconds);
  } else if (scheme == "float-bn") {
    time = infer<float>(built, images, seconds);
  } else if (scheme == "fakequant") {
    time = infer<float>(quantized(fold_batch_norm(built)), images, seconds);
  } else if (scheme == "double") {
    time = infer<double>(fold_batch_norm(built), images, seconds);
  } else if (scheme == "step") {
    time = train(built, images, seconds);
  } else {
    throw UsageError("unknown scheme '" + scheme + "'; known: float, float-bn, fakequant, double, step");
  }
  std::printf("%s %s b%d %dthread: %.3f ms (cpu %.3f)\n", argv[1], scheme.c_str(), batch, threads, time.wall_ms,
              time.cpu_ms);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return run(argc, argv);
  } catch (const UsageError& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 2;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    return 70;
  }
}
