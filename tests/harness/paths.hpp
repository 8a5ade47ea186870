// Where tests find things: the source tree, the program, the folder of real networks and images.
#pragma once

#include <filesystem>

namespace binade::testing_tools {

/// The root of the source tree.
std::filesystem::path source_dir();
/// The program `binade` of this build.
std::filesystem::path binade_program();
/// The folder of real networks, images and cases beside the checkout; it may be missing, and tests that need it then
/// say that they were skipped.
std::filesystem::path shared_dir();
/// shared_dir() / "data".
std::filesystem::path shared_data();

}  // namespace binade::testing_tools
