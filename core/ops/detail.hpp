// What the implementations of the ops share: shape checks, chunked loops and reductions in a fixed order.
#pragma once

#include <algorithm>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/ops/ops.hpp"

namespace binade::detail {

/// Elements per chunk of an elementwise loop: 128 KB of floats, so that a chunk's operands stay in the second cache.
inline constexpr std::int64_t kGrain = std::int64_t{1} << 15;

/// How many rows of `length` elements make a chunk.
constexpr std::int64_t rows_per_chunk(std::int64_t length) {
  return std::max<std::int64_t>(1, kGrain / std::max<std::int64_t>(1, length));
}

/// @throws DataError unless lo <= in.size() <= hi
inline void expect_inputs(std::string_view op, std::span<const Shape> in, std::size_t lo, std::size_t hi) {
  if (in.size() >= lo && in.size() <= hi) return;
  const std::string wanted = lo == hi         ? std::to_string(lo)
                             : hi == SIZE_MAX ? std::to_string(lo) + " or more"
                                              : std::to_string(lo) + " to " + std::to_string(hi);
  throw DataError(std::string(op) + ": " + std::to_string(in.size()) + " inputs given, " + wanted + " wanted");
}

/// @throws DataError unless `found` is {1,1,1,channels}
inline void expect_vector(std::string_view op, std::string_view what, const Shape& found, int channels) {
  if (found == channel_shape(channels)) return;
  throw DataError(std::string(op) + ": " + std::string(what) + " has shape " + to_string(found) + ", wanted " +
                  to_string(channel_shape(channels)) + " for " + std::to_string(channels) + " channels");
}

/// y[i] = f(x[i])
template <class T, class F>
void map(const Forward<T>& args, F f) {
  const T* x = args.in[0].data;
  T* y = args.out.data;
  parallel_for(args.out.count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) y[i] = f(x[i]);
  });
}

/// din[0][i] += f(x[i], dout[i]); heeds Backward::fresh
template <class T, class F>
void map_gradient(const Backward<T>& args, F f) {
  if (!args.din[0]) return;
  const T *x = args.in[0].data, *dy = args.dout.data;
  T* dx = args.din[0].data;
  parallel_for(args.dout.count(), kGrain, [&](std::int64_t begin, std::int64_t end) {
    if (args.is_fresh(0)) {
      for (std::int64_t i = begin; i < end; ++i) dx[i] = f(x[i], dy[i]);
    } else {
      for (std::int64_t i = begin; i < end; ++i) dx[i] += f(x[i], dy[i]);
    }
  });
}

/// Sum of body(begin, end) over chunks of [0, n), added in the order of the chunks.
template <class Body>
double chunked_sum(std::int64_t n, Body body) {
  std::vector<double> parts(static_cast<std::size_t>((n + kGrain - 1) / kGrain));
  parallel_for(n, kGrain, [&](std::int64_t begin, std::int64_t end) {
    parts[static_cast<std::size_t>(begin / kGrain)] = body(begin, end);
  });
  double sum = 0;
  for (const double part : parts) sum += part;
  return sum;
}

/// Sums over pixels, `width` of them at once: body(first, last, sums) adds pixels [first, last) to sums[0 .. width).
/// The chunks depend on (pixels, width) only and are combined in order.
template <class Body>
std::vector<double> pixel_sums(std::int64_t pixels, std::int64_t width, Body body) {
  const std::int64_t rows = rows_per_chunk(width);
  const std::int64_t chunks = (pixels + rows - 1) / rows;
  std::vector<double> parts(static_cast<std::size_t>(std::max<std::int64_t>(1, chunks) * width));
  parallel_for(pixels, rows,
               [&](std::int64_t first, std::int64_t last) { body(first, last, parts.data() + first / rows * width); });
  for (std::int64_t k = 1; k < chunks; ++k) {
    for (std::int64_t i = 0; i < width; ++i) {
      parts[static_cast<std::size_t>(i)] += parts[static_cast<std::size_t>(k * width + i)];
    }
  }
  parts.resize(static_cast<std::size_t>(width));
  return parts;
}

}  // namespace binade::detail
