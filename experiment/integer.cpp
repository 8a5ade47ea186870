// The integer engine behind the jobs.
#include "experiment/integer.hpp"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/passes/apply_target.hpp"
#include "core/passes/quantizers.hpp"
#include "experiment/images.hpp"

namespace binade {

TargetNetwork for_target(const Model& model, const TargetProfile& target) {
  if (!is_quantized(model.graph)) {
    throw UsageError(
        fmt::format("'{}' holds no quantizers, so it has no integers; make a quantized checkpoint with "
                    "`binade ptq --model ... --out DIR` and give its network.h5",
                    model.name));
  }
  TargetNetwork network{.graph = apply_target(model.graph, target), .lowered = {}};
  network.lowered = lower(network.graph, target);
  return network;
}

Predictions evaluate_program(const std::string& method, const Program& program, Engine& engine, LoadedImages& images,
                             int batch, const JobControl& control) {
  const auto in_bytes = static_cast<std::size_t>(bytes_of(program.input));
  const auto out_bytes = static_cast<std::size_t>(bytes_of(program.output));
  std::vector<std::byte> in, out;
  Tensor<float> logits;
  const auto network = [&](View<const float> input) -> View<const float> {
    const int n = input.shape.n;
    in.resize(in_bytes * static_cast<std::size_t>(n));
    out.resize(out_bytes * static_cast<std::size_t>(n));
    if (logits.shape() != program.output.shape.with_batch(n))
      logits = Tensor<float>(program.output.shape.with_batch(n));
    quantize_input(program, input, in);
    engine.run(in, out, n);
    dequantize_output(program, out, logits.view());
    return std::as_const(logits).view();
  };
  return evaluate_network(method, network, images, batch, control);
}

nlohmann::ordered_json describe_program(const Lowered& lowered, const Engine& engine) {
  const Program& program = lowered.program;
  const auto count = [&](auto property) {
    return std::count_if(lowered.layers.begin(), lowered.layers.end(), property);
  };
  return {{"target", program.target},
          {"program", program_hash(program)},
          {"instructions", program.code.size()},
          {"tensors", program.tensors.size()},
          {"arena_bytes", program.arena_bytes},
          {"weight_bytes", program.constants.size()},
          {"engine_arena_bytes", engine.arena_bytes()},
          {"engine_weight_bytes", engine.packed_weight_bytes()},
          {"layers", lowered.layers.size()},
          {"layers_fp32_exact", count([](const LayerBounds& layer) { return layer.fp32_exact; })},
          {"layers_in_accumulator", count([](const LayerBounds& layer) { return layer.fits; })},
          {"accumulator_bits", program.accumulator_bits}};
}

}  // namespace binade
