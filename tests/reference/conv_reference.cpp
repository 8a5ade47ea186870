// The products of convolutions, written from the formulas.
#include "tests/reference/conv_reference.hpp"

namespace binade::reference {
namespace {

std::int64_t at(const Shape& s, int n, int h, int w, int c) {
  return ((std::int64_t{n} * s.h + h) * s.w + w) * s.c + c;
}

}  // namespace

void for_each_product(const Conv2d& op, std::span<const Shape> shapes, const Shape& y, const Products& body) {
  const Shape &x = shapes[0], &w = shapes[1];
  const int group_oc = y.c / op.groups;
  for (int n = 0; n < y.n; ++n)
    for (int oy = 0; oy < y.h; ++oy)
      for (int ox = 0; ox < y.w; ++ox)
        for (int o = 0; o < y.c; ++o)
          for (int i = 0; i < w.h; ++i)
            for (int j = 0; j < w.w; ++j)
              for (int c = 0; c < w.c; ++c) {
                const int iy = oy * op.stride_h - op.pad_top + i * op.dilation_h;
                const int ix = ox * op.stride_w - op.pad_left + j * op.dilation_w;
                if (iy < 0 || ix < 0 || iy >= x.h || ix >= x.w) continue;
                body(at(y, n, oy, ox, o), at(x, n, iy, ix, o / group_oc * w.c + c), at(w, o, i, j, c));
              }
}

void for_each_product(const ConvTranspose2d& op, std::span<const Shape> shapes, const Shape& y, const Products& body) {
  const Shape &x = shapes[0], &w = shapes[1];
  const int group_oc = y.c / op.groups;
  for (int n = 0; n < y.n; ++n)
    for (int iy = 0; iy < x.h; ++iy)
      for (int ix = 0; ix < x.w; ++ix)
        for (int o = 0; o < y.c; ++o)
          for (int i = 0; i < w.h; ++i)
            for (int j = 0; j < w.w; ++j)
              for (int c = 0; c < w.c; ++c) {
                const int oy = iy * op.stride_h - op.pad_top + i * op.dilation_h;
                const int ox = ix * op.stride_w - op.pad_left + j * op.dilation_w;
                if (oy < 0 || ox < 0 || oy >= y.h || ox >= y.w) continue;
                body(at(y, n, oy, ox, o), at(x, n, iy, ix, o / group_oc * w.c + c), at(w, o, i, j, c));
              }
}

void for_each_product(const Linear&, std::span<const Shape> shapes, const Shape& y, const Products& body) {
  const Shape &x = shapes[0], &w = shapes[1];
  for (std::int64_t p = 0; p < x.pixels(); ++p)
    for (int o = 0; o < y.c; ++o)
      for (int c = 0; c < x.c; ++c) body(p * y.c + o, p * x.c + c, std::int64_t{o} * w.c + c);
}

}  // namespace binade::reference
