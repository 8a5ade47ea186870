// Times a training step (forward, loss, backward, SGD): MODEL[:HxW] SCHEME BATCH THREADS [SECONDS [profile]].
//
// A network for segmentation gets a label per pixel. HxW: the input's extents, if not those of the zoo.
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
#include "core/execute/executor.hpp"
#include "core/graph/count.hpp"
#include "core/models/models.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/report/table.hpp"
#include "experiment/timing.hpp"
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

/// A class per image, or per pixel.
Tensor<float> random_labels(const Graph& network, int count) {
  const Shape output = network.shape(network.output());
  Tensor<float> labels({count, output.h, output.w, 1});
  Random random(2);
  for (float& x : labels.span()) x = static_cast<float>(random.below(static_cast<std::uint64_t>(output.c)));
  return labels;
}

/// "NAME" or "NAME:HxW".
Graph network_from_zoo(const std::string& text) {
  const std::size_t colon = text.find(':');
  ModelOptions options;
  if (colon != std::string::npos &&
      std::sscanf(text.c_str() + colon, ":%dx%d", &options.input.h, &options.input.w) != 2) {
    throw UsageError(fmt::format("'{}': wanted is NAME or NAME:HxW", text));
  }
  return build_graph(find_model(text.substr(0, colon)), options);
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
  return std::string(op_name(node.op));
}

/// Operations and bytes of a node there and back, for one image.
Share work_of(const Graph& graph, const Node& node) {
  Share work;
  const auto bytes = [&](ValueId id) { return 4.0 * static_cast<double>(graph.shape(id).count()); };
  double weights = 0, in = 0;
  for (const ValueId id : node.in) (graph.is_parameter(id) ? weights : in) += bytes(id);
  work.bytes = in + bytes(node.out) + (2 * in + bytes(node.out)) + weights;
  work.operations = 3 * 2.0 * static_cast<double>(count_macs(graph, node));
  return work;
}

void profile(const Graph& network, int batch, double seconds) {
  const Graph graph = with_loss(network, {});
  Executor<float> executor(graph, {.mode = Mode::training, .seed = 1, .timed = true});
  const Tensor<float> images = random_images(network, batch, 1);
  const Tensor<float> labels = random_labels(network, batch);
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
  if (argc < 5) throw UsageError("usage: bench_training_step MODEL[:HxW] SCHEME BATCH THREADS [SECONDS [profile]]");
  const std::string scheme = argv[2];
  const int batch = std::atoi(argv[3]), threads = std::atoi(argv[4]);
  const double seconds = argc > 5 ? std::atof(argv[5]) : 5;
  if (batch < 1 || threads < 1) throw UsageError("BATCH and THREADS must be at least 1");
  set_thread_count(threads);
  const Graph network = network_of(network_from_zoo(argv[1]), scheme);
  if (argc > 6 && argv[6] == std::string("profile")) {
    profile(network, batch, seconds);
    return 0;
  }
  UpdateOptions update{.optimizer = {.name = "sgd", .momentum = 0.9}, .weight_decay = 1e-4};
  Trainer trainer(network, {}, parameter_groups(network, update), 1);
  const Tensor<float> images = random_images(network, batch, 1);
  const Tensor<float> labels = random_labels(network, batch);
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
