// Chooses among the features of an encoder.
#include "core/models/encoder.hpp"

#include <algorithm>
#include <string>

#include "core/base/error.hpp"

namespace binade {

ValueId last_of_stride(const Features& features, int stride) {
  const auto found =
      std::find_if(features.rbegin(), features.rend(), [&](const Feature& f) { return f.stride == stride; });
  require(found != features.rend(), "the encoder has no feature of stride " + std::to_string(stride));
  return found->value;
}

}  // namespace binade
