// Conv2d, ConvTranspose2d and Linear against their formulas: shapes, values, gradients, threads, messages.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <sstream>
#include <type_traits>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "tests/reference/conv_reference.hpp"

namespace binade {
namespace {

template <class T>
struct Run {
  std::vector<T> y, dx, dw, db;
};

struct Problem {
  std::vector<Shape> shapes;  // x, w, [b]
  std::vector<std::vector<double>> in;
  std::vector<double> dout;
};

std::vector<double> uniform(std::int64_t count, Random& random) {
  std::vector<double> values(static_cast<std::size_t>(count));
  for (double& v : values) v = static_cast<double>(static_cast<float>(random.uniform(-1, 1)));
  return values;
}

template <class ConvOp>
Problem make_problem(const ConvOp& op, std::vector<Shape> shapes, std::uint64_t seed) {
  Random random(seed);
  Problem p;
  p.shapes = std::move(shapes);
  for (const Shape& s : p.shapes) p.in.push_back(uniform(s.count(), random));
  p.dout = uniform(op.infer(p.shapes).count(), random);
  return p;
}

/// Forward and backward in T. Outputs start as NaN, gradients at `start`.
template <class T, class ConvOp>
Run<T> run(const ConvOp& op, const Problem& p, T start) {
  const Shape out = op.infer(p.shapes);
  std::vector<AlignedVector<T>> in;
  std::vector<View<const T>> views;
  for (std::size_t i = 0; i < p.in.size(); ++i) {
    in.emplace_back(p.in[i].begin(), p.in[i].end());
    views.push_back({in.back().data(), p.shapes[i]});
  }
  Run<T> r;
  r.y.assign(static_cast<std::size_t>(out.count()), std::numeric_limits<T>::quiet_NaN());
  r.dx.assign(in[0].size(), start);
  r.dw.assign(in[1].size(), start);
  r.db.assign(static_cast<std::size_t>(out.c), start);
  OpState state;
  op.template forward<T>(
      {.in = views, .out = {r.y.data(), out}, .state = state, .mode = Mode::training, .parameter_version = 1});
  const AlignedVector<T> dout(p.dout.begin(), p.dout.end());
  std::vector<View<T>> din{{r.dx.data(), p.shapes[0]}, {r.dw.data(), p.shapes[1]}};
  if (p.shapes.size() > 2) din.push_back({r.db.data(), p.shapes[2]});
  op.template backward<T>(
      {.in = views, .out = {r.y.data(), out}, .dout = {dout.data(), out}, .din = din, .state = state});
  return r;
}

template <class T>
void expect_near(const std::vector<T>& found, const std::vector<double>& wanted, double start, const char* what) {
  ASSERT_EQ(found.size(), wanted.size());
  double largest = 1;
  for (const double v : wanted) largest = std::max(largest, std::abs(v));
  const double tolerance = (std::is_same_v<T, float> ? 4e-6 : 1e-13) * largest;
  for (std::size_t i = 0; i < found.size(); ++i) {
    ASSERT_NEAR(static_cast<double>(found[i]), wanted[i] + start, tolerance) << what << " at " << i;
  }
}

template <class T, class ConvOp>
void check_type(const ConvOp& op, const Problem& p, const reference::Result& wanted) {
  const double start = 0.5;
  const Run<T> found = run<T>(op, p, static_cast<T>(start));
  expect_near(found.y, wanted.y, 0, "y");
  expect_near(found.dx, wanted.dx, start, "dx");
  expect_near(found.dw, wanted.dw, start, "dw");
  if (p.shapes.size() > 2) expect_near(found.db, wanted.db, start, "db");
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    const Run<T> again = run<T>(op, p, static_cast<T>(start));
    EXPECT_TRUE(again.y == found.y && again.dx == found.dx && again.dw == found.dw && again.db == found.db)
        << threads << " threads give other bits";
  }
  set_thread_count(0);
}

template <class ConvOp>
std::string describe(const ConvOp& op, const std::vector<Shape>& shapes, std::uint64_t seed) {
  std::ostringstream text;
  text << ConvOp::name << " seed " << seed;
  std::apply([&](const auto&... field) { ((text << ' ' << field.name << '=' << op.*field.member), ...); }, op.fields);
  for (const Shape& s : shapes) text << ' ' << to_string(s);
  return text.str();
}

template <class ConvOp>
void check(const ConvOp& op, std::vector<Shape> shapes, std::uint64_t seed) {
  SCOPED_TRACE(describe(op, shapes, seed));
  const Problem p = make_problem(op, std::move(shapes), seed);
  const std::span<const double> bias = p.in.size() > 2 ? std::span<const double>(p.in[2]) : std::span<const double>();
  const reference::Result wanted = reference::convolve(op, p.shapes, p.in[0], p.in[1], bias, p.dout);
  check_type<float>(op, p, wanted);
  check_type<double>(op, p, wanted);
}

int between(Random& random, int lo, int hi) {
  return lo + static_cast<int>(random.below(static_cast<std::uint64_t>(hi - lo + 1)));
}

/// Attributes that both convolutions have; small images, so that pads and windows meet in every way.
template <class ConvOp>
void fuzz(std::uint64_t seed) {
  Random random(seed);
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
  std::vector<Shape> shapes{
      {between(random, 1, 11), between(random, 1, 12), between(random, 1, 12), group_ic * op.groups},
      {group_oc * op.groups, kh, kw, group_ic}};
  if (between(random, 0, 1) == 1) shapes.push_back(channel_shape(group_oc * op.groups));
  try {
    static_cast<void>(op.infer(shapes));
  } catch (const DataError&) {
    return;  // a window that does not fit: the messages have a test of their own
  }
  check(op, shapes, seed);
}

TEST(Conv2d, FormulaOnFuzzedShapes) {
  for (std::uint64_t seed = 0; seed < 120 && !HasFatalFailure(); ++seed) fuzz<Conv2d>(seed);
}

TEST(Conv2d, FormulaOnNetworkShapes) {
  check(Conv2d{.stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1},
        {{2, 32, 32, 3}, {32, 3, 3, 3}, channel_shape(32)}, 1);
  check(Conv2d{.stride_h = 2, .stride_w = 2, .pad_bottom = 1, .pad_right = 1}, {{1, 24, 24, 3}, {16, 3, 3, 3}}, 2);
  check(Conv2d{}, {{3, 14, 14, 96}, {64, 1, 1, 96}, channel_shape(64)}, 3);
  check(Conv2d{.stride_h = 2, .stride_w = 2}, {{2, 14, 14, 32}, {64, 1, 1, 32}}, 4);
  check(Conv2d{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1}, {{2, 14, 14, 32}, {48, 3, 3, 32}}, 5);
  check(Conv2d{.pad_top = 2, .pad_left = 2, .pad_bottom = 2, .pad_right = 2, .dilation_h = 2, .dilation_w = 2},
        {{1, 14, 14, 16}, {16, 3, 3, 16}}, 6);
  for (const int channels : {8, 16, 24, 32, 40, 96, 144, 200}) {
    for (const int stride : {1, 2}) {
      for (const int kernel : {3, 5}) {
        const int pad = kernel / 2;
        check(Conv2d{.stride_h = stride,
                     .stride_w = stride,
                     .pad_top = pad,
                     .pad_left = pad,
                     .pad_bottom = pad,
                     .pad_right = pad,
                     .groups = channels},
              {{2, 15, 14, channels}, {channels, kernel, kernel, 1}, channel_shape(channels)}, 7);
      }
    }
  }
}

TEST(ConvTranspose2d, FormulaOnFuzzedShapes) {
  for (std::uint64_t seed = 0; seed < 120 && !HasFatalFailure(); ++seed) fuzz<ConvTranspose2d>(seed);
}

TEST(ConvTranspose2d, FormulaOnNetworkShapes) {
  check(ConvTranspose2d{.stride_h = 2, .stride_w = 2}, {{2, 8, 8, 16}, {8, 2, 2, 16}, channel_shape(8)}, 1);
  check(
      ConvTranspose2d{
          .stride_h = 2, .stride_w = 2, .pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1, .groups = 21},
      {{1, 9, 9, 21}, {21, 4, 4, 1}}, 2);
}

TEST(Linear, FormulaOnFuzzedShapes) {
  for (std::uint64_t seed = 0; seed < 40 && !HasFatalFailure(); ++seed) {
    Random random(seed);
    const int ic = between(random, 1, 70), oc = between(random, 1, 70);
    std::vector<Shape> shapes{{between(random, 1, 33), between(random, 1, 6), between(random, 1, 6), ic},
                              {oc, 1, 1, ic}};
    if (between(random, 0, 1) == 1) shapes.push_back(channel_shape(oc));
    check(Linear{}, shapes, seed);
  }
}

TEST(Conv2d, NullGradientsAreNotWanted) {
  const Conv2d op{.pad_top = 1, .pad_left = 1, .pad_bottom = 1, .pad_right = 1};
  const Problem p = make_problem(op, {{1, 5, 5, 4}, {3, 3, 3, 4}, channel_shape(3)}, 1);
  const AlignedVector<float> x(p.in[0].begin(), p.in[0].end()), w(p.in[1].begin(), p.in[1].end()), b(3);
  AlignedVector<float> y(p.dout.size());
  const std::vector<View<const float>> in{{x.data(), p.shapes[0]}, {w.data(), p.shapes[1]}, {b.data(), p.shapes[2]}};
  const Shape out = op.infer(p.shapes);
  OpState state;
  op.forward<float>({.in = in, .out = {y.data(), out}, .state = state});
  const std::vector<View<float>> none(3);
  EXPECT_NO_THROW(
      op.backward<float>({.in = in, .out = {y.data(), out}, .dout = {y.data(), out}, .din = none, .state = state}));
}

TEST(Conv2d, NewVersionMeansNewWeights) {
  const Conv2d op;
  OpState state;
  AlignedVector<float> x{1, 2}, w{1, 1}, y(1);
  const std::vector<View<const float>> in{{x.data(), {1, 1, 1, 2}}, {w.data(), {1, 1, 1, 2}}};
  op.forward<float>({.in = in, .out = {y.data(), {1, 1, 1, 1}}, .state = state, .parameter_version = 1});
  EXPECT_EQ(y[0], 3);
  w = {2, 3};
  op.forward<float>({.in = in, .out = {y.data(), {1, 1, 1, 1}}, .state = state, .parameter_version = 2});
  EXPECT_EQ(y[0], 8);
  w = {4, 5};
  op.forward<float>({.in = in, .out = {y.data(), {1, 1, 1, 1}}, .state = state, .parameter_version = 0});
  EXPECT_EQ(y[0], 14);
}

template <class ConvOp>
std::string message(const ConvOp& op, std::vector<Shape> shapes) {
  try {
    static_cast<void>(op.infer(shapes));
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

TEST(Conv2d, MessagesNameWhatDoesNotFit) {
  EXPECT_NE(message(Conv2d{}, {{1, 8, 8, 3}, {4, 3, 3, 5}}).find("3 channels"), std::string::npos);
  EXPECT_NE(message(Conv2d{}, {{1, 2, 2, 3}, {4, 3, 3, 3}}).find("larger than"), std::string::npos);
  EXPECT_NE(message(Conv2d{.groups = 3}, {{1, 8, 8, 3}, {4, 3, 3, 1}}).find("do not divide"), std::string::npos);
  EXPECT_NE(message(Conv2d{.stride_h = 0}, {{1, 8, 8, 3}, {4, 3, 3, 3}}).find("strides"), std::string::npos);
  EXPECT_NE(message(Conv2d{.pad_top = -1}, {{1, 8, 8, 3}, {4, 3, 3, 3}}).find("negative"), std::string::npos);
  EXPECT_NE(message(Conv2d{}, {{1, 8, 8, 3}, {4, 3, 3, 3}, {1, 1, 1, 5}}).find("bias"), std::string::npos);
  EXPECT_NE(message(ConvTranspose2d{.pad_top = 9}, {{1, 2, 2, 3}, {4, 3, 3, 3}}).find("leave nothing"),
            std::string::npos);
  EXPECT_NE(message(Linear{}, {{1, 1, 1, 3}, {4, 1, 1, 5}}).find("3 channels"), std::string::npos);
}

}  // namespace
}  // namespace binade
