// What a result was computed on and with: so that two tables that differ can be told apart.
#pragma once

#include <string>

#include <nlohmann/json.hpp>

namespace binade {

/// cpu, isa, threads, memory_gib, os, compiler, libraries, revision, version.
nlohmann::ordered_json machine_description();

/// "0.1.0 (revision 1a2b3c)"
std::string version_text();

}  // namespace binade
