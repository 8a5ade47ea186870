// The version's symbol, and the version as the build knows it.
#include "core/base/abi.hpp"

namespace binade {

const char abi::version_0_2_0 = 0;

std::string_view version() {
  return BINADE_VERSION;
}

}  // namespace binade
