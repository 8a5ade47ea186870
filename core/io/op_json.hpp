// Operators as JSON: the name and every field by name.
#pragma once

#include <nlohmann/json.hpp>

#include "core/ops/ops.hpp"

namespace binade {

/// {"op": "Conv2d", "fields": {"stride_h": 2, ...}}. @throws DataError for a field that is not finite
nlohmann::json op_to_json(const Op& op);

/// Fields that the text lacks keep their default. @throws DataError for an unknown operator or field, a wrong type, or
/// a number that no network has
Op op_from_json(const nlohmann::json& json);

}  // namespace binade
