// Runs an op in both precisions on guarded memory and compares it with its reference and its own differences.
#include "tests/harness/check_op.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>
#include <numeric>

#include "core/base/error.hpp"
#include "core/base/parallel.hpp"
#include "tests/reference/reference.hpp"

namespace binade::harness {
namespace {

constexpr std::int64_t kGuard = 64;  // elements before and after a buffer that nobody may touch

/// A tensor's memory with guards on both sides, all filled with `fill`.
template <class T>
class Guarded {
 public:
  Guarded(Shape shape, T fill)
      : shape_(shape), fill_(fill), memory_(static_cast<std::size_t>(shape.count() + 2 * kGuard), fill) {}

  View<T> view() { return {memory_.data() + kGuard, shape_}; }
  std::span<const T> values() const { return {memory_.data() + kGuard, static_cast<std::size_t>(shape_.count())}; }
  bool guards_hold() const {
    const auto same = [this](T v) { return std::memcmp(&v, &fill_, sizeof(T)) == 0; };
    return std::all_of(memory_.begin(), memory_.begin() + kGuard, same) &&
           std::all_of(memory_.end() - kGuard, memory_.end(), same);
  }

 private:
  Shape shape_;
  T fill_;
  AlignedVector<T> memory_;
};

template <class T>
bool same_bytes(std::span<const T> a, std::span<const T> b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size_bytes()) == 0);
}

bool contains(const std::vector<int>& list, std::size_t i) {
  return std::find(list.begin(), list.end(), static_cast<int>(i)) != list.end();
}

template <class T>
std::vector<Tensor<T>> convert(const std::vector<Tensor<double>>& in) {
  std::vector<Tensor<T>> out;
  for (const auto& t : in) {
    out.emplace_back(t.shape());
    for (std::int64_t i = 0; i < t.count(); ++i) out.back()[i] = static_cast<T>(t[i]);
  }
  return out;
}

/// One op with its state, run on given inputs.
template <class T>
class Runner {
 public:
  Runner(const Op& op, std::vector<Tensor<T>> in, const CheckOptions& options)
      : op_(op), in_(std::move(in)), options_(options) {
    std::vector<Shape> shapes;
    for (const auto& t : in_) shapes.push_back(t.shape());
    out_shape_ = binade::infer(op_, shapes);
  }

  std::vector<Tensor<T>>& inputs() { return in_; }
  const Shape& out_shape() const { return out_shape_; }
  bool takes_fresh() const { return traits_of(op_).takes_fresh; }

  /// `out` is handed to the op as it is: what it does not write stays.
  void forward(View<T> out) {
    std::vector<Tensor<T>> scratch;  // copies, so that a second run sees the same inputs
    for (const int i : options_.updated) scratch.push_back(in_[static_cast<std::size_t>(i)]);
    std::vector<View<T>> updated;
    for (auto& t : scratch) updated.push_back(t.view());
    const auto in = views();
    ++version_;
    const Forward<T> arguments{.in = in,
                               .out = out,
                               .state = state_,
                               .mode = options_.mode,
                               .seed = options_.seed,
                               .parameter_version = version_,
                               .updated = updated};
    binade::forward(op_, arguments);
  }

  /// `fresh`: Backward::fresh of all inputs.
  void backward(View<const T> out, View<const T> dout, std::span<const View<T>> din, bool fresh) {
    const auto in = views();
    const Backward<T> arguments{.in = in,
                                .out = out,
                                .dout = dout,
                                .din = din,
                                .state = state_,
                                .seed = options_.seed,
                                .fresh = fresh ? 0xffffffffu : 0};
    binade::backward(op_, arguments);
  }

 private:
  std::vector<View<const T>> views() const {
    std::vector<View<const T>> v;
    for (const auto& t : in_) v.push_back(t.view());
    return v;
  }

  Op op_;
  std::vector<Tensor<T>> in_;
  CheckOptions options_;
  Shape out_shape_;
  OpState state_;
  std::uint64_t version_ = 0;
};

/// What one forward and one backward pass made.
template <class T>
struct Outcome {
  std::vector<T> out;
  std::vector<std::vector<T>> din;
};

/// Runs both passes on poisoned, guarded memory. din[i] starts as `start`; only inputs with wanted(i) get a view.
template <class T, class Wanted>
Outcome<T> run_once(Runner<T>& runner, const Tensor<T>& dout, T start, bool with_backward, Wanted wanted,
                    bool fresh = false) {
  const auto before = runner.inputs();
  Guarded<T> out(runner.out_shape(), std::numeric_limits<T>::quiet_NaN());
  runner.forward(out.view());
  EXPECT_TRUE(out.guards_hold()) << "forward writes outside of its result";
  Outcome<T> outcome;
  outcome.out.assign(out.values().begin(), out.values().end());
  if (with_backward) {
    std::vector<Guarded<T>> din;
    std::vector<View<T>> views;
    for (const auto& x : before) din.emplace_back(x.shape(), start);
    for (std::size_t i = 0; i < din.size(); ++i) {
      views.push_back(wanted(i) ? din[i].view() : View<T>{nullptr, before[i].shape()});
    }
    const View<const T> result = out.view();
    runner.backward(result, dout.view(), views, fresh);
    EXPECT_TRUE(same_bytes<T>(outcome.out, out.values())) << "backward writes the forward result";
    for (const auto& d : din) {
      EXPECT_TRUE(d.guards_hold()) << "backward writes outside of a gradient";
      outcome.din.emplace_back(d.values().begin(), d.values().end());
    }
  }
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_TRUE(same_bytes<T>(before[i].span(), std::as_const(runner.inputs()[i]).span()))
        << "input " << i << " was written";
  }
  return outcome;
}

template <class T>
double largest(const std::vector<T>& v) {
  double m = 0;
  for (const T x : v) m = std::max(m, std::abs(static_cast<double>(x)));
  return m;
}

/// Every element within `tolerance` of the largest expected magnitude; prints the worst element.
template <class T, class U>
void expect_close(const std::vector<T>& found, const std::vector<U>& wanted, double tolerance,
                  const std::string& what) {
  ASSERT_EQ(found.size(), wanted.size()) << what;
  const double scale = std::max(largest(wanted), 1e-30);
  double worst = -1;
  std::size_t where = 0;
  for (std::size_t i = 0; i < found.size(); ++i) {
    const double error = std::abs(static_cast<double>(found[i]) - static_cast<double>(wanted[i]));
    if (!(error <= worst)) {  // NaN counts as the worst
      worst = error;
      where = i;
    }
    if (std::isnan(error)) break;
  }
  if (found.empty()) return;
  EXPECT_LE(worst, tolerance * scale) << what << ": element " << where << " is " << found[where] << ", wanted "
                                      << wanted[where] << " (largest magnitude " << scale << ")";
}

/// Central differences of sum(out * dout) in some elements of every input against the gradient.
void check_differences(Runner<double>& runner, const Outcome<double>& outcome, const Tensor<double>& dout,
                       const CheckOptions& options) {
  Random random(options.seed, 99);
  Tensor<double> plus(runner.out_shape()), minus(runner.out_shape());
  for (std::size_t i = 0; i < runner.inputs().size(); ++i) {
    if (contains(options.constant, i)) continue;
    Tensor<double>& x = runner.inputs()[i];
    const std::int64_t probes = std::min<std::int64_t>(options.probes, x.count());
    for (std::int64_t k = 0; k < probes; ++k) {
      const std::int64_t j =
          probes == x.count() ? k : static_cast<std::int64_t>(random.below(static_cast<std::uint64_t>(x.count())));
      const double kept = x[j], h = 0x1p-16;
      x[j] = kept + h;
      runner.forward(plus.view());
      x[j] = kept - h;
      runner.forward(minus.view());
      x[j] = kept;
      double difference = 0;
      for (std::int64_t e = 0; e < plus.count(); ++e) difference += (plus[e] - minus[e]) * dout[e];
      difference /= 2 * h;
      const double gradient = outcome.din[i][static_cast<std::size_t>(j)];
      EXPECT_NEAR(gradient, difference, options.gradient_tolerance * (1 + std::abs(difference)))
          << "gradient of input " << i << ", element " << j << " at " << kept;
    }
  }
}

/// Backward adds to what is there, and each input's gradient is the same whichever others are wanted.
template <class T>
void check_adding(Runner<T>& runner, const Outcome<T>& fresh, const Tensor<T>& dout, const CheckOptions& options) {
  const T start = T(0.75);
  const Outcome<T> added = run_once(runner, dout, start, true, [](std::size_t) { return true; });
  const double tolerance = 4 * static_cast<double>(std::numeric_limits<T>::epsilon());
  for (std::size_t i = 0; i < fresh.din.size(); ++i) {
    // several terms may be added one by one: their sum may be much smaller than they are
    const double scale = 2 + 2 * largest(fresh.din[i]);
    for (std::size_t j = 0; j < fresh.din[i].size(); ++j) {
      const double wanted = static_cast<double>(start) + static_cast<double>(fresh.din[i][j]);
      ASSERT_NEAR(static_cast<double>(added.din[i][j]), wanted, tolerance * 64 * scale)
          << "backward does not add to the gradient of input " << i << ", element " << j;
      if (contains(options.constant, i)) {
        ASSERT_EQ(added.din[i][j], start) << "input " << i << " has no gradient, but backward writes one";
      }
    }
  }
  for (std::size_t only = 0; only <= fresh.din.size(); ++only) {  // the last round wants none at all
    const Outcome<T> one = run_once(runner, dout, T(0), true, [&](std::size_t i) { return i == only; });
    for (std::size_t i = 0; i < fresh.din.size(); ++i) {
      if (i == only) {
        EXPECT_TRUE(same_bytes<T>(one.din[i], fresh.din[i])) << "wanting input " << i << " alone changes its gradient";
      } else {
        EXPECT_EQ(largest(one.din[i]), 0) << "input " << i << " was not wanted";
      }
    }
  }
}

/// Told that gradients count as zero, backward does not look at what they hold.
template <class T>
void check_fresh(Runner<T>& runner, const Outcome<T>& zeroed, const Tensor<T>& dout, const CheckOptions& options) {
  if (!runner.takes_fresh()) return;
  const auto wanted = [&](std::size_t i) { return !contains(options.constant, i); };
  const Outcome<T> outcome = run_once(runner, dout, std::numeric_limits<T>::quiet_NaN(), true, wanted, true);
  for (std::size_t i = 0; i < zeroed.din.size(); ++i) {
    if (!wanted(i)) continue;
    EXPECT_EQ(outcome.din[i], zeroed.din[i]) << "the gradient of input " << i << " depends on what was there";
  }
}

template <class T>
Outcome<T> check_threads(Runner<T>& runner, const Tensor<T>& dout, bool with_backward) {
  const int before = thread_count();
  Outcome<T> first;
  for (const int threads : {1, 2, 5}) {
    set_thread_count(threads);
    Outcome<T> outcome = run_once(runner, dout, T(0), with_backward, [](std::size_t) { return true; });
    if (threads == 1) {
      first = std::move(outcome);
      continue;
    }
    EXPECT_TRUE(same_bytes<T>(first.out, outcome.out)) << threads << " threads: another result than with one";
    for (std::size_t i = 0; i < first.din.size(); ++i) {
      EXPECT_TRUE(same_bytes<T>(first.din[i], outcome.din[i]))
          << threads << " threads: another gradient of input " << i;
    }
  }
  set_thread_count(before);
  return first;
}

std::vector<Tensor<double>> make_inputs(const std::vector<Shape>& shapes, const CheckOptions& options) {
  std::vector<Tensor<double>> inputs;
  for (std::size_t i = 0; i < shapes.size(); ++i) {
    Random random(options.seed, i);
    inputs.emplace_back(shapes[i]);
    const bool given = i < options.fill.size() && options.fill[i];
    (given ? options.fill[i] : uniform(-2, 2))(inputs.back(), random);
    for (double& v : inputs.back().span()) v = static_cast<double>(static_cast<float>(v));
  }
  return inputs;
}

}  // namespace

void check_op(const Op& op, const std::vector<Shape>& shapes, const CheckOptions& options) {
  std::string described = to_string(op) + " on";
  for (const Shape& s : shapes) described += " " + to_string(s);
  SCOPED_TRACE(described + (options.mode == Mode::training ? ", training" : ", inference"));
  const bool with_backward = options.mode == Mode::training;
  const auto inputs = make_inputs(shapes, options);
  Runner<double> runner64(op, inputs, options);
  Runner<float> runner32(op, convert<float>(inputs), options);

  Tensor<double> dout64(runner64.out_shape());
  Random random(options.seed, 1000);
  uniform(-1, 1)(dout64, random);
  for (double& v : dout64.span()) v = static_cast<double>(static_cast<float>(v));
  const Tensor<float> dout32 = convert<float>({dout64})[0];

  const Tensor<double> wanted = reference::forward(op, inputs, options.mode, options.seed);
  ASSERT_EQ(to_string(runner64.out_shape()), to_string(wanted.shape())) << "infer disagrees with the reference";
  const std::vector<double> expected(wanted.span().begin(), wanted.span().end());

  const Outcome<double> outcome64 = check_threads(runner64, dout64, with_backward);
  const Outcome<float> outcome32 = check_threads(runner32, dout32, with_backward);
  expect_close(outcome64.out, expected, 1e-12, "forward in double");
  expect_close(outcome32.out, expected, options.float_tolerance, "forward in float");
  if (!with_backward) return;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    expect_close(outcome32.din[i], outcome64.din[i], options.float_gradient_tolerance,
                 "float gradient of input " + std::to_string(i));
  }
  check_adding(runner64, outcome64, dout64, options);
  check_adding(runner32, outcome32, dout32, options);
  check_fresh(runner64, outcome64, dout64, options);
  check_fresh(runner32, outcome32, dout32, options);
  if (options.differentiable) check_differences(runner64, outcome64, dout64, options);
}

void expect_refused(const Op& op, const std::vector<Shape>& inputs, const std::string& words) {
  try {
    const Shape shape = binade::infer(op, inputs);
    ADD_FAILURE() << to_string(op) << " accepts what it should refuse, result " << to_string(shape);
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find(words), std::string::npos)
        << "message: " << error.what() << "\nwanted in it: " << words;
  }
}

}  // namespace binade::harness
