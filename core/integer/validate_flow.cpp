// Whether instructions read what was written: which tensor each byte of the arena belongs to, instruction by
// instruction.
#include <map>

#include "core/integer/validate.hpp"

namespace binade::validation {
namespace {

/// A tensor whose bytes have not been overwritten since it was written.
struct Alive {
  Region region;
  std::vector<bool> channels;  ///< written so far; empty when all are
};

class Flow {
 public:
  /// That `region` is a tensor of its shape and spec, all of which is written. A part of a tensor is taken by a slice,
  /// another shape by a reshape: the engine keeps tensors in layouts of its own.
  void read(std::string_view what, const Region& region, const Check& check) const {
    const Alive* alive = holder(region);
    check.that(alive != nullptr, "{}, the bytes {} .. {}, holds no tensor: it was never written, or written over", what,
               region.offset, region.offset + bytes_of(region));
    check.that(alive->channels.empty(), "{} is read before all its channels are written", what);
    const Region& there = alive->region;
    check.that(there.offset == region.offset && there.shape == region.shape,
               "{} is read as {} at byte {}; the tensor there is {} at byte {}", what, to_string(region.shape),
               region.offset, to_string(there.shape), there.offset);
    const QuantSpec wanted = region.spec, found = alive->region.spec;
    check.that(wanted == found, "{} is read as {} bits, frac {}, {}signed; {} bits, frac {}, {}signed are there", what,
               wanted.bits, wanted.frac, wanted.is_signed ? "" : "un", found.bits, found.frac,
               found.is_signed ? "" : "un");
  }

  void write(const Region& region) {
    forget(region);
    alive_[region.offset] = {region, {}};
  }

  void write(const Region& region, std::int32_t first_channel, std::int32_t channels) {
    const auto found = alive_.find(region.offset);
    const auto begin = static_cast<std::size_t>(first_channel), count = static_cast<std::size_t>(channels);
    const bool joins = found != alive_.end() && found->second.region == region && is_free(found->second, begin, count);
    if (!joins) {
      forget(region);
      alive_[region.offset] = {region, std::vector<bool>(static_cast<std::size_t>(region.shape.c))};
    }
    std::vector<bool>& written = alive_[region.offset].channels;
    std::fill_n(written.begin() + first_channel, count, true);
    if (std::find(written.begin(), written.end(), false) == written.end()) written.clear();
  }

 private:
  static bool is_free(const Alive& alive, std::size_t begin, std::size_t count) {
    if (alive.channels.empty()) return false;
    for (std::size_t c = begin; c < begin + count; ++c) {
      if (alive.channels[c]) return false;
    }
    return true;
  }

  const Alive* holder(const Region& region) const {
    auto next = alive_.upper_bound(region.offset);
    if (next == alive_.begin()) return nullptr;
    const Alive& before = std::prev(next)->second;
    const std::int64_t end = before.region.offset + bytes_of(before.region);
    return region.offset + bytes_of(region) <= end ? &before : nullptr;
  }

  /// Drops all tensors with bytes in `region`.
  void forget(const Region& region) {
    auto at = alive_.upper_bound(region.offset);
    if (at != alive_.begin()) {
      const auto before = std::prev(at);
      if (before->first + bytes_of(before->second.region) > region.offset) alive_.erase(before);
    }
    while (at != alive_.end() && at->first < region.offset + bytes_of(region)) at = alive_.erase(at);
  }

  std::map<std::int64_t, Alive> alive_;  ///< by offset; disjoint
};

}  // namespace

void check_flow(const Program& program) {
  Flow flow;
  flow.write(program.input);
  auto tensor = program.tensors.begin();
  const auto check_tensors = [&](std::int32_t after) {
    for (; tensor != program.tensors.end() && tensor->after == after; ++tensor) {
      flow.read(fmt::format("it, after instruction {}", after), tensor->region,
                Check(program, fmt::format("tensor '{}'", tensor->name)));
    }
  };
  check_tensors(-1);
  for (std::size_t i = 0; i < program.code.size(); ++i) {
    const Operation& operation = program.code[i].operation;
    const Check here(program, place_of(program, i));
    for (const Region& region : inputs_of(operation)) flow.read("an operand", region, here);
    if (const auto* part = std::get_if<RescaleInstr>(&operation)) {
      flow.write(part->out, part->first_channel, part->in.shape.c);
    } else {
      flow.write(output_of(operation));
    }
    check_tensors(static_cast<std::int32_t>(i));
  }
  flow.read("the output", program.output, Check(program, "the program"));
}

}  // namespace binade::validation
