// What all operations have in common: a name, regions that they read, one that they write.
#include "core/integer/program.hpp"

namespace binade {

std::vector<Region> inputs_of(const Operation& operation) {
  std::vector<Region> regions;
  const auto add = [&](const Region& region) {
    if (!region.constant) regions.push_back(region);
  };
  std::visit(
      [&](const auto& instr) {
        if constexpr (requires { instr.in; }) {
          add(instr.in);
        } else {
          add(instr.a);
          add(instr.b);
        }
      },
      operation);
  return regions;
}

const Region& output_of(const Operation& operation) {
  return std::visit([](const auto& instr) -> const Region& { return instr.out; }, operation);
}

std::string_view operation_name(const Operation& operation) {
  return std::visit([](const auto& instr) { return instr.name; }, operation);
}

}  // namespace binade
