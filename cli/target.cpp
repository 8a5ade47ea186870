// Reads target profiles with the same reader as every other config file.
#include "cli/target.hpp"

#include <algorithm>
#include <array>
#include <filesystem>

#include <fmt/format.h>

#include "cli/built_in_profiles.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

/// A profile as words and numbers that flags can bind.
struct Words {
  TargetProfile profile;
  std::array<std::string, 5> roundings;

  explicit Words(const TargetProfile& target) : profile(target) {
    for (std::size_t i = 0; i < roundings.size(); ++i) {
      roundings[i] = to_string(place(i));
    }
  }
  Rounding& place(std::size_t i) {
    const std::array<Rounding*, 5> places{&profile.weight_rounding, &profile.bias_rounding,
                                          &profile.activation_rounding, &profile.join_rounding,
                                          &profile.average_rounding};
    return *places[i];
  }
  TargetProfile result() {
    for (std::size_t i = 0; i < roundings.size(); ++i) place(i) = rounding_of_name(roundings[i]).value();
    return profile;
  }
};

void bind(Flags& flags, Words& words) {
  const KeyOptions choices{.choices = {kRoundingNames.begin(), kRoundingNames.end()}};
  TargetProfile& p = words.profile;
  flags.section("Target");
  flags.add("weight-rounding", words.roundings[0], "of weights", choices);
  flags.add("bias-rounding", words.roundings[1], "of biases", choices);
  flags.add("activation-rounding", words.roundings[2], "after convolutions, tables, resizes; of the input", choices);
  flags.add("join-rounding", words.roundings[3], "after additions, products, concatenations", choices);
  flags.add("average-rounding", words.roundings[4], "of averages", choices);
  flags.add("narrow-weights", p.narrow_weights, "weights without the lowest code");
  flags.add("unsigned-activations", p.unsigned_activations, "unsigned grids where nothing is negative");
  flags.add("accumulator-bits", p.accumulator_bits, "of signed accumulators");
  flags.add("wide-accumulator-bits", p.wide_accumulator_bits, "the same for networks with a tensor above 8 bits");
  flags.add("prove-accumulator", p.prove_accumulator, "coarser weights until no accumulator can overflow");
  flags.add("bias-bits", p.bias_bits, "of biases");
  flags.add("bias-product", p.bias_product, "biases as products of two factors, as TI's of 16 bits");
  flags.add("max-shift", p.max_shift, "largest shift to the right of a weighted layer");
  flags.add("min-shift", p.min_shift, "smallest; negative is to the left");
  flags.add("requantize-before-add", p.requantize_before_add, "operands on the grid of the sum, then added");
  flags.add("common-concat", p.common_concat, "operands of a concatenation are made on its grid");
}

/// A profile of the user's own, below the folder where the program runs; else one that is part of the program.
fs::path own_file(const std::string& name) {
  if (name.ends_with(".cfg")) return name;
  const fs::path file = fs::path("configs") / "targets" / (name + ".cfg");
  std::error_code error;
  return fs::exists(file, error) ? file : fs::path();
}

/// Gives the flags the values of the profile, whose name it returns.
std::string read_profile(const std::string& name, Flags& flags) {
  if (const fs::path file = own_file(name); !file.empty()) {
    flags.parse({file.string()});
    return file.stem().string();
  }
  std::vector<std::string_view> known;
  for (const BuiltInProfile& profile : built_in_profiles()) {
    known.push_back(profile.name);
    if (profile.name != name) continue;
    flags.parse_text(std::string(profile.text), fmt::format("the built-in profile '{}'", name));
    return name;
  }
  throw UsageError(unknown_name("target", name, known));
}

}  // namespace

void bind_target(Flags& flags, std::string& target) {
  flags.section("Target");
  flags.add("target", target,
            "the device's arithmetic: a built-in profile or one of configs/targets here, by name, or a .cfg file",
            {.when_unset = target.empty() ? "as the network was quantized for, else tidl" : ""});
}

std::string target_of(const Model& model, const std::string& flag) {
  if (!flag.empty()) return flag;
  const auto note = model.notes.find("target");
  return note == model.notes.end() ? "tidl" : note->second;
}

TargetProfile open_target(const std::string& name) {
  if (name == "tidl") return {};
  Words words{TargetProfile{}};
  Flags flags;
  bind(flags, words);
  const std::string found = read_profile(name, flags);
  TargetProfile profile = words.result();
  profile.name = found;
  return profile;
}

std::string target_text(const TargetProfile& target) {
  Words words(target);
  Flags flags;
  bind(flags, words);
  return flags.config_text();
}

}  // namespace binade
