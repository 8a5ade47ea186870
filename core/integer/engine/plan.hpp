// From a program to steps and the memory they work in.
#pragma once

#include <memory>
#include <vector>

#include "core/base/memory.hpp"
#include "core/integer/engine/step.hpp"

namespace binade::integer {

struct PlannedStep {
  int instruction;  ///< the last one that it does
  std::unique_ptr<Step> step;
};

/// A tensor of Program::tensors, where the engine has it after the step of instruction `after`.
struct PlannedTap {
  int after;
  EngineTensor tensor;
};

struct EnginePlan {
  std::vector<PlannedStep> steps;
  std::vector<PlannedTap> taps;  ///< with keep_all: as Program::tensors
  EngineTensor input, output;
  std::size_t arena_bytes = 0, scratch_bytes = 0, weight_bytes = 0;
  Block<std::byte> constants;
};

EnginePlan plan_engine(const Program& program, const Kernels& kernels, bool keep_all);

}  // namespace binade::integer
