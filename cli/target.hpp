// Target profiles by name: configs/targets/NAME.cfg, or a file of one's own.
#pragma once

#include <string>

#include "cli/flags.hpp"
#include "core/integer/target.hpp"
#include "core/model/model.hpp"

namespace binade {

/// --target. A `target` that is empty now is found later by target_of.
void bind_target(Flags& flags, std::string& target);

/// The name that the flag gave, else the one that the model was quantized for, else tidl.
std::string target_of(const Model& model, const std::string& flag);

/// The profile of that name, or of the file at that path; `tidl` needs no file. Looked for in ./configs/targets, then
/// in configs/targets next to the program's build folder, then in the source tree the program was built from.
/// @throws UsageError for an unknown name (with the nearest), key or value
TargetProfile open_target(const std::string& name);

/// The profile as the text of a config file.
std::string target_text(const TargetProfile& target);

}  // namespace binade
