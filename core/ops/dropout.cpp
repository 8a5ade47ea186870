// Dropout: the mask is a function of (seed, index), so it is never stored.
#include "core/base/random.hpp"
#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"

namespace binade {
namespace {

/// Whether element `index` survives: a uniform number in [0, 1) is at least `probability`.
bool survives(const Random& random, std::int64_t index, double probability) {
  return static_cast<double>(random.word(static_cast<std::uint64_t>(index)) >> 11) * 0x1.0p-53 >= probability;
}

}  // namespace

Shape infer_op(const Dropout& op, std::span<const Shape> in) {
  detail::expect_inputs(Dropout::name, in, 1, 1);
  if (!(op.probability >= 0 && op.probability < 1)) {
    throw DataError("Dropout: probability is " + std::to_string(op.probability) + ", wanted 0 <= probability < 1");
  }
  return in[0];
}

template <class T>
void forward_op(const Dropout& op, const Forward<T>& f) {
  const Random random(f.seed);
  const T scale = static_cast<T>(1 / (1 - op.probability));
  parallel_for(f.out.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    const T* x = f.in[0].data;
    for (std::int64_t i = begin; i < end; ++i) {
      f.out.data[i] = f.mode == Mode::inference ? x[i] : survives(random, i, op.probability) ? x[i] * scale : T(0);
    }
  });
}

template <class T>
void backward_op(const Dropout& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const Random random(b.seed);
  const T scale = static_cast<T>(1 / (1 - op.probability));
  parallel_for(b.dout.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      if (survives(random, i, op.probability)) b.din[0].data[i] += b.dout.data[i] * scale;
    }
  });
}

template struct Functions<Dropout>;

}  // namespace binade
