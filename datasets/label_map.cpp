// Geometry of label maps, and the variation of an image together with its map.
#include "datasets/label_map.hpp"

#include <cmath>
#include <numbers>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/dataset.hpp"

namespace binade {
namespace {

/// The same memory seen by OpenCV.
cv::Mat as_mat(const Pixels& pixels) {
  const Shape& s = pixels.shape();
  return {s.h, s.w, CV_8UC(s.c), const_cast<std::uint8_t*>(pixels.data())};
}

/// Where a pixel of the result comes from, as warpAffine wants it: coordinates of centres count from 0.
/// @math source = R(-angle) / scale * flip(target - centre of target - shift) + centre of source
cv::Matx23d source_of(const Shape& source, const Shape& target, const Augmentation& a, Random& random) {
  const bool flip = a.flip && random.uniform() < 0.5;
  const double scale = std::exp(random.uniform(std::log(a.scale_min), std::log(a.scale_max)));
  const double angle = random.uniform(-a.rotation, a.rotation) * std::numbers::pi / 180;
  const auto shift = [&](int from, int to) {
    const double slack = std::abs(scale * from - to) / 2, place = random.uniform(-slack, slack);
    return a.random_crop ? place : 0.0;
  };
  const double dx = shift(source.w, target.w), dy = shift(source.h, target.h);
  const double cosine = std::cos(angle) / scale, sine = std::sin(angle) / scale, side = flip ? -1 : 1;
  const double cx = (target.w - 1) / 2.0 + dx, cy = (target.h - 1) / 2.0 + dy;
  const double m00 = cosine * side, m01 = sine, m10 = -sine * side, m11 = cosine;
  return {m00, m01, (source.w - 1) / 2.0 - m00 * cx - m01 * cy,  //
          m10, m11, (source.h - 1) / 2.0 - m10 * cx - m11 * cy};
}

}  // namespace

Pixels to_classes(Pixels map, std::span<const std::int16_t> values) {
  require(values.size() == 256, "to_classes: a class for each of 256 values");
  std::array<std::int64_t, 256> strangers{};
  for (std::uint8_t& value : map.span()) {
    const std::int16_t label = values[value];
    if (label < 0) ++strangers[value];
    value = static_cast<std::uint8_t>(label);
  }
  std::vector<std::string> offenders;
  for (std::size_t value = 0; value < 256; ++value) {
    if (strangers[value] > 0) offenders.push_back(fmt::format("{} ({} pixels)", value, strangers[value]));
  }
  if (offenders.empty()) return map;
  throw DataError(fmt::format("the label map holds values that are no classes: {}", fmt::join(offenders, ", ")));
}

Pixels resize_labels(const Pixels& map, int height, int width) {
  if (map.shape().h == height && map.shape().w == width) return map;
  Pixels out(Shape{1, height, width, 1});
  cv::Mat target = as_mat(out);
  cv::resize(as_mat(map), target, target.size(), 0, 0, cv::INTER_NEAREST_EXACT);
  return out;
}

Pixels resize_and_crop_labels(const Pixels& map, const Preprocessing& p) {
  const Shape resized = resized_shape(map.shape(), p);
  const Pixels whole = resize_labels(map, resized.h, resized.w);
  if (resized.h == p.crop_height && resized.w == p.crop_width) return whole;
  if (resized.h < p.crop_height || resized.w < p.crop_width) {
    throw DataError(
        fmt::format("the label map is {}x{} (height x width) after the resize rule, smaller than the {}x{} "
                    "that the network reads",
                    resized.h, resized.w, p.crop_height, p.crop_width));
  }
  Pixels out(Shape{1, p.crop_height, p.crop_width, 1});
  const cv::Rect cut((resized.w - p.crop_width) / 2, (resized.h - p.crop_height) / 2, p.crop_width, p.crop_height);
  as_mat(whole)(cut).copyTo(as_mat(out));
  return out;
}

bool keeps_everything(const Pixels& map, const Preprocessing& p) {
  const Shape resized = resized_shape(map.shape(), p);
  return resized.h == p.crop_height && resized.w == p.crop_width;
}

LabelledPixels augment(const LabelledPixels& resized, const Preprocessing& p, const Augmentation& augmentation,
                       Random random) {
  const Shape target{1, p.crop_height, p.crop_width, resized.image.shape().c};
  const cv::Matx23d source = source_of(resized.image.shape(), target, augmentation, random);
  LabelledPixels out{Pixels(target), Pixels(Shape{1, target.h, target.w, 1})};
  cv::Mat image = as_mat(out.image), labels = as_mat(out.labels);
  cv::warpAffine(as_mat(resized.image), image, source, image.size(), cv::INTER_LINEAR | cv::WARP_INVERSE_MAP,
                 cv::BORDER_CONSTANT, cv::Scalar(p.mean[0], p.mean[1], p.mean[2]));
  cv::warpAffine(as_mat(resized.labels), labels, source, labels.size(), cv::INTER_NEAREST | cv::WARP_INVERSE_MAP,
                 cv::BORDER_CONSTANT, cv::Scalar(kIgnored));
  return out;
}

}  // namespace binade
