// Follows regions through a program.
#include "core/integer/engine/values.hpp"

#include <algorithm>
#include <map>
#include <utility>

#include "core/base/error.hpp"

namespace binade::integer {
namespace {

bool same_place(const Region& a, const Region& b) {
  return a.offset == b.offset && a.constant == b.constant && a.shape == b.shape;
}

bool is_part(const RescaleInstr& rescale) {
  return rescale.in.shape.c < rescale.out.shape.c;
}
template <class Instr>
bool is_part(const Instr&) {
  return false;
}

class Follower {
 public:
  explicit Follower(const Program& program) : program_(program) {}

  ProgramValues follow() && {
    made_.input = begin(program_.input, -1);
    take_tensors(-1);
    for (std::size_t i = 0; i < program_.code.size(); ++i) {
      const int index = static_cast<int>(i);
      made_.inputs.push_back(
          std::visit([&](const auto& instr) { return read(instr, index); }, program_.code[i].operation));
      made_.outputs.push_back(
          std::visit([&](const auto& instr) { return write(instr, index); }, program_.code[i].operation));
      take_tensors(index);
    }
    made_.output = find(program_.output);
    made_.values[static_cast<std::size_t>(made_.output)].is_output = true;
    return std::move(made_);
  }

 private:
  int begin(const Region& region, int writer) {
    made_.values.push_back({.region = region, .writers = {writer}});
    const int value = static_cast<int>(made_.values.size()) - 1;
    if (!region.constant) current_[region.offset] = value;
    return value;
  }

  int find(const Region& region) const {
    const auto at = current_.find(region.offset);
    require(at != current_.end() && same_place(made_.values[static_cast<std::size_t>(at->second)].region, region),
            "Engine: the program reads a region that nothing wrote");
    return at->second;
  }

  int operand(const Region& region, int reader) {
    int value;
    if (region.constant) {
      value = begin(region, -1);
    } else {
      value = find(region);
    }
    made_.values[static_cast<std::size_t>(value)].readers.push_back(reader);
    return value;
  }

  template <class Instr>
  std::vector<int> read(const Instr& instr, int index) {
    if constexpr (requires { instr.a; }) {
      const int a = operand(instr.a, index);
      return {a, operand(instr.b, index)};
    } else {
      return {operand(instr.in, index)};
    }
  }

  template <class Instr>
  int write(const Instr& instr, int index) {
    const auto at = current_.find(instr.out.offset);
    if (is_part(instr) && at != current_.end()) {
      ProgramValue& value = made_.values[static_cast<std::size_t>(at->second)];
      if (same_place(value.region, instr.out) && value.region.spec == instr.out.spec) {
        value.writers.push_back(index);
        return at->second;
      }
    }
    return begin(instr.out, index);
  }

  void take_tensors(int after) {
    for (; next_tensor_ < program_.tensors.size() && program_.tensors[next_tensor_].after == after; ++next_tensor_) {
      made_.tensors.push_back(find(program_.tensors[next_tensor_].region));
    }
  }

  const Program& program_;
  ProgramValues made_;
  std::map<std::uint32_t, int> current_;  ///< by offset: what was written there last
  std::size_t next_tensor_ = 0;
};

}  // namespace

ProgramValues values_of(const Program& program) {
  return Follower(program).follow();
}

}  // namespace binade::integer
