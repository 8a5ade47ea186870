// Seals made valid again after a file was changed, as someone would who means harm.
#pragma once

#include <string>

namespace binade::testing_tools {

/// The bytes of a sealed file with length and digest of what they hold now; "Binade checkpoint" stays the first line.
std::string resealed(const std::string& bytes);

/// All bytes of a file.
std::string bytes_of(const std::string& path);

}  // namespace binade::testing_tools
