// What jobs do with integer programs: lowering with a hint, running them as a network, saying what they need.
#pragma once

#include <nlohmann/json.hpp>

#include "core/base/progress.hpp"
#include "core/integer/engine.hpp"
#include "core/integer/lower/lower.hpp"
#include "core/model/model.hpp"
#include "core/report/predictions.hpp"
#include "datasets/loader.hpp"

namespace binade {

/// A quantized network as a target computes it, in both forms.
struct TargetNetwork {
  Graph graph;  ///< what the simulator runs
  Lowered lowered;
};

/// @throws UsageError if the network is not quantized; DataError if it has no integer form
TargetNetwork for_target(const Model& model, const TargetProfile& target);

/// Accuracy by the integer engine, as a stage of progress: images become codes at the door, codes become logits at the
/// exit, and nothing between them is a float.
Predictions evaluate_program(const std::string& method, const Program& program, Engine& engine, LoadedImages& images,
                             int batch, const JobControl& control = {});

/// {instructions, arena_bytes, weight_bytes, engine_arena_bytes, engine_weight_bytes, layers_fp32_exact, ...}.
nlohmann::ordered_json describe_program(const Lowered& lowered, const Engine& engine);

}  // namespace binade
