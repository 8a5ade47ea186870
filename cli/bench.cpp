// bench: how long a network takes, how much memory and how large it is, by scheme.
#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "cli/integer.hpp"
#include "cli/program.hpp"
#include "cli/session.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/base/timing.hpp"
#include "core/execute/executor.hpp"
#include "core/graph/count.hpp"
#include "core/integer/engine.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/quantizers.hpp"
#include "ptq/ptq.hpp"

namespace binade {
namespace {

/// Widths of weights and activations; 0: float.
struct Scheme {
  std::string_view name, summary;
  int weight_bits, activation_bits;
};

constexpr std::array<Scheme, 4> kSchemes{{{"float", "in float, quantizers left out", 0, 0},
                                          {"int8", "8-bit weights and activations, by the integer engine", 8, 8},
                                          {"16x8", "16-bit activations, 8-bit weights", 8, 16},
                                          {"16", "16 bit", 16, 16}}};

struct BenchRow {
  std::string scheme;
  Timing time;
  std::size_t tensor_bytes = 0, weight_bytes = 0;
};

Tensor<float> random_images(const Graph& graph, int count) {
  Tensor<float> images(graph.shape(graph.inputs().front()).with_batch(count));
  Random random(1);
  for (float& x : images.span()) x = static_cast<float>(random.uniform(-2, 2));
  return images;
}

BenchRow time_float(const Graph& graph, int batch, double seconds) {
  const Graph folded = fold_batch_norm(graph);
  Executor<float> executor(folded);
  const Tensor<float> images = random_images(graph, batch);
  BenchRow row{.scheme = "float", .time = measure(seconds, [&] { executor.forward(images.view()); })};
  row.tensor_bytes = executor.activation_bytes();
  for (const ValueId id : folded.parameters())
    row.weight_bytes += static_cast<std::size_t>(folded.shape(id).count()) * 4;
  return row;
}

/// Grids by the ranges of random images: time does not depend on which grids they are.
Graph roughly_quantized(const Graph& graph, const Scheme& scheme) {
  TensorImages images(random_images(graph, 2));
  return post_training_quantize(graph, images, ptq_preset("simple", scheme.weight_bits, scheme.activation_bits))
      .quantized;
}

BenchRow time_integers(const Graph& quantized, const Scheme& scheme, const TargetProfile& target, int batch,
                       double seconds) {
  const Program program = lower(apply_target(quantized, target), target).program;
  Engine engine(program);
  const Tensor<float> images = random_images(quantized, batch);
  std::vector<std::byte> in(static_cast<std::size_t>(bytes_of(program.input) * batch));
  std::vector<std::byte> out(static_cast<std::size_t>(bytes_of(program.output) * batch));
  quantize_input(program, images.view(), in);
  return {.scheme = std::string(scheme.name),
          .time = measure(seconds, [&] { engine.run(in, out, batch); }),
          .tensor_bytes = engine.arena_bytes(),
          .weight_bytes = engine.packed_weight_bytes()};
}

/// The widths that a quantized network has.
const Scheme& scheme_of(const Graph& quantized) {
  int weights = 0, activations = 0;
  for (const auto& [name, spec] : quantizer_specs(quantized)) {
    ValueId id{};
    const bool is_weight = quantized.find(name, id) && quantized.is_parameter(id);
    (is_weight ? weights : activations) = std::max<int>(is_weight ? weights : activations, spec.bits);
  }
  return kSchemes[activations <= 8 ? 1 : (weights <= 8 ? 2 : 3)];
}

Table table_of(const std::vector<BenchRow>& rows, int batch) {
  Table table{.columns = {{"scheme", false}, {"ms"}, {"CPU ms"}, {"images/s"}, {"weights, bytes"}, {"tensors, bytes"}}};
  for (const BenchRow& row : rows) {
    table.rows.push_back({row.scheme, fmt::format("{:.3f}", row.time.wall_ms), fmt::format("{:.3f}", row.time.cpu_ms),
                          fmt::format("{:.1f}", 1000 * batch / row.time.wall_ms), std::to_string(row.weight_bytes),
                          std::to_string(row.tensor_bytes)});
  }
  return table;
}

}  // namespace

int run_bench(const std::vector<std::string>& arguments) {
  NetworkFlags network;
  std::vector<std::string> schemes{"float", "int8", "16"};
  std::string target, format = "text";
  int batch = 1;
  double seconds = 2;
  bool brief = false;
  CommandLine flags("bench");
  bind(flags, network);
  flags.section("Measurement");
  flags.add("scheme", schemes, "what to time, separated by commas; a quantized network has its own widths",
            {.choices = names_of(kSchemes)});
  flags.add("batch", batch, "images per call");
  flags.add("seconds", seconds, "of calls per scheme; medians are printed");
  bind_target(flags, target);
  flags.section("Output");
  flags.add("brief", brief, "one line per scheme: NAME SCHEME bN Tthread: X ms");
  flags.add("format", format, "of what is printed", {.choices = names_of(formats())});
  if (!flags.read(arguments)) return kDone;
  check_positive("batch", batch);

  const Model model = open_network(network);
  const bool quantized = is_quantized(model.graph);
  const TargetProfile profile = open_target(target_of(model, target));
  std::vector<BenchRow> rows;
  for (const std::string& name : schemes) {
    const Scheme& scheme = find_by_name<Scheme>("scheme", name, kSchemes);
    if (scheme.weight_bits == 0) {
      rows.push_back(time_float(quantized ? without_quantizers(model.graph) : model.graph, batch, seconds));
    } else if (!quantized) {
      rows.push_back(time_integers(roughly_quantized(model.graph, scheme), scheme, profile, batch, seconds));
    } else if (scheme_of(model.graph).name == scheme.name) {
      rows.push_back(time_integers(model.graph, scheme, profile, batch, seconds));
    } else if (flags.is_set("scheme")) {
      throw UsageError(
          fmt::format("--scheme {}: '{}' is quantized as {}", name, model.name, scheme_of(model.graph).name));
    }
  }
  for (const BenchRow& row : rows) {
    if (!brief) break;
    fmt::print("{} {} b{} {}thread: {:.3f} ms\n", network.model, row.scheme, batch, thread_count(), row.time.wall_ms);
  }
  if (!brief) fmt::print("{}", render(table_of(rows, batch), format_of(format)));
  return kDone;
}

}  // namespace binade
