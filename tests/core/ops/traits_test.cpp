// Traits: what the concept refuses, and that every row says what its op does.
#include <gtest/gtest.h>

#include <algorithm>

#include "core/base/error.hpp"
#include "core/base/random.hpp"
#include "core/ops/functions.hpp"
#include "core/ops/ops.hpp"

namespace binade {
namespace {

struct Complete {
  static constexpr std::string_view name = "Complete";
  static constexpr OpTraits traits = function_of_one_number("");
  int a = 0;
  double b = 0;
  static constexpr auto fields = std::tuple{Field{"a", &Complete::a}, Field{"b", &Complete::b}};
};
static_assert(IsOp<Complete>);

struct WithoutTraits {
  static constexpr std::string_view name = "WithoutTraits";
  static constexpr auto fields = std::tuple{};
};
static_assert(!IsOp<WithoutTraits>);

struct ForgotAField {
  static constexpr std::string_view name = "ForgotAField";
  static constexpr OpTraits traits = function_of_one_number("");
  int a = 0;
  double b = 0;
  static constexpr auto fields = std::tuple{Field{"a", &ForgotAField::a}};
};
static_assert(!IsOp<ForgotAField>);

struct NoReason {
  static constexpr std::string_view name = "NoReason";
  static constexpr OpTraits traits{Role::loss, IntegerForm::none, KeepsGrid::no, Homogeneous::no, Reads::all};
  static constexpr auto fields = std::tuple{};
};
static_assert(!IsOp<NoReason>);

struct NeverSays {
  static constexpr std::string_view name = "NeverSays";
  static constexpr OpTraits traits{Role::shape, IntegerForm::instruction, KeepsGrid::by_attributes, Homogeneous::no,
                                   Reads::all};
  static constexpr auto fields = std::tuple{};
};
static_assert(!IsOp<NeverSays>);

// Neither role nor integer form has a default.
static_assert(!std::is_default_constructible_v<OpTraits>);
static_assert(!std::is_constructible_v<OpTraits, Role>);
static_assert(IsFunction<Mish> && !IsFunction<Relu>);

Tensor<double> run(const Op& op, const Tensor<double>& x) {
  const View<const double> in = x.view();
  const Shape shape = x.shape();
  Tensor<double> out(infer(op, {&shape, 1}));
  OpState state;
  forward(op, Forward<double>{.in = {&in, 1}, .out = out.view(), .state = state});
  return out;
}

/// The ops of one input, with their default attributes and some others.
std::vector<Op> ops_of_one_input() {
  std::vector<Op> ops{Clip{.lo = -1, .hi = 1}, Pad{.top = 1, .value = 2}, Pad{.top = 1},
                      Resize{.height = 3, .width = 3, .interpolation = Interpolation::nearest}};
  const auto take = [&]<class O>(const O& op) {
    const Shape shape{1, 4, 4, 4};
    try {
      infer(op, {&shape, 1});
      ops.push_back(op);
    } catch (const DataError&) {
    }
  };
  const auto take_all = [&]<class... O>(const std::variant<O...>*) { (take(O{}), ...); };
  take_all(static_cast<const Op*>(nullptr));
  return ops;
}

TEST(Traits, GridsAndFactorsPassWhereTheRowSaysSo) {
  Random random(7);
  Tensor<double> x({1, 4, 4, 4}), doubled(x.shape());
  for (std::int64_t i = 0; i < x.count(); ++i) {
    x[i] = random.uniform(-1.5, 1.5);  // below half the limit of ReLU6, which is scaled with the channels
    doubled[i] = 2 * x[i];
  }
  const std::vector<Op> ops = ops_of_one_input();
  EXPECT_GT(ops.size(), 20u);
  for (const Op& op : ops) {
    const Tensor<double> y = run(op, x), y2 = run(op, doubled);
    bool keeps = true, scales = true;
    for (std::int64_t i = 0; i < y.count(); ++i) {
      keeps = keeps && (y[i] == 0 || std::find(x.span().begin(), x.span().end(), y[i]) != x.span().end());
      scales = scales && std::abs(y2[i] - 2 * y[i]) < 1e-12;
    }
    EXPECT_EQ(scales, is_homogeneous(op)) << to_string(op);
    if (keeps_grid(op)) {
      EXPECT_TRUE(keeps) << to_string(op);
    }
    if (role_of(op) == Role::function || role_of(op) == Role::quantizer) {
      EXPECT_FALSE(keeps) << to_string(op);
    }
  }
}

/// An element that depends on its place alone changes alone; one of another channel changes nothing.
TEST(Traits, ElementsDependOnWhatTheRowSays) {
  Random random(8);
  Tensor<double> x({1, 4, 4, 4});
  for (double& v : x.span()) v = random.uniform(-1.5, 1.5);
  constexpr std::int64_t kChanged = 22;  // pixel 5, channel 2
  Tensor<double> other = x;
  other[kChanged] += 0.75;
  for (const Op& op : ops_of_one_input()) {
    const Reads reads = traits_of(op).reads;
    if (reads == Reads::all) continue;
    const Tensor<double> a = run(op, x), b = run(op, other);
    for (std::int64_t i = 0; i < a.count(); ++i) {
      if (reads == Reads::element ? i == kChanged : i % 4 == kChanged % 4) continue;
      EXPECT_EQ(a[i], b[i]) << to_string(op) << " element " << i;
    }
  }
}

}  // namespace
}  // namespace binade
