// Ops that only move elements: Concat, Slice, Pad, Reshape.
#include <cstring>

#include "core/ops/detail.hpp"
#include "core/ops/kernels.hpp"

namespace binade {
namespace {

template <class T>
void add_row(const T* from, T* to, std::int64_t n) {
  for (std::int64_t i = 0; i < n; ++i) to[i] += from[i];
}

}  // namespace

Shape infer_op(const Concat&, std::span<const Shape> in) {
  detail::expect_inputs(Concat::name, in, 2, SIZE_MAX);
  Shape out = in[0];
  for (std::size_t i = 1; i < in.size(); ++i) {
    if (in[i].n != out.n || in[i].h != out.h || in[i].w != out.w) {
      throw DataError("Concat: input " + std::to_string(i) + " has shape " + to_string(in[i]) +
                      ", which differs from the first input's " + to_string(in[0]) + " in more than channels");
    }
    out.c += in[i].c;
  }
  return out;
}

template <class T>
void forward_op(const Concat&, const Forward<T>& f) {
  const std::int64_t c = f.out.shape.c;
  parallel_for(f.out.shape.pixels(), detail::rows_per_chunk(c), [&](std::int64_t begin, std::int64_t end) {
    std::int64_t offset = 0;
    for (const auto& x : f.in) {
      const std::int64_t part = x.shape.c;
      for (std::int64_t p = begin; p < end; ++p) std::copy_n(x.data + p * part, part, f.out.data + p * c + offset);
      offset += part;
    }
  });
}

template <class T>
void backward_op(const Concat&, const Backward<T>& b) {
  const std::int64_t c = b.dout.shape.c;
  std::int64_t offset = 0;
  for (std::size_t i = 0; i < b.in.size(); ++i) {
    const std::int64_t part = b.in[i].shape.c, from = offset;
    offset += part;
    T* dx = b.din[i].data;
    if (!dx) continue;
    parallel_for(b.dout.shape.pixels(), detail::rows_per_chunk(part), [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) add_row(b.dout.data + p * c + from, dx + p * part, part);
    });
  }
}

Shape infer_op(const Slice& op, std::span<const Shape> in) {
  detail::expect_inputs(Slice::name, in, 1, 1);
  if (op.axis < 1 || op.axis > 3) {
    throw DataError("Slice: axis is " + std::to_string(op.axis) + ", wanted 1 (h), 2 (w) or 3 (c)");
  }
  Shape out = in[0];
  int& extent = op.axis == 1 ? out.h : op.axis == 2 ? out.w : out.c;
  if (op.step < 1 || op.begin < 0 || op.begin >= op.end || op.end > extent) {
    throw DataError("Slice: [" + std::to_string(op.begin) + ", " + std::to_string(op.end) + ") in steps of " +
                    std::to_string(op.step) + " does not fit axis " + std::to_string(op.axis) + " of shape " +
                    to_string(in[0]) + "; wanted 0 <= begin < end <= extent and step >= 1");
  }
  extent = (op.end - op.begin + op.step - 1) / op.step;
  return out;
}

namespace {

/// A slice of any axis as: `outer` blocks, of which every `step`-th row of `inner` elements is taken.
struct SliceRows {
  std::int64_t outer, taken, extent, inner;
  SliceRows(const Slice& op, const Shape& in, const Shape& out) {
    const std::int64_t n = in.n, h = in.h, w = in.w, c = in.c;
    outer = op.axis == 1 ? n : op.axis == 2 ? n * h : n * h * w;
    inner = op.axis == 1 ? w * c : op.axis == 2 ? c : 1;
    extent = op.axis == 1 ? h : op.axis == 2 ? w : c;
    taken = op.axis == 1 ? out.h : op.axis == 2 ? out.w : out.c;
  }
  std::int64_t source(const Slice& op, std::int64_t row) const {
    return (row / taken * extent + op.begin + row % taken * op.step) * inner;
  }
};

}  // namespace

template <class T>
void forward_op(const Slice& op, const Forward<T>& f) {
  const SliceRows rows(op, f.in[0].shape, f.out.shape);
  parallel_for(rows.outer * rows.taken, detail::rows_per_chunk(rows.inner), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      std::copy_n(f.in[0].data + rows.source(op, r), rows.inner, f.out.data + r * rows.inner);
    }
  });
}

template <class T>
void backward_op(const Slice& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const SliceRows rows(op, b.in[0].shape, b.dout.shape);
  parallel_for(rows.outer * rows.taken, detail::rows_per_chunk(rows.inner), [&](std::int64_t first, std::int64_t last) {
    for (std::int64_t r = first; r < last; ++r) {
      add_row(b.dout.data + r * rows.inner, b.din[0].data + rows.source(op, r), rows.inner);
    }
  });
}

Shape infer_op(const Pad& op, std::span<const Shape> in) {
  detail::expect_inputs(Pad::name, in, 1, 1);
  if (std::min({op.top, op.left, op.bottom, op.right, op.channels_before, op.channels_after}) < 0) {
    throw DataError("Pad: a negative amount in " + to_string(Op{op}) + "; cut with Slice instead");
  }
  return {in[0].n, in[0].h + op.top + op.bottom, in[0].w + op.left + op.right,
          in[0].c + op.channels_before + op.channels_after};
}

template <class T>
void forward_op(const Pad& op, const Forward<T>& f) {
  const Shape &in = f.in[0].shape, &out = f.out.shape;
  const T fill = static_cast<T>(op.value);
  const std::int64_t row = std::int64_t{out.w} * out.c;
  parallel_for(std::int64_t{out.n} * out.h, detail::rows_per_chunk(row), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      T* y = f.out.data + r * row;
      const std::int64_t n = r / out.h, h = r % out.h - op.top;
      std::fill_n(y, row, fill);
      if (h < 0 || h >= in.h) continue;
      const T* x = f.in[0].data + (n * in.h + h) * in.w * in.c;
      y += std::int64_t{op.left} * out.c + op.channels_before;
      for (int w = 0; w < in.w; ++w) std::copy_n(x + std::int64_t{w} * in.c, in.c, y + std::int64_t{w} * out.c);
    }
  });
}

template <class T>
void backward_op(const Pad& op, const Backward<T>& b) {
  if (!b.din[0]) return;
  const Shape &in = b.in[0].shape, &out = b.dout.shape;
  const std::int64_t row = std::int64_t{in.w} * in.c;
  parallel_for(std::int64_t{in.n} * in.h, detail::rows_per_chunk(row), [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t r = begin; r < end; ++r) {
      const std::int64_t n = r / in.h, h = r % in.h + op.top;
      const T* dy = b.dout.data + ((n * out.h + h) * out.w + op.left) * out.c + op.channels_before;
      for (int w = 0; w < in.w; ++w) {
        add_row(dy + std::int64_t{w} * out.c, b.din[0].data + r * row + std::int64_t{w} * in.c, in.c);
      }
    }
  });
}

Shape infer_op(const Reshape& op, std::span<const Shape> in) {
  detail::expect_inputs(Reshape::name, in, 1, 1);
  const std::int64_t elements = std::int64_t{in[0].h} * in[0].w * in[0].c;
  const std::int64_t rows = std::int64_t{op.h} * op.w;
  if (op.h < 1 || op.w < 1 || op.c < 0 || (op.c == 0 ? elements % rows != 0 : rows * op.c != elements)) {
    throw DataError("Reshape: the " + std::to_string(elements) + " elements per image of shape " + to_string(in[0]) +
                    " do not fill " + std::to_string(op.h) + "x" + std::to_string(op.w) + "x" +
                    (op.c == 0 ? std::string("(rest)") : std::to_string(op.c)));
  }
  return {in[0].n, op.h, op.w, op.c == 0 ? static_cast<int>(elements / rows) : op.c};
}

template <class T>
void forward_op(const Reshape&, const Forward<T>& f) {
  parallel_for(f.out.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    std::copy(f.in[0].data + begin, f.in[0].data + end, f.out.data + begin);
  });
}

template <class T>
void backward_op(const Reshape&, const Backward<T>& b) {
  if (!b.din[0]) return;
  parallel_for(b.dout.count(), detail::kGrain, [&](std::int64_t begin, std::int64_t end) {
    add_row(b.dout.data + begin, b.din[0].data + begin, end - begin);
  });
}

template struct Functions<Concat>;
template struct Functions<Slice>;
template struct Functions<Pad>;
template struct Functions<Reshape>;

}  // namespace binade
