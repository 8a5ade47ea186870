// Additions, products, changes of scale, pooling, resizing and tables of any widths.
#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/fixed_point.hpp"
#include "core/integer/engine/wide_packing.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitCodes = 8 << 10;  ///< worth handing to another thread

CodeRow row_at(const Frame& frame, const EngineTensor& tensor, std::int64_t pixel) {
  return {frame.data(tensor) + pixel * tensor.pitch, !tensor.is_bytes(), tensor.stored_zero()};
}

/// Pixels that are worth a range of their own.
std::int64_t pixel_grain(const EngineTensor& tensor) {
  return std::max<std::int64_t>(1, kUnitCodes / tensor.shape.c);
}

/// An addition or a product. Operands have the result's channels; their height and width may be 1.
class WidePairStep : public Step {
 public:
  WidePairStep(const StepContext& context, const EngineTensor& a, const EngineTensor& b, const EngineTensor& out,
               const Requant& requant, const WidePair& how, std::int64_t bound)
      : kernels_(*context.kernels.wide),
        a_(a),
        b_(b),
        out_(out),
        finishing_(wide_finishing(context.program, requant, out, out.shape.c, false)),
        how_(how) {
    how_.narrow = finishing_.is_narrow(bound);
    const bool same_row = a.pitch * code_bytes(out.spec) == out.pitch * code_bytes(a.spec) &&
                          b.pitch * code_bytes(out.spec) == out.pitch * code_bytes(b.spec);
    flat_ = a.shape == out.shape && b.shape == out.shape && same_row && finishing_.slopes.empty();
  }

  void run(const Frame& frame) const override {
    parallel_for(out_.shape.pixels(), pixel_grain(out_), [&](std::int64_t begin, std::int64_t end) {
      WidePair work = how_;
      work.finish = finishing_.from_channel(0);
      work.count = flat_ ? (end - begin) * out_.pitch / code_bytes(out_.spec) : out_.shape.c;
      for (std::int64_t p = begin; p < end; p += flat_ ? end - begin : 1) {
        work.a = row_at(frame, a_, pixel_of(a_, p));
        work.b = row_at(frame, b_, pixel_of(b_, p));
        work.out = frame.data(out_) + p * out_.pitch;
        kernels_.pair(work);
      }
    });
  }

 private:
  /// Where an operand has what meets the result's pixel.
  std::int64_t pixel_of(const EngineTensor& operand, std::int64_t pixel) const {
    const std::int64_t y = pixel / out_.shape.w, x = pixel % out_.shape.w;
    return (operand.shape.h == 1 ? 0 : y) * operand.shape.w + (operand.shape.w == 1 ? 0 : x);
  }

  const WideKernels& kernels_;
  const EngineTensor a_, b_, out_;
  const WideFinishing finishing_;
  WidePair how_;
  bool flat_;  ///< rows of pixels are rows of codes
};

class WideRescaleStep : public Step {
 public:
  WideRescaleStep(const StepContext& context, const RescaleInstr& rescale, const EngineTensor& in,
                  const EngineTensor& out)
      : kernels_(*context.kernels.wide),
        in_(in),
        out_(out),
        first_channel_(rescale.first_channel),
        finishing_(wide_finishing(context.program, rescale.requant, out, in.shape.c, false)),
        narrow_(finishing_.is_narrow(in.spec.max_magnitude())) {}

  void run(const Frame& frame) const override {
    parallel_for(in_.shape.pixels(), pixel_grain(in_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        kernels_.blend({.in = {row_at(frame, in_, p)},
                        .weight = {1},
                        .terms = 1,
                        .narrow = narrow_,
                        .out = frame.data(out_) + p * out_.pitch + first_channel_ * code_bytes(out_.spec),
                        .count = in_.shape.c,
                        .finish = finishing_.from_channel(0)});
      }
    });
  }

 private:
  const WideKernels& kernels_;
  const EngineTensor in_, out_;
  const int first_channel_;
  const WideFinishing finishing_;
  const bool narrow_;
};

class WideResizeStep : public Step {
 public:
  WideResizeStep(const StepContext& context, const ResizeInstr& resize, const EngineTensor& in, const EngineTensor& out)
      : kernels_(*context.kernels.wide),
        in_(in),
        out_(out),
        one_(1 << resize.weight_bits),
        finishing_(wide_finishing(context.program, resize.requant, out, out.shape.c, false)),
        narrow_(finishing_.is_narrow(in.spec.max_magnitude() << (2 * resize.weight_bits))),
        rows_(taps_of(context.program, resize.rows, out.shape.h)),
        columns_(taps_of(context.program, resize.columns, out.shape.w)) {}

  void run(const Frame& frame) const override {
    parallel_for(out_.shape.pixels(), pixel_grain(out_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) run_pixel(frame, p);
    });
  }

 private:
  static std::vector<ResizeTap> taps_of(const Program& program, std::uint32_t at, int count) {
    std::vector<ResizeTap> taps(static_cast<std::size_t>(count));
    std::memcpy(taps.data(), program.constants.data() + at, taps.size() * sizeof(ResizeTap));
    return taps;
  }

  void run_pixel(const Frame& frame, std::int64_t p) const {
    const ResizeTap& row = rows_[static_cast<std::size_t>(p / out_.shape.w)];
    const ResizeTap& column = columns_[static_cast<std::size_t>(p % out_.shape.w)];
    WideBlend work{.terms = 0,
                   .narrow = narrow_,
                   .out = frame.data(out_) + p * out_.pitch,
                   .count = out_.shape.c,
                   .finish = finishing_.from_channel(0)};
    const auto add = [&](int y, int x, std::int32_t weight) {
      if (weight == 0) return;
      work.in[work.terms] = row_at(frame, in_, std::int64_t{y} * in_.shape.w + x);
      work.weight[work.terms++] = weight;
    };
    add(row.first, column.first, (one_ - row.weight) * (one_ - column.weight));
    add(row.first, column.second, (one_ - row.weight) * column.weight);
    add(row.second, column.first, row.weight * (one_ - column.weight));
    add(row.second, column.second, row.weight * column.weight);
    kernels_.blend(work);
  }

  const WideKernels& kernels_;
  const EngineTensor in_, out_;
  const std::int32_t one_;
  const WideFinishing finishing_;
  const bool narrow_;
  const std::vector<ResizeTap> rows_, columns_;
};

/// Codes are looked up as they are stored, and found as they are to be stored; not bytes for bytes.
template <class In, class Out>
class WideTableStep : public Step {
 public:
  WideTableStep(const StepContext& context, const TableInstr& table, const EngineTensor& in, const EngineTensor& out)
      : in_(in), out_(out), found_(std::size_t{1} << (8 * sizeof(In))) {
    const std::byte* codes = context.program.constants.data() + table.table;
    for (std::int64_t code = in.spec.min_code(); code <= in.spec.max_code(); ++code) {
      const std::int32_t to = load_code(codes, code - in.spec.min_code(), out.spec) + out.stored_zero();
      found_[static_cast<In>(code + in.stored_zero())] = static_cast<Out>(to);
    }
  }

  void run(const Frame& frame) const override {
    parallel_for(in_.shape.pixels(), pixel_grain(in_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::uint8_t* in = frame.data(in_) + p * in_.pitch;
        std::uint8_t* out = frame.data(out_) + p * out_.pitch;
        for (int c = 0; c < in_.shape.c; ++c) {
          In code;
          std::memcpy(&code, in + static_cast<std::size_t>(c) * sizeof(In), sizeof(In));
          std::memcpy(out + static_cast<std::size_t>(c) * sizeof(Out), &found_[code], sizeof(Out));
        }
      }
    });
  }

 private:
  const EngineTensor in_, out_;
  std::vector<Out> found_;
};

}  // namespace

std::unique_ptr<Step> make_wide_pair(const StepContext& context, const AddInstr& add, const EngineTensor& a,
                                     const EngineTensor& b, const EngineTensor& out) {
  if (a.shape.c != out.shape.c || b.shape.c != out.shape.c) return nullptr;
  const std::int64_t bound = (a.spec.max_magnitude() << add.shift_a) + (b.spec.max_magnitude() << add.shift_b);
  const WidePair how{.shift_a = add.shift_a, .shift_b = add.shift_b, .product = false};
  return std::make_unique<WidePairStep>(context, a, b, out, add.requant, how, bound);
}

std::unique_ptr<Step> make_wide_pair(const StepContext& context, const MulInstr& mul, const EngineTensor& a,
                                     const EngineTensor& b, const EngineTensor& out) {
  if (a.shape.c != out.shape.c || b.shape.c != out.shape.c) return nullptr;
  const std::int64_t bound = a.spec.max_magnitude() * b.spec.max_magnitude();
  return std::make_unique<WidePairStep>(context, a, b, out, mul.requant, WidePair{.product = true}, bound);
}

std::unique_ptr<Step> make_wide_rescale(const StepContext& context, const RescaleInstr& rescale, const EngineTensor& in,
                                        const EngineTensor& out) {
  return std::make_unique<WideRescaleStep>(context, rescale, in, out);
}

std::unique_ptr<Step> make_wide_resize(const StepContext& context, const ResizeInstr& resize, const EngineTensor& in,
                                       const EngineTensor& out) {
  return std::make_unique<WideResizeStep>(context, resize, in, out);
}

std::unique_ptr<Step> make_wide_table(const StepContext& context, const TableInstr& table, const EngineTensor& in,
                                      const EngineTensor& out) {
  if (in.is_bytes()) return std::make_unique<WideTableStep<std::uint8_t, std::uint16_t>>(context, table, in, out);
  if (out.is_bytes()) return std::make_unique<WideTableStep<std::uint16_t, std::uint8_t>>(context, table, in, out);
  return std::make_unique<WideTableStep<std::uint16_t, std::uint16_t>>(context, table, in, out);
}

}  // namespace binade::integer
