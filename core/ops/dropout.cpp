// Dropout: the mask is a function of (seed, index), so it is never stored.
#include "core/base/random.hpp"
#include "core/ops/detail.hpp"

namespace binade {
namespace {

/// Whether element `index` survives: a uniform number in [0, 1) is at least `probability`.
bool survives(const Random& random, std::int64_t index, double probability) {
  return static_cast<double>(random.word(static_cast<std::uint64_t>(index)) >> 11) * 0x1.0p-53 >= probability;
}

}  // namespace

Shape Dropout::infer(std::span<const Shape> in) const {
  detail::expect_inputs(name, in, 1, 1);
  if (!(probability >= 0 && probability < 1)) {
    throw DataError("Dropout: probability is " + std::to_string(probability) + ", wanted 0 <= probability < 1");
  }
  return in[0];
}

template <class T>
void Dropout::forward(const Forward<T>& f) const {
  const Random random(f.seed);
  const T scale = static_cast<T>(1 / (1 - probability));
  parallel_for(f.out.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    const T* x = f.in[0].data;
    for (std::int64_t i = begin; i < end; ++i) {
      f.out.data[i] = f.mode == Mode::inference ? x[i] : survives(random, i, probability) ? x[i] * scale : T(0);
    }
  });
}

template <class T>
void Dropout::backward(const Backward<T>& b) const {
  if (!b.din[0]) return;
  const Random random(b.seed);
  const T scale = static_cast<T>(1 / (1 - probability));
  parallel_for(b.dout.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (survives(random, i, probability)) b.din[0].data[i] += b.dout.data[i] * scale;
    }
  });
}

template void Dropout::forward(const Forward<float>&) const;
template void Dropout::forward(const Forward<double>&) const;
template void Dropout::backward(const Backward<float>&) const;
template void Dropout::backward(const Backward<double>&) const;

}  // namespace binade
