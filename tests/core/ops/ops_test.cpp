// Every op but convolutions, norms and losses through the harness: fixed cases at the edges of the contract, then
// fuzzed shapes.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "tests/harness/check_op.hpp"

namespace binade {
namespace {

using harness::between;
using harness::check_op;
using harness::CheckOptions;
using harness::distinct;
using harness::expect_refused;
using harness::fuzz;
using harness::uniform;

constexpr Shape kLarge{2, 61, 67, 11};  // some 90,000 elements: several chunks, and no extent divides a vector

Shape random_shape(Random& random, int largest_extent = 7) {
  return {between(random, 1, 3), between(random, 1, largest_extent), between(random, 1, largest_extent),
          between(random, 1, 37)};
}

/// The elementwise ops of one input, with the places where their derivative jumps.
void check_elementwise(const Op& op, std::vector<double> kinks, double reach = 2) {
  CheckOptions options{.fill = {uniform(-reach, reach, std::move(kinks))}};
  check_op(op, {kLarge}, options);
  check_op(op, {{1, 1, 1, 1}}, options);
  fuzz(8, [&](std::uint64_t seed, Random& random) {
    options.seed = seed;
    check_op(op, {random_shape(random)}, options);
  });
  options.mode = Mode::inference;
  check_op(op, {{1, 5, 3, 19}}, options);
  expect_refused(op, {{1, 2, 2, 3}, {1, 2, 2, 3}}, "2 inputs given, 1 wanted");
}

TEST(Ops, relu) {
  check_elementwise(Relu{}, {0});
}
TEST(Ops, clip) {
  check_elementwise(Clip{}, {0, 6}, 9);
  check_elementwise(Clip{.lo = -1.5, .hi = 0.25}, {-1.5, 0.25});
  expect_refused(Clip{.lo = 1, .hi = 0}, {{1, 1, 1, 1}}, "lower limit");
}
TEST(Ops, leaky_relu) {
  check_elementwise(LeakyRelu{.slope = 0.125}, {0});
}
TEST(Ops, sigmoid) {
  check_elementwise(Sigmoid{}, {}, 6);
}
TEST(Ops, hard_sigmoid) {
  check_elementwise(HardSigmoid{}, {-3, 3}, 5);
  check_elementwise(HardSigmoid{.alpha = 0.25, .beta = 0.5}, {-2, 2}, 4);
}
TEST(Ops, hard_swish) {
  check_elementwise(HardSwish{}, {-3, 3}, 5);
}
TEST(Ops, functions_of_one_number) {
  check_elementwise(Tanh{}, {}, 4);
  check_elementwise(Elu{}, {0}, 4);
  check_elementwise(Elu{.alpha = 0.25}, {0}, 4);
  check_elementwise(Gelu{}, {}, 4);
  check_elementwise(Gelu{.approximate = GeluForm::tanh}, {}, 4);
  check_elementwise(Erf{}, {}, 3);
  check_elementwise(Softplus{}, {}, 6);
  check_elementwise(Mish{}, {}, 6);
}

/// Values far out, where a formula written without care overflows or loses every digit.
TEST(Ops, functions_of_one_number_far_out) {
  const auto at = [](const Op& op, float x) {
    const Tensor<float> in({1, 1, 1, 1}, x);
    Tensor<float> out({1, 1, 1, 1});
    OpState state;
    const View<const float> view = in.view();
    binade::forward(op, Forward<float>{.in = {&view, 1}, .out = out.view(), .state = state});
    return out[0];
  };
  for (const Op& op : {Op{Gelu{}}, Op{Gelu{.approximate = GeluForm::tanh}}, Op{Softplus{}}, Op{Mish{}}, Op{Elu{}}}) {
    EXPECT_EQ(at(op, 1000), 1000.0f) << op_name(op);
    EXPECT_EQ(at(op, -1000), std::holds_alternative<Elu>(op) ? -1.0f : 0.0f) << op_name(op);
  }
  EXPECT_EQ(at(Tanh{}, 1000), 1.0f);
  EXPECT_EQ(at(Tanh{}, -1000), -1.0f);
  EXPECT_NEAR(at(Gelu{}, -6), -6 * 9.865876e-10, 1e-14);  // the tail of the normal distribution beyond 6
  EXPECT_NEAR(at(Softplus{}, -20), 2.0611537e-9, 1e-15);  // log(1 + e^-20)
  EXPECT_NEAR(at(Elu{}, 0.0f - 1e-6f), -9.999995e-7, 1e-13);
}

/// The derivative of an op of one input at x, exactly.
float slope_at(const Op& op, float at) {
  const Tensor<float> x({1, 1, 1, 1}, at), dy({1, 1, 1, 1}, 1.0f), y({1, 1, 1, 1});
  Tensor<float> dx({1, 1, 1, 1});
  OpState state;
  const View<const float> in = x.view();
  const View<float> din = dx.view();
  const Backward<float> b{.in = {&in, 1}, .out = y.view(), .dout = dy.view(), .din = {&din, 1}, .state = state};
  binade::backward(op, b);
  return dx[0];
}

TEST(Ops, slopes_at_the_kinks_are_those_of_the_contract) {
  EXPECT_EQ(slope_at(Relu{}, 0), 0);
  EXPECT_EQ(slope_at(Relu{}, -0.0f), 0);
  EXPECT_EQ(slope_at(Relu{}, 1.2e-38f), 1);
  EXPECT_EQ(slope_at(Clip{}, 0), 0);
  EXPECT_EQ(slope_at(Clip{}, 6), 0);
  EXPECT_EQ(slope_at(Clip{}, std::nextafter(6.0f, 0.0f)), 1);
  EXPECT_EQ(slope_at(Clip{}, 1.2e-38f), 1);
  EXPECT_EQ(slope_at(LeakyRelu{.slope = 0.25}, 0), 1);
  EXPECT_EQ(slope_at(LeakyRelu{.slope = 0.25}, -1e-30f), 0.25f);
}

TEST(Ops, a_nan_stays_a_nan) {
  const Tensor<float> x({1, 1, 1, 33}, std::numeric_limits<float>::quiet_NaN());
  const View<const float> in = x.view();
  for (const Op& op : {Op{Relu{}}, Op{Clip{}}, Op{FakeQuant{}}, Op{LeakyRelu{}}, Op{Sigmoid{}}}) {
    Tensor<float> y(x.shape());
    OpState state;
    const Forward<float> f{.in = {&in, 1}, .out = y.view(), .state = state};
    binade::forward(op, f);
    for (const float v : y.span()) EXPECT_TRUE(std::isnan(v)) << to_string(op);
  }
}

TEST(Ops, sigmoid_at_extremes) {
  const Tensor<float> x({1, 1, 1, 4}, std::vector<float>{-1000, 1000, -88.5f, 0});
  Tensor<float> y({1, 1, 1, 4});
  OpState state;
  const View<const float> in = x.view();
  binade::forward(Sigmoid{}, Forward<float>{.in = {&in, 1}, .out = y.view(), .state = state});
  EXPECT_EQ(y[0], 0);
  EXPECT_EQ(y[1], 1);
  EXPECT_GE(y[2], 0);
  EXPECT_EQ(y[3], 0.5f);
}

TEST(Ops, prelu) {
  CheckOptions options{.fill = {uniform(-2, 2, {0})}};
  check_op(PRelu{}, {kLarge, {1, 1, 1, 11}}, options);
  check_op(PRelu{}, {kLarge, {1, 1, 1, 1}}, options);
  fuzz(10, [&](std::uint64_t seed, Random& random) {
    options.seed = seed;
    const Shape s = random_shape(random);
    check_op(PRelu{}, {s, channel_shape(random.below(2) == 0 ? 1 : s.c)}, options);
  });
  expect_refused(PRelu{}, {{1, 2, 2, 3}, {1, 1, 1, 2}}, "slope");
}

TEST(Ops, softmax) {
  check_op(Softmax{}, {kLarge});
  check_op(Softmax{}, {{3, 1, 1, 1000}}, {.fill = {uniform(-30, 30)}});
  check_op(Softmax{}, {{2, 1, 1, 1}});
  fuzz(10, [&](std::uint64_t seed, Random& random) { check_op(Softmax{}, {random_shape(random)}, {.seed = seed}); });
}

TEST(Ops, add_and_mul) {
  for (const Op& op : {Op{Add{}}, Op{Mul{}}}) {
    check_op(op, {kLarge, kLarge});
    check_op(op, {kLarge, {1, 1, 1, 11}});
    check_op(op, {{2, 1, 1, 11}, kLarge});
    check_op(op, {kLarge, {2, 61, 67, 1}});
    check_op(op, {kLarge, {1, 1, 1, 1}});
    check_op(op, {{2, 1, 5, 1}, {1, 4, 1, 3}});
    fuzz(20, [&](std::uint64_t seed, Random& random) {
      const Shape out = random_shape(random);
      Shape a = out, b = out;
      for (int Shape::*axis : {&Shape::n, &Shape::h, &Shape::w, &Shape::c}) {
        const auto choice = random.below(3);
        if (choice == 1) a.*axis = 1;
        if (choice == 2) b.*axis = 1;
      }
      check_op(op, {a, b}, {.seed = seed});
    });
    expect_refused(op, {{1, 2, 2, 3}, {1, 2, 2, 2}}, "1x2x2x3 and 1x2x2x2");
    expect_refused(op, {{1, 2, 2, 3}}, "1 inputs given, 2 wanted");
  }
}

TEST(Ops, concat) {
  check_op(Concat{}, {kLarge, {2, 61, 67, 3}, {2, 61, 67, 16}});
  fuzz(10, [&](std::uint64_t seed, Random& random) {
    std::vector<Shape> in(static_cast<std::size_t>(between(random, 2, 5)), random_shape(random));
    for (Shape& s : in) s.c = between(random, 1, 20);
    check_op(Concat{}, in, {.seed = seed});
  });
  expect_refused(Concat{}, {{1, 2, 2, 3}, {1, 2, 3, 3}}, "input 1 has shape 1x2x3x3");
  expect_refused(Concat{}, {{1, 2, 2, 3}}, "2 or more wanted");
}

TEST(Ops, slice) {
  check_op(Slice{.axis = 3, .begin = 2, .end = 9, .step = 3}, {kLarge});
  fuzz(20, [&](std::uint64_t seed, Random& random) {
    const Shape s = random_shape(random);
    const int axis = between(random, 1, 3), extent = axis == 1 ? s.h : axis == 2 ? s.w : s.c;
    const int begin = between(random, 0, extent - 1), end = between(random, begin + 1, extent);
    check_op(Slice{.axis = axis, .begin = begin, .end = end, .step = between(random, 1, 3)}, {s}, {.seed = seed});
  });
  expect_refused(Slice{.axis = 0}, {{1, 2, 2, 3}}, "axis is 0");
  expect_refused(Slice{.axis = 1, .begin = 0, .end = 3}, {{1, 2, 2, 3}}, "does not fit axis 1");
  expect_refused(Slice{.axis = 1, .begin = 1, .end = 1}, {{1, 2, 2, 3}}, "does not fit");
  expect_refused(Slice{.axis = 1, .begin = 0, .end = 1, .step = 0}, {{1, 2, 2, 3}}, "step >= 1");
}

TEST(Ops, pad) {
  check_op(Pad{.top = 1, .left = 2, .bottom = 3, .right = 4, .channels_before = 5, .channels_after = 6, .value = -0.5},
           {kLarge});
  fuzz(10, [&](std::uint64_t seed, Random& random) {
    const auto amount = [&] { return between(random, 0, 3); };
    const Pad op{amount(), amount(), amount(), amount(), amount(), amount(), random.uniform()};
    // the reference keeps the value in double
    check_op(op, {random_shape(random)}, {.seed = seed});
  });
  expect_refused(Pad{.top = -1}, {{1, 2, 2, 3}}, "Pad(top=-1)");
}

template <class P>
P random_pool(Random& random) {
  P op;
  op.kernel_h = between(random, 1, 4);
  op.kernel_w = between(random, 1, 4);
  op.stride_h = between(random, 1, 3);
  op.stride_w = between(random, 1, 3);
  op.pad_top = between(random, 0, op.kernel_h - 1);
  op.pad_bottom = between(random, 0, op.kernel_h - 1);
  op.pad_left = between(random, 0, op.kernel_w - 1);
  op.pad_right = between(random, 0, op.kernel_w - 1);
  op.ceil_mode = random.below(2) == 1;
  return op;
}

template <class P>
void check_pool(P large) {
  check_op(large, {kLarge}, {.fill = {distinct()}});
  fuzz(40, [&](std::uint64_t seed, Random& random) {
    P op = random_pool<P>(random);
    if constexpr (requires { op.count_include_pad; }) op.count_include_pad = random.below(2) == 1;
    Shape s = random_shape(random, 9);
    s.h = std::max(s.h, op.kernel_h);
    s.w = std::max(s.w, op.kernel_w);
    check_op(op, {s}, {.seed = seed, .fill = {distinct()}});
  });
  expect_refused(P{.kernel_h = 5}, {{1, 4, 4, 3}}, "larger than the padded image of shape 1x4x4x3");
  expect_refused(P{.pad_left = 2}, {{1, 4, 4, 3}}, "less than the kernel");
  expect_refused(P{.stride_w = 0}, {{1, 4, 4, 3}}, "at least 1");
}

TEST(Ops, max_pool) {
  check_pool(MaxPool{.kernel_h = 3, .kernel_w = 3, .pad_top = 1, .pad_right = 1});
}
TEST(Ops, avg_pool) {
  check_pool(AvgPool{.kernel_h = 3, .kernel_w = 2, .pad_top = 1, .count_include_pad = true});
}

TEST(Ops, max_pool_gives_the_gradient_to_the_first_maximum) {
  const Tensor<float> x({1, 2, 2, 1}, std::vector<float>{1, 3, 3, 3}), y({1, 1, 1, 1}, 3.0f), dy({1, 1, 1, 1}, 2.0f);
  Tensor<float> dx({1, 2, 2, 1}, 10.0f);
  OpState state;
  const View<const float> in = x.view();
  const View<float> din = dx.view();
  binade::backward(
      MaxPool{}, Backward<float>{.in = {&in, 1}, .out = y.view(), .dout = dy.view(), .din = {&din, 1}, .state = state});
  EXPECT_EQ(dx, Tensor<float>({1, 2, 2, 1}, std::vector<float>{10, 12, 10, 10}));
}

TEST(Ops, global_avg_pool) {
  check_op(GlobalAvgPool{}, {kLarge});
  check_op(GlobalAvgPool{}, {{3, 7, 7, 160}});
  fuzz(10,
       [&](std::uint64_t seed, Random& random) { check_op(GlobalAvgPool{}, {random_shape(random)}, {.seed = seed}); });
}

TEST(Ops, resize) {
  for (const auto interpolation : {Interpolation::nearest, Interpolation::bilinear}) {
    for (const auto coordinates : {Coordinates::half_pixel, Coordinates::align_corners, Coordinates::asymmetric}) {
      const auto op = [&](int h, int w) { return Resize{h, w, interpolation, coordinates}; };
      check_op(op(50, 90), {{1, 33, 29, 13}}, {.float_tolerance = 5e-6});
      check_op(op(1, 1), {{2, 5, 4, 3}});
      check_op(op(6, 8), {{1, 1, 1, 3}});
      fuzz(10, [&](std::uint64_t seed, Random& random) {
        check_op(op(between(random, 1, 14), between(random, 1, 14)), {random_shape(random)}, {.seed = seed});
      });
    }
  }
  expect_refused(Resize{.height = 0, .width = 4}, {{1, 2, 2, 3}}, "0x4");
}

TEST(Ops, reshape) {
  check_op(Reshape{}, {kLarge});
  check_op(Reshape{.h = 4, .w = 3, .c = 2}, {{2, 2, 2, 6}});
  check_op(Reshape{.h = 2, .w = 3}, {{2, 2, 2, 6}});
  expect_refused(Reshape{.h = 5, .w = 1}, {{2, 2, 2, 6}}, "24 elements per image");
  expect_refused(Reshape{.h = 1, .w = 1, .c = 23}, {{2, 2, 2, 6}}, "1x1x23");
}

TEST(Ops, dropout) {
  check_op(Dropout{.probability = 0.3}, {kLarge});
  check_op(Dropout{.probability = 0}, {{2, 3, 4, 5}});
  check_op(Dropout{.probability = 0.5}, {{2, 3, 4, 5}}, {.mode = Mode::inference});
  fuzz(5, [&](std::uint64_t seed, Random& random) {
    check_op(Dropout{.probability = random.uniform(0, 0.9)}, {random_shape(random)}, {.seed = seed});
  });
  expect_refused(Dropout{.probability = 1}, {{1, 1, 1, 1}}, "probability < 1");
}

TEST(Ops, names_and_fields_are_printed) {
  EXPECT_EQ(to_string(Op{Relu{}}), "Relu");
  EXPECT_EQ(to_string(Op{Clip{}}), "Clip");
  EXPECT_EQ(to_string(Op{Clip{.lo = -1}}), "Clip(lo=-1)");
  EXPECT_EQ(to_string(Op{Conv2d{.stride_h = 2, .groups = 32}}), "Conv2d(stride_h=2, groups=32)");
  EXPECT_EQ(to_string(Op{AvgPool{.ceil_mode = true}}), "AvgPool(ceil_mode=true)");
  EXPECT_EQ(to_string(Op{Resize{.height = 2, .interpolation = Interpolation::nearest}}),
            "Resize(height=2, interpolation=nearest)");
  EXPECT_EQ(to_string(Op{FakeQuant{.spec = {5, 8, false}, .rounding = Rounding::half_even}}),
            "FakeQuant(spec=u8.5, rounding=half_even)");
}

}  // namespace
}  // namespace binade
