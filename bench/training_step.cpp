// Times a training step (forward, loss, backward, SGD): MODEL SCHEME BATCH THREADS [SECONDS [profile]].
//
// SCHEME: float (batch norm on batch statistics), folded (float, batch norm folded away), or quantization-aware with a
// kind of quantizer (tqt, pact, pact-ema, fixed, lsq) at 8 bits on the folded network.
// Prints "NAME SCHEME step bN Tthread: X ms (cpu Y), peak Z MiB". With `profile`, instead a table of where the time of
// the threads goes, forward and backward: arithmetic (two operations per multiplication and addition) and bytes (every
// operand once, as if nothing stayed in a cache), and both per second, to be held against the machine's limits.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <map>
#include <string>

#include <fmt/format.h>
#include <sys/resource.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/base/timing.hpp"
#include "core/graph/executor.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/report/table.hpp"
#include "ptq/ptq.hpp"
#include "qat/loss.hpp"
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

struct Share {
  double forward = 0, backward = 0;  ///< seconds
  double operations = 0, bytes = 0;  ///< of both
};

std::string kind_of(const Graph& graph, const Node& node) {
  if (const auto* conv = std::get_if<Conv2d>(&node.op)) {
    const Shape& w = graph.shape(node.in[1]);
    if (conv->groups > 1 && w.c == 1) return "depthwise convolutions";
    return w.h == 1 && w.w == 1 ? "1x1 convolutions" : "other convolutions";
  }
  if (std::holds_alternative<BatchNorm>(node.op)) return "batch norms with clamps";
  if (is_quantizer(node.op)) return "quantizers with clamps";
  return "all else";
}

/// Operations and bytes of a node there and back, for one image.
Share work_of(const Graph& graph, const Node& node) {
  Share work;
  const auto bytes = [&](ValueId id) { return 4.0 * static_cast<double>(graph.shape(id).count()); };
  double weights = 0, in = 0;
  for (const ValueId id : node.in) (graph.is_parameter(id) ? weights : in) += bytes(id);
  work.bytes = in + bytes(node.out) + (2 * in + bytes(node.out)) + weights;
  if (std::holds_alternative<Conv2d>(node.op) || std::holds_alternative<Linear>(node.op)) {
    const Shape w = graph.shape(node.in[1]), y = graph.shape(node.out);
    work.operations = 3 * 2.0 * static_cast<double>(w.h * w.w * w.c) * static_cast<double>(y.count());
  }
  return work;
}

void profile(const Graph& network, int batch, double seconds) {
  const Graph graph = with_loss(network, {});
  Executor<float> executor(graph, {.mode = Mode::training, .seed = 1, .timed = true});
  const Tensor<float> images = random_images(network, batch, 1);
  const Tensor<float> labels({batch, 1, 1, 1}, 0.0F);
  const std::vector<View<const float>> inputs{images.view(), labels.view()};
  executor.step(inputs);  // makes memory
  const std::vector<NodeTime> before = executor.node_times();
  int steps = 0;
  for (const auto start = std::chrono::steady_clock::now();
       std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count() < seconds; ++steps) {
    executor.step(inputs);
  }
  const std::vector<NodeTime> after = executor.node_times();
  std::map<std::string, Share> shares;
  double total = 0;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const double forward = (after[i].forward - before[i].forward) / steps;
    const double backward = (after[i].backward - before[i].backward) / steps;
    total += forward + backward;
    if (forward + backward == 0) continue;
    Share& share = shares[kind_of(graph, node)];
    const Share work = work_of(graph, node);
    share.forward += forward;
    share.backward += backward;
    share.operations += work.operations * batch;
    share.bytes += work.bytes * batch;
  }
  Table table{
      .columns = {{"kind", false}, {"forward ms"}, {"backward ms"}, {"%"}, {"GFLOP"}, {"GFLOP/s"}, {"MB"}, {"GB/s"}}};
  for (const auto& [kind, share] : shares) {
    const double time = share.forward + share.backward;
    table.rows.push_back({kind, fmt::format("{:.1f}", 1e3 * share.forward), fmt::format("{:.1f}", 1e3 * share.backward),
                          fmt::format("{:.1f}", 100 * time / total), fmt::format("{:.2f}", 1e-9 * share.operations),
                          fmt::format("{:.1f}", 1e-9 * share.operations / time),
                          fmt::format("{:.0f}", 1e-6 * share.bytes), fmt::format("{:.1f}", 1e-9 * share.bytes / time)});
  }
  table.notes.push_back(
      fmt::format("{} steps of {} images; constants, loss weights and updates are not in it.", steps, batch));
  std::fputs(render(table, Format::text).c_str(), stdout);
}

int run(int argc, char** argv) {
  if (argc < 5) throw UsageError("usage: bench_training_step MODEL SCHEME BATCH THREADS [SECONDS [profile]]");
  const std::string scheme = argv[2];
  const int batch = std::atoi(argv[3]), threads = std::atoi(argv[4]);
  const double seconds = argc > 5 ? std::atof(argv[5]) : 5;
  if (batch < 1 || threads < 1) throw UsageError("BATCH and THREADS must be at least 1");
  set_thread_count(threads);
  const Graph network = network_of(build_graph(find_model(argv[1])), scheme);
  if (argc > 6 && argv[6] == std::string("profile")) {
    profile(network, batch, seconds);
    return 0;
  }
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
