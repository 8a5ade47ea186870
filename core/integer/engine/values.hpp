// Which instruction makes what, and who reads it: regions share memory, values do not.
#pragma once

#include <vector>

#include "core/integer/program.hpp"

namespace binade::integer {

/// One tensor over its life in a program. `readers` and `writers` are instructions, ascending; -1 writes the input.
/// Several writers are parts of a concatenation.
struct ProgramValue {
  Region region;
  std::vector<int> writers, readers;
  bool is_output = false;
};

struct ProgramValues {
  std::vector<ProgramValue> values;
  std::vector<std::vector<int>> inputs;  ///< per instruction: values in the order of operands
  std::vector<int> outputs;              ///< per instruction
  std::vector<int> tensors;              ///< per ProgramTensor: the value that its region holds then
  int input = 0, output = 0;
};

/// @throws ContractError if something is read that was not written: the program is not valid
ProgramValues values_of(const Program& program);

}  // namespace binade::integer
