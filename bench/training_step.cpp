// Times a training step (forward, loss, backward, SGD): MODEL SCHEME BATCH THREADS [SECONDS].
//
// SCHEME: float (batch norm on batch statistics), folded (float, batch norm folded away), or quantization-aware with a
// kind of quantizer (tqt, pact, pact-ema, fixed, lsq) at 8 bits on the folded network.
// Prints "NAME SCHEME step bN Tthread: X ms (cpu Y), peak Z MiB".
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

#include <sys/resource.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/base/timing.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "ptq/ptq.hpp"
#include "qat/trainer.hpp"
#include "qat/training_graph.hpp"

namespace {

using namespace binade;

Tensor<float> random_images(const Graph& graph, int count, std::uint64_t seed) {
  Tensor<float> images(graph.shape(graph.inputs()[0]).with_batch(count));
  Random random(seed);
  for (float& x : images.span()) x = static_cast<float>(random.uniform(-2, 2));
  return images;
}

Graph network_of(const Graph& built, const std::string& scheme) {
  if (scheme == "float") return built;
  const Graph folded = fold_batch_norm(built);
  if (scheme == "folded") return folded;
  TensorImages images(random_images(built, 2, 7));
  const Graph quantized = post_training_quantize(folded, images, ptq_preset("simple", 8, 8)).quantized;
  return training_graph(quantized, {.quantizer = scheme});
}

int run(int argc, char** argv) {
  if (argc < 5) throw UsageError("usage: bench_training_step MODEL SCHEME BATCH THREADS [SECONDS]");
  const std::string scheme = argv[2];
  const int batch = std::atoi(argv[3]), threads = std::atoi(argv[4]);
  const double seconds = argc > 5 ? std::atof(argv[5]) : 5;
  if (batch < 1 || threads < 1) throw UsageError("BATCH and THREADS must be at least 1");
  set_thread_count(threads);
  const Graph network = network_of(build_graph(find_model(argv[1])), scheme);
  const int classes = network.shape(network.output()).c;
  UpdateOptions update{.optimizer = {.name = "sgd", .momentum = 0.9}, .weight_decay = 1e-4};
  Trainer trainer(network, {}, parameter_groups(network, update), 1);
  const Tensor<float> images = random_images(network, batch, 1);
  Tensor<float> labels({batch, 1, 1, 1});
  for (int i = 0; i < batch; ++i) labels[i] = static_cast<float>(i % classes);
  const Timing time = measure(
      seconds, [&] { trainer.step({.images = images.view(), .labels = labels.view()}, {.learning_rate = 1e-6}); });
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  std::printf("%s %s step b%d %dthread: %.1f ms (cpu %.1f), peak %ld MiB\n", argv[1], scheme.c_str(), batch, threads,
              time.wall_ms, time.cpu_ms, usage.ru_maxrss / 1024);
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
