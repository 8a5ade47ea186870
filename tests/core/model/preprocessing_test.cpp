// The preprocessing line: written and read back, and what is said about a wrong one.
#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/model/model.hpp"

namespace binade {
namespace {

TEST(PreprocessingLine, ReadsBackExactly) {
  const Preprocessing p{.resize = Preprocessing::Resize::exact,
                        .size = 97,
                        .interpolation = Preprocessing::Interpolation::cubic,
                        .crop_height = 96,
                        .crop_width = 128,
                        .color = Preprocessing::Color::bgr,
                        .mean = {0.1, 1.0 / 3, 116.28},
                        .scale = {1 / 58.395, 1e-3, 2}};
  EXPECT_EQ(parse_preprocessing(to_string(p)), p);
  EXPECT_EQ(parse_preprocessing("", p), p);
  EXPECT_EQ(parse_preprocessing(to_string(Preprocessing{}), p), Preprocessing{});
}

TEST(PreprocessingLine, OverlaysAndNamesMistakes) {
  const Preprocessing p = parse_preprocessing("mean=127.5 color=gray");
  EXPECT_EQ(p.mean, (std::array<double, 3>{127.5, 127.5, 127.5}));
  EXPECT_EQ(p.color, Preprocessing::Color::gray);
  EXPECT_EQ(p.size, Preprocessing{}.size);
  for (const char* wrong :
       {"colour=rgb", "color=rbg", "size=large", "mean=1,2", "mean=1,2,x", "crop=224", "scale=inf"}) {
    EXPECT_THROW(parse_preprocessing(wrong), DataError) << wrong;
  }
}

}  // namespace
}  // namespace binade
