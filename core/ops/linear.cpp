// Linear: a 1x1 convolution, over each image's pixels or, where those are few, over the batch's.
#include <string>

#include "core/base/error.hpp"
#include "core/ops/conv_engine.hpp"
#include "core/ops/kernels.hpp"
#include "core/ops/ops.hpp"

namespace binade {
namespace {

/// Images with fewer pixels are multiplied together: their rows alone would not pay for reading the matrix.
constexpr int kFewPixels = 16;

struct Product {
  ConvGeometry geometry;
  int images;
};

Product product_of(const Shape& x, int oc) {
  const bool few = x.h * x.w < kFewPixels;
  const int h = few ? x.n * x.h : x.h;
  return {{.ih = h, .iw = x.w, .ic = x.c, .oh = h, .ow = x.w, .oc = oc}, few ? 1 : x.n};
}

}  // namespace

Shape infer_op(const Linear&, std::span<const Shape> in) {
  const auto check = [](bool ok, const std::string& what) {
    if (!ok) throw DataError("Linear: " + what);
  };
  check(in.size() == 2 || in.size() == 3,
        "wants input, matrix and perhaps bias, not " + std::to_string(in.size()) + " inputs");
  const Shape &x = in[0], &w = in[1];
  check(w.h == 1 && w.w == 1 && w.n >= 1, "the matrix is " + to_string(w) + ", wanted {out, 1, 1, in}");
  check(w.c == x.c, "the input has " + std::to_string(x.c) + " channels, the matrix " + to_string(w) + " wants " +
                        std::to_string(w.c));
  check(in.size() == 2 || in[2] == channel_shape(w.n),
        "the bias is " + (in.size() == 3 ? to_string(in[2]) : "") + ", wanted " + to_string(channel_shape(w.n)));
  return {x.n, x.h, x.w, w.n};
}

template <class T>
void forward_op(const Linear&, const Forward<T>& f) {
  auto& engine = f.state.template get<ConvEngine<T>>();
  const Product product = product_of(f.in[0].shape, f.out.shape.c);
  const T* bias = f.in.size() > 2 ? f.in[2].data : nullptr;
  engine.forward(product.geometry, product.images, f.in[0].data, f.in[1].data, bias, f.out.data, f.parameter_version);
}

template <class T>
void backward_op(const Linear&, const Backward<T>& b) {
  auto& engine = b.state.template get<ConvEngine<T>>();
  const auto [geometry, images] = product_of(b.in[0].shape, b.dout.shape.c);
  if (b.din[0]) engine.backward_data(geometry, images, b.dout.data, b.in[1].data, b.din[0].data, b.parameter_version);
  if (b.din[1]) engine.backward_weights(geometry, images, b.in[0].data, b.dout.data, b.din[1].data);
  if (b.din.size() > 2 && b.din[2]) {
    add_channel_sums(b.dout.shape.pixels(), b.dout.shape.c, b.dout.data, b.din[2].data);
  }
}

template struct Functions<Linear>;

}  // namespace binade
