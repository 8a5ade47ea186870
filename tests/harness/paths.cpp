// The paths of this build; the only file of the tests whose contents depend on where the tree lies.
#include "tests/harness/paths.hpp"

namespace binade::testing_tools {

std::filesystem::path source_dir() {
  return BINADE_SOURCE_DIR;
}

std::filesystem::path binade_program() {
  return BINADE_BINARY;
}

std::filesystem::path shared_dir() {
  return source_dir().parent_path() / "shared";
}

std::filesystem::path shared_data() {
  return shared_dir() / "data";
}

}  // namespace binade::testing_tools
