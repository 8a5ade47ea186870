// One harness for every op: shapes, values, gradients, threads and memory, from one call.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "core/base/random.hpp"
#include "core/base/tensor.hpp"
#include "core/ops/ops.hpp"

namespace binade::harness {

/// Fills one input. Values are rounded to float afterwards, so that both precisions see the same numbers.
using Fill = std::function<void(Tensor<double>&, Random&)>;

/// Uniform in [lo, hi), at least `margin` away from every kink: no central difference may straddle one.
Fill uniform(double lo, double hi, std::vector<double> kinks = {}, double margin = 1e-3);
/// A shuffled, evenly spaced set from [-2, 2]: no two values are so near that a difference quotient swaps their order.
Fill distinct();
/// Class indices in [0, classes), or `ignored` one time in four.
Fill labels(int classes, int ignored);

struct CheckOptions {
  Mode mode = Mode::training;  ///< inference: forward only
  std::uint64_t seed = 1;      ///< of the inputs, and of ops with randomness
  std::vector<Fill> fill;      ///< of input i; missing or null: uniform in [-2, 2)
  std::vector<int> constant;   ///< inputs that have no gradient (labels, running statistics): din must stay as it was
  std::vector<int> updated;    ///< inputs that a training forward may write
  bool differentiable = true;  ///< false: the gradient is a convention (straight-through), tested elsewhere
  double float_tolerance = 2e-6;  ///< float against the double reference, relative to its largest magnitude
  double float_gradient_tolerance = 2e-5;
  double gradient_tolerance = 1e-7;  ///< double against central differences, relative to 1 + |gradient|
  int probes = 40;                   ///< elements per input whose gradient is measured; fewer when the input is smaller
};

/// Checks `op` on inputs of these shapes, as design section 7 lists it:
/// - the result has the inferred shape, every element is written (the memory is full of NaN before) and nothing else
/// is;
/// - double and float agree with tests/reference;
/// - backward agrees with central differences of the double forward, and float backward with double backward;
/// - backward adds to what din held, and writes nothing for a null din, whichever inputs are wanted;
/// - 1, 2 and 5 threads give the same bytes in both precisions;
/// - inputs are not written, `updated` ones excepted.
void check_op(const Op& op, const std::vector<Shape>& inputs, const CheckOptions& options = {});

/// infer(inputs) throws a DataError whose message contains `words`.
void expect_refused(const Op& op, const std::vector<Shape>& inputs, const std::string& words);

/// Runs `body` on `count` seeds. Failures carry the command that replays the one seed: BINADE_FUZZ_SEED=... TEST.
void fuzz(int count, const std::function<void(std::uint64_t seed, Random&)>& body);

/// Uniform integer in [lo, hi].
int between(Random& random, int lo, int hi);

}  // namespace binade::harness
