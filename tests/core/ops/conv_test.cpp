// Conv2d, ConvTranspose2d and Linear: the harness on fuzzed and on networks' shapes, packed weights, messages.
#include <gtest/gtest.h>

#include <algorithm>
#include <type_traits>

#include "core/base/error.hpp"
#include "tests/harness/check_op.hpp"

namespace binade {
namespace {

using harness::between;
using harness::check_op;
using harness::expect_refused;
using harness::fuzz;

/// Attributes that both convolutions have; small images, so that pads and windows meet in every way.
template <class ConvOp>
void check_random(std::uint64_t seed, Random& random) {
  ConvOp op;
  op.stride_h = between(random, 1, 3);
  op.stride_w = between(random, 1, 3);
  op.dilation_h = between(random, 1, 2);
  op.dilation_w = between(random, 1, 2);
  const int kh = between(random, 1, 5), kw = between(random, 1, 5);
  op.pad_top = between(random, 0, 2);
  op.pad_left = between(random, 0, 2);
  op.pad_bottom = between(random, 0, 2);
  op.pad_right = between(random, 0, 2);
  const int kind = between(random, 0, 2);  // dense, grouped, depthwise
  op.groups = kind == 0 ? 1 : between(random, 2, 40);
  const int group_ic = kind == 2 ? 1 : between(random, 1, 6), group_oc = kind == 2 ? 1 : between(random, 1, 6);
  if constexpr (std::is_same_v<ConvOp, ConvTranspose2d>) {
    op.output_pad_h = between(random, 0, std::max(op.stride_h, op.dilation_h) - 1);
    op.output_pad_w = between(random, 0, std::max(op.stride_w, op.dilation_w) - 1);
  }
  // Extents from 10 on hold every window; a transposed window fits always, but must not be padded away.
  const int least = std::is_same_v<ConvOp, Conv2d> ? 10 : 5;
  std::vector<Shape> shapes{{between(random, 1, 11), between(random, least, least + 3),
                             between(random, least, least + 3), group_ic * op.groups},
                            {group_oc * op.groups, kh, kw, group_ic}};
  if (between(random, 0, 1) == 1) shapes.push_back(channel_shape(group_oc * op.groups));
  check_op(op, shapes, {.seed = seed, .probes = 8});
}

TEST(Conv2d, fuzzed_shapes) {
  fuzz(60, [](std::uint64_t seed, Random& random) { check_random<Conv2d>(seed, random); });
}

TEST(ConvTranspose2d, fuzzed_shapes) {
  fuzz(40, [](std::uint64_t seed, Random& random) { check_random<ConvTranspose2d>(seed, random); });
}

TEST(Linear, fuzzed_shapes) {
  fuzz(40, [](std::uint64_t seed, Random& random) {
    const int ic = between(random, 1, 70), oc = between(random, 1, 70);
    std::vector<Shape> shapes{{between(random, 1, 33), between(random, 1, 6), between(random, 1, 6), ic},
                              {oc, 1, 1, ic}};
    if (between(random, 0, 1) == 1) shapes.push_back(channel_shape(oc));
    check_op(Linear{}, shapes, {.seed = seed, .probes = 8});
  });
}

Conv2d same(int kernel, int stride = 1, int dilation = 1, int groups = 1) {
  const int pad = dilation * (kernel / 2);
  return {.stride_h = stride,
          .stride_w = stride,
          .pad_top = pad,
          .pad_left = pad,
          .pad_bottom = pad,
          .pad_right = pad,
          .dilation_h = dilation,
          .dilation_w = dilation,
          .groups = groups};
}

TEST(Conv2d, shapes_of_networks) {
  const harness::CheckOptions few{.probes = 6};
  check_op(same(3, 2), {{2, 32, 32, 3}, {32, 3, 3, 3}, channel_shape(32)}, few);
  check_op(Conv2d{.stride_h = 2, .stride_w = 2, .pad_bottom = 1, .pad_right = 1}, {{1, 24, 24, 3}, {16, 3, 3, 3}}, few);
  check_op(same(1), {{3, 14, 14, 96}, {64, 1, 1, 96}, channel_shape(64)}, few);
  check_op(same(1), {{1, 7, 7, 160}, {200, 1, 1, 160}}, few);
  check_op(same(1, 2), {{2, 14, 14, 32}, {64, 1, 1, 32}}, few);
  check_op(same(3), {{2, 14, 14, 32}, {48, 3, 3, 32}}, few);
  check_op(same(3, 1, 2), {{1, 14, 14, 16}, {16, 3, 3, 16}}, few);
  check_op(same(7, 2), {{1, 32, 32, 3}, {16, 7, 7, 3}}, few);
}

TEST(Conv2d, depthwise) {
  for (const int channels : {8, 16, 24, 33, 40, 96, 144}) {
    for (const int stride : {1, 2}) {
      for (const int kernel : {3, 5}) {
        check_op(same(kernel, stride, 1, channels),
                 {{2, 15, 14, channels}, {channels, kernel, kernel, 1}, channel_shape(channels)}, {.probes = 3});
      }
    }
  }
  check_op(same(3, 1, 2, 20), {{2, 9, 9, 20}, {20, 3, 3, 1}}, {.probes = 6});
  check_op(same(7, 1, 1, 20), {{2, 9, 9, 20}, {20, 7, 7, 1}}, {.probes = 6});
}

TEST(ConvTranspose2d, shapes_of_networks) {
  check_op(ConvTranspose2d{.stride_h = 2, .stride_w = 2}, {{2, 8, 8, 16}, {8, 2, 2, 16}, channel_shape(8)});
  check_op(
      ConvTranspose2d{
          .stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .groups = 21},
      {{1, 9, 9, 21}, {21, 4, 4, 1}});
}

TEST(Conv2d, new_version_means_new_weights) {
  const Conv2d op;
  OpState state;
  AlignedVector<float> x{1, 2}, w{1, 1}, y(1);
  const std::vector<View<const float>> in{{x.data(), {1, 1, 1, 2}}, {w.data(), {1, 1, 1, 2}}};
  binade::forward(op,
                  Forward<float>{.in = in, .out = {y.data(), {1, 1, 1, 1}}, .state = state, .parameter_version = 1});
  EXPECT_EQ(y[0], 3);
  w = {2, 3};
  binade::forward(op,
                  Forward<float>{.in = in, .out = {y.data(), {1, 1, 1, 1}}, .state = state, .parameter_version = 2});
  EXPECT_EQ(y[0], 8);
  w = {4, 5};
  binade::forward(op,
                  Forward<float>{.in = in, .out = {y.data(), {1, 1, 1, 1}}, .state = state, .parameter_version = 0});
  EXPECT_EQ(y[0], 14);
}

TEST(Conv2d, messages_name_what_does_not_fit) {
  expect_refused(Conv2d{}, {{1, 8, 8, 3}, {4, 3, 3, 5}}, "3 channels");
  expect_refused(Conv2d{}, {{1, 2, 2, 3}, {4, 3, 3, 3}}, "larger than");
  expect_refused(Conv2d{.groups = 3}, {{1, 8, 8, 3}, {4, 3, 3, 1}}, "do not divide");
  expect_refused(Conv2d{.stride_h = 0}, {{1, 8, 8, 3}, {4, 3, 3, 3}}, "strides");
  expect_refused(Conv2d{.dilation_w = 0}, {{1, 8, 8, 3}, {4, 3, 3, 3}}, "dilations");
  expect_refused(Conv2d{.pad_top = -1}, {{1, 8, 8, 3}, {4, 3, 3, 3}}, "negative");
  expect_refused(Conv2d{}, {{1, 8, 8, 3}, {4, 3, 3, 3}, {1, 1, 1, 5}}, "bias");
  expect_refused(Conv2d{}, {{1, 8, 8, 3}}, "1 inputs");
  expect_refused(ConvTranspose2d{.pad_top = 9}, {{1, 2, 2, 3}, {4, 3, 3, 3}}, "leave nothing");
  expect_refused(ConvTranspose2d{.output_pad_h = -1}, {{1, 2, 2, 3}, {4, 3, 3, 3}}, "output pads");
  expect_refused(Linear{}, {{1, 1, 1, 3}, {4, 1, 1, 5}}, "3 channels");
  expect_refused(Linear{}, {{1, 1, 1, 3}, {4, 2, 1, 3}}, "matrix");
}

}  // namespace
}  // namespace binade
