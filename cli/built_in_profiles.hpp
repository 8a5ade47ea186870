// The target profiles that are part of the program: the files of configs/targets, written into a source by the build.
#pragma once

#include <span>
#include <string_view>

namespace binade {

struct BuiltInProfile {
  std::string_view name;
  std::string_view text;  ///< as a config file has it
};

/// Sorted by name.
std::span<const BuiltInProfile> built_in_profiles();

}  // namespace binade
