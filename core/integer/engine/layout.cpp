// Slices, pads, reshapes and tables: codes move, or are replaced one by one.
#include <algorithm>
#include <cstring>

#include "core/integer/engine/step.hpp"

namespace binade::integer {
namespace {

constexpr std::int64_t kUnitBytes = 16 << 10;  ///< worth handing to another thread

std::int64_t pixel_grain(const EngineTensor& tensor) {
  return std::max<std::int64_t>(1, kUnitBytes / std::max(tensor.pitch, 1));
}

std::size_t code_size(const EngineTensor& tensor) {
  return static_cast<std::size_t>(code_bytes(tensor.spec));
}

/// Bytes of the codes of a pixel.
std::size_t row_bytes(const EngineTensor& tensor) {
  return static_cast<std::size_t>(tensor.shape.c) * code_size(tensor);
}

class SliceStep : public Step {
 public:
  SliceStep(const SliceInstr& slice, const EngineTensor& in, const EngineTensor& out)
      : slice_(slice), in_(in), out_(out) {}

  void run(const Frame& frame) const override {
    const int y_step = slice_.axis == 1 ? slice_.step : 1, x_step = slice_.axis == 2 ? slice_.step : 1;
    const int top = slice_.axis == 1 ? slice_.begin : 0, left = slice_.axis == 2 ? slice_.begin : 0;
    parallel_for(out_.shape.pixels(), pixel_grain(out_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int64_t y = top + p / out_.shape.w * y_step, x = left + p % out_.shape.w * x_step;
        copy_pixel(frame.data(in_) + (y * in_.shape.w + x) * in_.pitch, frame.data(out_) + p * out_.pitch);
      }
    });
  }

 private:
  void copy_pixel(const std::uint8_t* from, std::uint8_t* to) const {
    const std::size_t size = code_size(in_);
    if (slice_.axis == 3) from += static_cast<std::size_t>(slice_.begin) * size;
    if (slice_.axis != 3 || slice_.step == 1) {
      std::memcpy(to, from, row_bytes(out_));
      return;
    }
    for (int c = 0; c < out_.shape.c; ++c, to += size, from += static_cast<std::size_t>(slice_.step) * size) {
      std::memcpy(to, from, size);
    }
  }

  const SliceInstr slice_;
  const EngineTensor in_, out_;
};

class PadStep : public Step {
 public:
  PadStep(const PadInstr& pad, const EngineTensor& in, const EngineTensor& out)
      : pad_(pad), in_(in), out_(out), line_(row_bytes(out)) {
    const int fill = pad.fill + out.stored_zero();
    for (int c = 0; c < out.shape.c; ++c) {
      for (std::size_t i = 0; i < code_size(out); ++i) {
        line_[static_cast<std::size_t>(c) * code_size(out) + i] = static_cast<std::uint8_t>(fill >> (8 * i));
      }
    }
  }

  void run(const Frame& frame) const override {
    const std::size_t before = static_cast<std::size_t>(pad_.first_channel) * code_size(in_);
    parallel_for(out_.shape.pixels(), pixel_grain(out_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::int64_t y = p / out_.shape.w - pad_.top, x = p % out_.shape.w - pad_.left;
        std::uint8_t* const to = frame.data(out_) + p * out_.pitch;
        std::memcpy(to, line_.data(), line_.size());
        if (y < 0 || y >= in_.shape.h || x < 0 || x >= in_.shape.w) continue;
        std::memcpy(to + before, frame.data(in_) + (y * in_.shape.w + x) * in_.pitch, row_bytes(in_));
      }
    });
  }

 private:
  const PadInstr pad_;
  const EngineTensor in_, out_;
  std::vector<std::uint8_t> line_;  ///< a pixel of fill
};

/// Codes in the same order: as many at a time as lie side by side in both tensors.
class ReshapeStep : public Step {
 public:
  ReshapeStep(const EngineTensor& in, const EngineTensor& out) : in_(in), out_(out) {}

  void run(const Frame& frame) const override {
    const std::size_t size = code_size(in_);
    const int in_channels = in_.shape.c, out_channels = out_.shape.c;
    const std::int64_t count = in_.shape.count();
    for (std::int64_t i = 0; i < count;) {
      const std::int64_t from = i % in_channels, to = i % out_channels;
      const std::int64_t run = std::min(in_channels - from, out_channels - to);
      std::memcpy(frame.data(out_) + i / out_channels * out_.pitch + to * static_cast<std::int64_t>(size),
                  frame.data(in_) + i / in_channels * in_.pitch + from * static_cast<std::int64_t>(size),
                  static_cast<std::size_t>(run) * size);
      i += run;
    }
  }

 private:
  const EngineTensor in_, out_;
};

/// A byte for each byte; both with their zero points.
class TableStep : public Step {
 public:
  TableStep(const StepContext& context, const TableInstr& table, const EngineTensor& in, const EngineTensor& out)
      : in_(in), out_(out), bytes_(256) {
    const std::byte* const codes = context.program.constants.data() + table.table;
    for (std::int64_t i = 0; i < std::int64_t{1} << in.spec.bits; ++i) {
      const std::int64_t code = in.spec.min_code() + i;
      bytes_[static_cast<std::size_t>(code + in.zero())] =
          static_cast<std::uint8_t>(load_code(codes, i, out.spec) + out.zero());
    }
  }

  void run(const Frame& frame) const override {
    parallel_for(out_.shape.pixels(), pixel_grain(out_), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::uint8_t* const from = frame.data(in_) + p * in_.pitch;
        std::uint8_t* const to = frame.data(out_) + p * out_.pitch;
        for (int c = 0; c < in_.shape.c; ++c) to[c] = bytes_[from[c]];
      }
    });
  }

 private:
  const EngineTensor in_, out_;
  std::vector<std::uint8_t> bytes_;
};

}  // namespace

std::unique_ptr<Step> make_slice(const SliceInstr& slice, const EngineTensor& in, const EngineTensor& out) {
  return std::make_unique<SliceStep>(slice, in, out);
}

std::unique_ptr<Step> make_pad(const PadInstr& pad, const EngineTensor& in, const EngineTensor& out) {
  return std::make_unique<PadStep>(pad, in, out);
}

std::unique_ptr<Step> make_reshape(const EngineTensor& in, const EngineTensor& out) {
  return std::make_unique<ReshapeStep>(in, out);
}

std::unique_ptr<Step> make_table(const StepContext& context, const TableInstr& table, const EngineTensor& in,
                                 const EngineTensor& out) {
  if (!in.is_bytes() || !out.is_bytes()) return nullptr;
  return std::make_unique<TableStep>(context, table, in, out);
}

}  // namespace binade::integer
