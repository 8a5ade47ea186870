// Times schemes one after the other.
#include "experiment/bench.hpp"

#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/random.hpp"
#include "core/execute/executor.hpp"
#include "core/integer/engine.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/fold_batch_norm.hpp"
#include "core/passes/quantizers.hpp"
#include "ptq/ptq.hpp"

namespace binade {
namespace {

constexpr std::array<Scheme, 4> kSchemes{{{"float", "in float, quantizers left out", 0, 0},
                                          {"int8", "8-bit weights and activations, by the integer engine", 8, 8},
                                          {"16x8", "16-bit activations, 8-bit weights", 8, 16},
                                          {"16", "16 bit", 16, 16}}};

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

}  // namespace

std::span<const Scheme> schemes() {
  return kSchemes;
}

BenchResult run(const BenchJob& job, const JobControl& control) {
  const Model model = open_network(job.network);
  const bool quantized = is_quantized(model.graph);
  const TargetProfile target = job.target ? job.target(model) : TargetProfile{};
  BenchResult result;
  for (const std::string& name : job.schemes) {
    control.check();
    const Scheme& scheme = find_by_name<Scheme>("scheme", name, kSchemes);
    if (scheme.weight_bits == 0) {
      const Graph graph = quantized ? without_quantizers(model.graph) : model.graph;
      result.rows.push_back(time_float(graph, job.batch, job.seconds));
    } else if (!quantized) {
      result.rows.push_back(
          time_integers(roughly_quantized(model.graph, scheme), scheme, target, job.batch, job.seconds));
    } else if (scheme_of(model.graph).name == scheme.name) {
      result.rows.push_back(time_integers(model.graph, scheme, target, job.batch, job.seconds));
    } else if (!job.skip_other_widths) {
      throw UsageError(
          fmt::format("--scheme {}: '{}' is quantized as {}", name, model.name, scheme_of(model.graph).name));
    }
  }
  return result;
}

}  // namespace binade
