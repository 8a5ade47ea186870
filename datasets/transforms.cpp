// Decoding, resizing and cropping by OpenCV, single-threaded: images are what is spread over threads.
#include "datasets/transforms.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>
#include <opencv2/core/utility.hpp>
#include <opencv2/core/utils/logger.hpp>
#include <opencv2/imgcodecs.hpp>
#include <opencv2/imgproc.hpp>

#include "core/base/error.hpp"
#include "datasets/jpeg.hpp"

namespace binade {
namespace {

/// A strip of one pixel's height would become gigantic when its short side is enlarged.
constexpr std::int64_t kMostPixels = std::int64_t{1} << 28;

/// One thread, and no messages of its own: every failure becomes an error of ours.
void set_up_opencv() {
  static const bool done = [] {
    cv::setNumThreads(1);
    cv::utils::logging::setLogLevel(cv::utils::logging::LOG_LEVEL_SILENT);
    return true;
  }();
  static_cast<void>(done);
}

/// The same memory seen by OpenCV; it does not write through it.
cv::Mat as_mat(const Pixels& image) {
  const Shape& s = image.shape();
  return {s.h, s.w, CV_8UC(s.c), const_cast<std::uint8_t*>(image.data())};
}

/// BGR or gray, as OpenCV decodes.
cv::Mat decode(std::span<const std::byte> file, bool is_gray) {
  set_up_opencv();
  if (const std::string damage = find_damage(file); !damage.empty()) throw DataError(damage);
  cv::Mat image;
  const auto memory = [&](int height, int width, int channels) {
    image.create(height, width, CV_8UC(channels));
    return image.data;
  };
  const bool is_jpeg = file.size() >= 2 && file[0] == std::byte{0xFF} && file[1] == std::byte{0xD8};
  if (is_jpeg && decode_jpeg(file, is_gray, memory)) return image;
  auto* bytes = const_cast<std::byte*>(file.data());  // imdecode only reads
  const cv::Mat encoded(1, static_cast<int>(file.size()), CV_8UC1, bytes);
  std::string reason = "the decoder cannot read it";
  try {
    image = cv::imdecode(encoded, (is_gray ? cv::IMREAD_GRAYSCALE : cv::IMREAD_COLOR) | cv::IMREAD_IGNORE_ORIENTATION);
  } catch (const cv::Exception& error) {
    reason = error.err;
  }
  if (image.empty()) throw DataError("not an image that can be decoded: " + reason);
  return image;
}

Identity identity_of_image(const cv::Mat& image) {
  const cv::Mat whole = image.isContinuous() ? image : image.clone();
  return identity_of({whole.data, whole.total() * whole.elemSize()}, whole.rows, whole.cols, whole.channels());
}

/// A copy; `swap` exchanges the first and the third channel.
Pixels as_pixels(const cv::Mat& image, bool swap) {
  Pixels out(Shape{1, image.rows, image.cols, image.channels()});
  cv::Mat target(image.rows, image.cols, image.type(), out.data());
  if (swap) {
    cv::cvtColor(image, target, cv::COLOR_BGR2RGB);
  } else {
    image.copyTo(target);
  }
  return out;
}

cv::Mat resize_to(const cv::Mat& image, int height, int width, Preprocessing::Interpolation interpolation) {
  if (image.rows == height && image.cols == width) return image;
  if (std::int64_t{height} * width > kMostPixels) {
    throw DataError(fmt::format("an image of {}x{} pixels (height x width) would become {}x{}", image.rows, image.cols,
                                height, width));
  }
  int method = cv::INTER_AREA;
  if (height > image.rows || width > image.cols) {
    switch (interpolation) {
      case Preprocessing::Interpolation::bilinear: method = cv::INTER_LINEAR; break;
      case Preprocessing::Interpolation::area: method = cv::INTER_AREA; break;
      case Preprocessing::Interpolation::cubic: method = cv::INTER_CUBIC; break;
      case Preprocessing::Interpolation::nearest: method = cv::INTER_NEAREST; break;
    }
  }
  cv::Mat out;
  cv::resize(image, out, cv::Size(width, height), 0, 0, method);
  return out;
}

cv::Mat resize_by_rule(const cv::Mat& image, const Preprocessing& p) {
  const Shape resized = resized_shape({1, image.rows, image.cols, image.channels()}, p);
  return resize_to(image, resized.h, resized.w, p.interpolation);
}

/// A view into `image`.
cv::Mat centre_crop(const cv::Mat& image, const Preprocessing& p) {
  if (image.rows < p.crop_height || image.cols < p.crop_width) {
    throw DataError(
        fmt::format("the image is {}x{} (height x width) after the resize rule, smaller than the {}x{} that "
                    "the network reads; a resize rule 'short_side' or 'exact' would enlarge it",
                    image.rows, image.cols, p.crop_height, p.crop_width));
  }
  return image(
      cv::Rect((image.cols - p.crop_width) / 2, (image.rows - p.crop_height) / 2, p.crop_width, p.crop_height));
}

/// Where torchvision's RandomResizedCrop would cut.
cv::Rect random_rectangle(int height, int width, const Augmentation& a, Random& random) {
  const double area = static_cast<double>(height) * width;
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double part = area * random.uniform(a.area_min, a.area_max);
    const double aspect = std::exp(random.uniform(std::log(a.aspect_min), std::log(a.aspect_max)));
    const int w = static_cast<int>(std::lround(std::sqrt(part * aspect)));
    const int h = static_cast<int>(std::lround(std::sqrt(part / aspect)));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int x = static_cast<int>(random.below(static_cast<std::uint64_t>(width - w) + 1));
    const int y = static_cast<int>(random.below(static_cast<std::uint64_t>(height - h) + 1));
    return {x, y, w, h};
  }
  const double aspect = std::clamp(static_cast<double>(width) / height, a.aspect_min, a.aspect_max);
  const int w = std::clamp(static_cast<int>(std::lround(height * aspect)), 1, width);
  const int h = std::clamp(static_cast<int>(std::lround(w / aspect)), 1, height);
  return {(width - w) / 2, (height - h) / 2, w, h};
}

}  // namespace

Shape resized_shape(const Shape& image, const Preprocessing& p) {
  const int short_side = std::min(image.h, image.w);
  switch (p.resize) {
    case Preprocessing::Resize::none: return image;
    case Preprocessing::Resize::exact: return {1, p.crop_height, p.crop_width, image.c};
    case Preprocessing::Resize::shrink:
      if (image.h >= p.crop_height && image.w >= p.crop_width && short_side <= p.size) return image;
      [[fallthrough]];
    case Preprocessing::Resize::short_side: {
      const auto scaled = [&](int side) {
        return side == short_side ? p.size : static_cast<int>(std::int64_t{p.size} * side / short_side);
      };
      return {1, scaled(image.h), scaled(image.w), image.c};
    }
  }
  return image;
}

int channels_of(Preprocessing::Color color) {
  return color == Preprocessing::Color::gray ? 1 : 3;
}

Pixels decode_image(std::span<const std::byte> file, Preprocessing::Color color, Identity* identity) {
  const cv::Mat decoded = decode(file, color == Preprocessing::Color::gray);
  if (identity != nullptr) *identity = identity_of_image(decoded);
  return as_pixels(decoded, color == Preprocessing::Color::rgb);
}

Pixels prepare_image(std::span<const std::byte> file, const Preprocessing& preprocessing, Identity* identity) {
  const cv::Mat decoded = decode(file, preprocessing.color == Preprocessing::Color::gray);
  if (identity != nullptr) *identity = identity_of_image(decoded);
  // The colour order is changed last, on the crop only.
  return as_pixels(centre_crop(resize_by_rule(decoded, preprocessing), preprocessing),
                   preprocessing.color == Preprocessing::Color::rgb);
}

Pixels resize_by_rule(const Pixels& image, const Preprocessing& preprocessing) {
  set_up_opencv();
  return as_pixels(resize_by_rule(as_mat(image), preprocessing), false);
}

Pixels resize_and_crop(const Pixels& image, const Preprocessing& preprocessing) {
  set_up_opencv();
  return as_pixels(centre_crop(resize_by_rule(as_mat(image), preprocessing), preprocessing), false);
}

Pixels augment(const Pixels& image, const Preprocessing& preprocessing, const Augmentation& augmentation,
               Random random) {
  set_up_opencv();
  const bool flip = augmentation.flip && random.uniform() < 0.5;
  cv::Mat cut = as_mat(image);
  if (augmentation.random_crop) {
    cut = cut(random_rectangle(cut.rows, cut.cols, augmentation, random));
    cut = resize_to(cut, preprocessing.crop_height, preprocessing.crop_width, preprocessing.interpolation);
  } else {
    cut = centre_crop(resize_by_rule(cut, preprocessing), preprocessing);
  }
  if (!flip) return as_pixels(cut, false);
  Pixels out(Shape{1, cut.rows, cut.cols, cut.channels()});
  cv::Mat target(cut.rows, cut.cols, cut.type(), out.data());
  cv::flip(cut, target, 1);
  return out;
}

Normaliser::Normaliser(const Preprocessing& preprocessing) : channels_(channels_of(preprocessing.color)), table_{} {
  for (std::size_t c = 0; c < 3; ++c) {
    for (std::size_t pixel = 0; pixel < 256; ++pixel) {
      table_[c][pixel] =
          static_cast<float>((static_cast<double>(pixel) - preprocessing.mean[c]) * preprocessing.scale[c]);
    }
  }
}

void Normaliser::operator()(std::span<const std::uint8_t> pixels, std::span<float> out) const {
  require(pixels.size() == out.size() && pixels.size() % static_cast<std::size_t>(channels_) == 0,
          "Normaliser: as many numbers as pixels, whole pixels");
  if (channels_ == 1) {
    for (std::size_t i = 0; i < pixels.size(); ++i) out[i] = table_[0][pixels[i]];
    return;
  }
  const std::uint8_t* in = pixels.data();
  float* to = out.data();
  for (std::size_t left = pixels.size() / 3; left > 0; --left, in += 3, to += 3) {
    to[0] = table_[0][in[0]];
    to[1] = table_[1][in[1]];
    to[2] = table_[2][in[2]];
  }
}

Shape input_shape(const Preprocessing& preprocessing) {
  return {1, preprocessing.crop_height, preprocessing.crop_width, channels_of(preprocessing.color)};
}

void check_fits(const Preprocessing& preprocessing, Shape network_input) {
  if (preprocessing.crop_height < 1 || preprocessing.crop_width < 1) {
    throw DataError(fmt::format("the preprocessing crops to {}x{} pixels; wanted at least 1x1",
                                preprocessing.crop_height, preprocessing.crop_width));
  }
  const bool scales_short_side = preprocessing.resize == Preprocessing::Resize::short_side ||
                                 preprocessing.resize == Preprocessing::Resize::shrink;
  const int smallest = std::max(preprocessing.crop_height, preprocessing.crop_width);
  if (scales_short_side && preprocessing.size < std::min(preprocessing.crop_height, preprocessing.crop_width)) {
    throw DataError(
        fmt::format("the preprocessing resizes the short side to {} and then crops {}x{}; wanted a size of "
                    "{} or more",
                    preprocessing.size, preprocessing.crop_height, preprocessing.crop_width, smallest));
  }
  const Shape made = input_shape(preprocessing), wanted = network_input.with_batch(1);
  if (made != wanted) {
    throw DataError(
        fmt::format("the network reads {} (n x h x w x c), but its preprocessing makes {}; give the crop and "
                    "the colour order that the network was trained with",
                    to_string(wanted), to_string(made)));
  }
}

}  // namespace binade
