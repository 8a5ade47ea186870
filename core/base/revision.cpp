// The revision, which the build defines for this file alone.
#include "core/base/revision.hpp"

namespace binade {

std::string_view revision() {
  return BINADE_REVISION;
}

}  // namespace binade
