// The revision that this program was built from.
#pragma once

#include <string_view>

namespace binade {

/// What `git describe --always --dirty` said when the build was configured; "unknown" outside a repository.
std::string_view revision();

}  // namespace binade
