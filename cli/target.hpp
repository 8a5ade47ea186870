// Target profiles by name: configs/targets/NAME.cfg, or a file of one's own.
#pragma once

#include <string>

#include "cli/flags.hpp"
#include "core/graph/graph.hpp"
#include "core/integer/target.hpp"

namespace binade {

/// --target.
void bind_target(Flags& flags, std::string& target);

/// The profile of that name, or of the file at that path; `tidl` needs no file. Looked for in ./configs/targets, then
/// in configs/targets next to the program's build folder, then in the source tree the program was built from.
/// @throws UsageError for an unknown name (with the nearest), key or value
TargetProfile open_target(const std::string& name);

/// The profile as the text of a config file.
std::string target_text(const TargetProfile& target);

/// Whether the graph holds quantizers.
bool is_quantized(const Graph& graph);

}  // namespace binade
