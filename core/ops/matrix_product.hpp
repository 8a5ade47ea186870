// Products of tall matrices on oneDNN: for statistics, with sums kept in double, and for gradients.
#pragma once

#include <cstdint>
#include <span>

namespace binade {

/// out += a^T b for row-major a {rows, m} and b {rows, n}; out is row-major {m, n}. Rows are taken in blocks of a fixed
/// size whose float products are added in double, in order: the same bits for any number of threads.
void add_cross_product(std::int64_t rows, std::int64_t m, std::int64_t n, const float* a, const float* b, double* out);

/// The same in float and in one piece, on the calling thread: out = a^T b, or with `add` out += a^T b.
void cross_product(std::int64_t rows, std::int64_t m, std::int64_t n, const float* a, const float* b, float* out,
                   bool add);

}  // namespace binade
