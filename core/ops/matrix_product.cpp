// a^T b in blocks: columns of the result in parallel, rows in order.
#include "core/ops/matrix_product.hpp"

#include <algorithm>
#include <vector>

#include <omp.h>
#include <oneapi/dnnl/dnnl.h>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"

namespace binade {

void add_cross_product(std::int64_t rows, std::int64_t m, std::int64_t n, const float* a, const float* b, double* out) {
  constexpr std::int64_t kRows = 1024, kColumns = 128;
  parallel_for(m, kColumns, [&](std::int64_t begin, std::int64_t end) {
    omp_set_num_threads(1);  // of the calling thread: oneDNN must not start its own
    const std::int64_t width = end - begin;
    std::vector<float> block(static_cast<std::size_t>(width * n));
    for (std::int64_t first = 0; first < rows; first += kRows) {
      const std::int64_t count = std::min(kRows, rows - first);
      const dnnl_status_t status = dnnl_sgemm('T', 'N', width, n, count, 1.0F, a + first * m + begin, m, b + first * n,
                                              n, 0.0F, block.data(), n);
      require(status == dnnl_success, "dnnl_sgemm failed");
      for (std::int64_t i = 0; i < width; ++i) {
        for (std::int64_t j = 0; j < n; ++j)
          out[(begin + i) * n + j] += static_cast<double>(block[static_cast<std::size_t>(i * n + j)]);
      }
    }
  });
}

}  // namespace binade
