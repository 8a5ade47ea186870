// Weights of 16 bits in the order in which wide kernels read them, and where their sums have to be split.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "core/base/memory.hpp"
#include "core/integer/engine/step.hpp"
#include "core/integer/simd/wide_kernels.hpp"

namespace binade::integer {

/// A WideFinish with the slopes it points at, the rounding constant that sums start with, and what sums of blocks with
/// chunks start with besides.
struct WideFinishing {
  WideFinish finish;
  std::int64_t start = 0, split_start = 0;
  std::vector<std::int32_t> slopes;  ///< one per channel

  /// For channels from `first` on.
  WideFinish from_channel(int first) const;
  /// 32 bits hold values up to `bound` with the rounding constant, and nothing else needs more.
  bool is_narrow(std::int64_t bound) const;
};

/// `channels`: of slopes. `may_fold`: the kernel has start values.
WideFinishing wide_finishing(const Program& program, const Requant& requant, const EngineTensor& out, int channels,
                             bool may_fold);

/// The weights of one output channel, in the order of a kernel's pairs, and what its sums begin with.
struct WideChannel {
  std::vector<std::int16_t> weights;  ///< two per pair
  std::int64_t start = 0;             ///< rounding constant and surplus of the zero point included
  std::int64_t above = 0, below = 0;  ///< bounds of the final sum, that is without the surplus
};

/// Weights and biases of a convolution as the program stores them, widened.
class WideWeights {
 public:
  WideWeights(const Program& program, const ConvInstr& conv, const EngineTensor& in, std::int64_t start);

  /// For `pairs` pairs that are all zero yet.
  WideChannel channel(int o, int pairs) const;
  /// Puts a weight of channel o at a place of the channel.
  void place(WideChannel& channel, int at, int o, int i, int j, int k) const;

 private:
  const Program& program_;
  const ConvInstr& conv_;
  std::int64_t start_, lowest_, highest_, zero_;
};

/// Channels in blocks as kernels want them.
class WideBlocks {
 public:
  enum class Chunks { greedy, columns };  ///< columns: for WideDepthwise3x3

  /// `largest`: of |words| that weights meet. `panels` of each block, or 0 for as many as its channels need.
  WideBlocks(const WideKernels& kernels, const WideFinishing& finishing, std::int64_t largest, int panels,
             Chunks chunks)
      : lanes_(kernels.lanes),
        panels_(panels),
        largest_(largest),
        split_start_(finishing.split_start),
        chunks_kind_(chunks) {}

  /// Appends the channels of a group, in as many blocks as they need; the last of them may have fewer channels.
  void add(const std::vector<WideChannel>& channels);

  std::size_t count() const { return places_.size(); }
  WideBlock block(std::size_t i) const;
  int splits(std::size_t i) const { return places_[i].splits; }
  std::size_t bytes() const;

 private:
  struct Place {
    std::size_t weights, starts, chunks;
    int channels, splits;
    bool narrow;
  };
  void add_block(const WideChannel* channels, int count);

  int lanes_, panels_;
  std::int64_t largest_, split_start_;
  Chunks chunks_kind_;
  std::vector<Place> places_;
  std::vector<std::int16_t> weights_;
  std::vector<std::int32_t> low_, high_, chunks_;
};

/// The largest |word| that stands for a code of a tensor, widened if it has bytes.
std::int64_t largest_word(const EngineTensor& in);

/// The table whose kernels can take the channels' chunks: of this processor, or the portable one, which always can.
const WideKernels& kernels_that_take(const Kernels& kernels, const std::vector<WideChannel>& channels,
                                     std::int64_t largest);

/// True where the sums of a convolution, with a rounding constant, fit in what blocks hold.
bool wide_sums_fit(const ConvInstr& conv);

std::unique_ptr<Step> make_wide_conv(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                     const EngineTensor& out);
std::unique_ptr<Step> make_wide_depthwise(const StepContext& context, const ConvInstr& conv, const EngineTensor& in,
                                          const EngineTensor& out);
std::unique_ptr<Step> make_wide_pair(const StepContext& context, const AddInstr& add, const EngineTensor& a,
                                     const EngineTensor& b, const EngineTensor& out);
std::unique_ptr<Step> make_wide_pair(const StepContext& context, const MulInstr& mul, const EngineTensor& a,
                                     const EngineTensor& b, const EngineTensor& out);
std::unique_ptr<Step> make_wide_rescale(const StepContext& context, const RescaleInstr& rescale, const EngineTensor& in,
                                        const EngineTensor& out);
std::unique_ptr<Step> make_wide_max_pool(const StepContext& context, const MaxPoolInstr& pool, const EngineTensor& in,
                                         const EngineTensor& out);
std::unique_ptr<Step> make_wide_average_pool(const StepContext& context, const AvgPoolInstr& pool,
                                             const EngineTensor& in, const EngineTensor& out);
std::unique_ptr<Step> make_wide_resize(const StepContext& context, const ResizeInstr& resize, const EngineTensor& in,
                                       const EngineTensor& out);
std::unique_ptr<Step> make_wide_table(const StepContext& context, const TableInstr& table, const EngineTensor& in,
                                      const EngineTensor& out);

}  // namespace binade::integer
