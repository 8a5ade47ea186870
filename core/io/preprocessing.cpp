// Preprocessing as one canonical line of text.
#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/model.hpp"

namespace binade {
namespace {

std::string_view word(Preprocessing::Resize resize) {
  switch (resize) {
    case Preprocessing::Resize::none: return "none";
    case Preprocessing::Resize::short_side: return "short_side";
    case Preprocessing::Resize::shrink: return "shrink";
    case Preprocessing::Resize::exact: return "exact";
  }
  throw ContractError("no such resize rule");
}

std::string_view word(Preprocessing::Interpolation interpolation) {
  switch (interpolation) {
    case Preprocessing::Interpolation::bilinear: return "bilinear";
    case Preprocessing::Interpolation::area: return "area";
    case Preprocessing::Interpolation::cubic: return "cubic";
    case Preprocessing::Interpolation::nearest: return "nearest";
  }
  throw ContractError("no such interpolation");
}

std::string_view word(Preprocessing::Color color) {
  switch (color) {
    case Preprocessing::Color::rgb: return "rgb";
    case Preprocessing::Color::bgr: return "bgr";
    case Preprocessing::Color::gray: return "gray";
  }
  throw ContractError("no such colour order");
}

}  // namespace

std::string to_string(const Preprocessing& p) {
  // {:} prints the shortest decimal that reads back as the same double, so equal lines mean equal values.
  return fmt::format("resize={} size={} interpolation={} crop={}x{} color={} mean={},{},{} scale={},{},{}",
                     word(p.resize), p.size, word(p.interpolation), p.crop_height, p.crop_width, word(p.color),
                     p.mean[0], p.mean[1], p.mean[2], p.scale[0], p.scale[1], p.scale[2]);
}

}  // namespace binade
