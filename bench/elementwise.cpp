// Times the elementwise ops on a large tensor against memcpy of the same tensor, alternating, on one thread and all.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <functional>
#include <vector>

#include "core/base/cpu.hpp"
#include "core/base/parallel.hpp"
#include "core/base/random.hpp"
#include "core/ops/ops.hpp"

namespace {

using namespace binade;

double seconds(const std::function<void()>& body) {
  const auto start = std::chrono::steady_clock::now();
  body();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

/// The least times of `rounds` alternating runs, in seconds: what the machine can do when nobody else asks it.
std::pair<double, double> least(const std::function<void()>& a, const std::function<void()>& b, int rounds) {
  std::pair<double, double> best{1e9, 1e9};
  for (int i = 0; i < rounds; ++i) {
    best.first = std::min(best.first, seconds(a));
    best.second = std::min(best.second, seconds(b));
  }
  return best;
}

void report(const Op& op, const std::vector<Shape>& shapes, Mode mode) {
  std::vector<Tensor<float>> inputs;
  Random random(1);
  for (const Shape& s : shapes) {
    inputs.emplace_back(s);
    for (float& v : inputs.back().span()) v = static_cast<float>(random.uniform(0.1, 8));
  }
  std::vector<View<const float>> in;
  std::vector<View<float>> updated;
  for (const auto& t : inputs) in.push_back(t.view());
  if (std::holds_alternative<BatchNorm>(op)) updated = {inputs[3].view(), inputs[4].view()};
  Tensor<float> out(binade::infer(op, shapes)), copy(shapes[0]);
  OpState state;
  const Forward<float> forward{.in = in, .out = out.view(), .state = state, .mode = mode, .updated = updated};
  const auto [op_time, copy_time] =
      least([&] { binade::forward(op, forward); },
            [&] { std::memcpy(copy.data(), inputs[0].data(), inputs[0].span().size_bytes()); }, 30);
  fmt::print("{:<34} {:<16} {:>8.3f} ms  memcpy {:>7.3f} ms  {:>5.2f} of memcpy speed\n", to_string(op),
             to_string(shapes[0]), op_time * 1e3, copy_time * 1e3, copy_time / op_time);
}

}  // namespace

int main() {
  const Shape large{8, 112, 112, 96}, small{1, 28, 28, 96}, v = channel_shape(96);
  fmt::print("kernels: {}\n", to_string(active_isa()));
  for (const int threads : {1, 0}) {
    set_thread_count(threads);
    fmt::print("{} thread(s)\n", thread_count());
    for (const Shape& s : {large, small}) {
      for (const Rounding rounding : {Rounding::half_up, Rounding::half_away, Rounding::half_even}) {
        report(FakeQuant{{4, 8, false}, rounding}, {s}, Mode::inference);
      }
      report(Relu{}, {s}, Mode::inference);
      report(Clip{}, {s}, Mode::inference);
      report(Add{}, {s, s}, Mode::inference);
      report(GlobalAvgPool{}, {s}, Mode::inference);
      report(MaxPool{.kernel_h = 3, .kernel_w = 3}, {s}, Mode::inference);
      report(AvgPool{}, {s}, Mode::inference);
      report(BatchNorm{}, {s, v, v, v, v}, Mode::inference);
      report(BatchNorm{}, {s, v, v, v, v}, Mode::training);
    }
  }
}
