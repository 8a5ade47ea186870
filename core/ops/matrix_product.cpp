// a^T b in blocks: columns of the result in parallel, rows in order.
#include "core/ops/matrix_product.hpp"

#include <algorithm>
#include <vector>

#include <oneapi/dnnl/dnnl.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/ops/openmp.hpp"

namespace binade {
namespace {

/// a^T b, the columns of a being part of a wider matrix.
struct Factors {
  std::int64_t rows, m, n;
  const float* a;
  std::int64_t a_stride;
  const float* b;
};

void product(const Factors& f, float* out, bool add) {
  omp_set_num_threads(1);  // of the calling thread: oneDNN must not start its own
  const dnnl_status_t status =
      dnnl_sgemm('T', 'N', f.m, f.n, f.rows, 1.0F, f.a, f.a_stride, f.b, f.n, add ? 1.0F : 0.0F, out, f.n);
  require(status == dnnl_success, "dnnl_sgemm failed");
}

}  // namespace

void cross_product(std::int64_t rows, std::int64_t m, std::int64_t n, const float* a, const float* b, float* out,
                   bool add) {
  product({.rows = rows, .m = m, .n = n, .a = a, .a_stride = m, .b = b}, out, add);
}

void add_cross_product(std::int64_t rows, std::int64_t m, std::int64_t n, const float* a, const float* b, double* out) {
  constexpr std::int64_t kRows = 1024, kColumns = 128;
  parallel_for(m, kColumns, [&](std::int64_t begin, std::int64_t end) {
    const std::int64_t width = end - begin;
    std::vector<float> block(static_cast<std::size_t>(width * n));
    for (std::int64_t first = 0; first < rows; first += kRows) {
      const std::int64_t count = std::min(kRows, rows - first);
      product({.rows = count, .m = width, .n = n, .a = a + first * m + begin, .a_stride = m, .b = b + first * n},
              block.data(), false);
      for (std::int64_t i = 0; i < width; ++i) {
        for (std::int64_t j = 0; j < n; ++j)
          out[(begin + i) * n + j] += static_cast<double>(block[static_cast<std::size_t>(i * n + j)]);
      }
    }
  });
}

}  // namespace binade
