// What the two files of constant propagation share.
#pragma once

#include <cstdint>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {

/// Elements of a constant that is larger than all it was made from.
inline constexpr std::int64_t kMaxComputed = 1 << 22;

/// Accounts for a computed constant. @throws DataError if it is absurdly large
void check_size(const NodeView& node, std::int64_t made, std::int64_t given);

/// Add, Sub, Mul, Div of two constants, broadcast.
Constant fold_arithmetic(const NodeView& node);
/// Identity, Floor, Ceil, Sqrt, Neg.
Constant fold_pointwise(const NodeView& node);

}  // namespace binade::importer
