// Resize and Upsample in all their forms: which of our coordinate rules picks the same source pixels?
#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

/// What the file says, per axis of the image: wanted extents and the scale that the coordinates use.
struct ResizeRequest {
  int height = 0, width = 0;
  double scale_h = 1, scale_w = 1;  ///< out / in
  std::string coordinates, nearest;
  bool bilinear = false;
};

/// ONNX's source coordinate of output pixel `o` (operator page of Resize).
double onnx_coordinate(const std::string& rule, int o, int in, int out, double scale) {
  if (rule == "half_pixel") return (o + 0.5) / scale - 0.5;
  if (rule == "pytorch_half_pixel") return out > 1 ? (o + 0.5) / scale - 0.5 : 0;
  if (rule == "align_corners") return out > 1 ? o * static_cast<double>(in - 1) / (out - 1) : 0;
  if (rule == "asymmetric") return o / scale;
  if (rule == "tf_half_pixel_for_nn") return (o + 0.5) / scale;
  throw DataError(
      fmt::format("coordinate_transformation_mode '{}' is not supported; want half_pixel, pytorch_half_pixel, "
                  "align_corners, asymmetric or tf_half_pixel_for_nn",
                  rule));
}

double our_coordinate(Coordinates rule, int o, int in, int out) {
  const double scale = static_cast<double>(in) / out;
  switch (rule) {
    case Coordinates::half_pixel: return (o + 0.5) * scale - 0.5;
    case Coordinates::align_corners: return out > 1 ? o * static_cast<double>(in - 1) / (out - 1) : 0;
    case Coordinates::asymmetric: return o * scale;
  }
  throw ContractError("no such coordinates");
}

int clamp_index(double index, int in) {
  return static_cast<int>(std::clamp(index, 0.0, static_cast<double>(in - 1)));
}

int onnx_nearest(const std::string& mode, double x, int in) {
  if (mode == "floor") return clamp_index(std::floor(x), in);
  if (mode == "ceil") return clamp_index(std::ceil(x), in);
  if (mode == "round_prefer_floor") return clamp_index(std::ceil(x - 0.5), in);
  if (mode == "round_prefer_ceil") return clamp_index(std::floor(x + 0.5), in);
  throw DataError(fmt::format("nearest_mode '{}' is unknown to ONNX", mode));
}

int our_nearest(Coordinates rule, double x, int in) {
  return clamp_index(rule == Coordinates::asymmetric ? std::floor(x) : std::ceil(x - 0.5), in);
}

bool same_pixels(const ResizeRequest& r, Coordinates rule, int in, int out, double scale) {
  for (int o = 0; o < out; ++o) {
    const double theirs = onnx_coordinate(r.coordinates, o, in, out, scale);
    const double ours = our_coordinate(rule, o, in, out);
    if (r.bilinear) {
      const double last = in - 1;
      if (std::abs(std::clamp(theirs, 0.0, last) - std::clamp(ours, 0.0, last)) > 1e-6 * in) return false;
    } else if (onnx_nearest(r.nearest, theirs, in) != our_nearest(rule, ours, in)) {
      return false;
    }
  }
  return true;
}

Resize matching_op(const ResizeRequest& r, const Shape& in) {
  Resize op{.height = r.height,
            .width = r.width,
            .interpolation = r.bilinear ? Interpolation::bilinear : Interpolation::nearest};
  for (const Coordinates rule : {Coordinates::half_pixel, Coordinates::align_corners, Coordinates::asymmetric}) {
    if (same_pixels(r, rule, in.h, r.height, r.scale_h) && same_pixels(r, rule, in.w, r.width, r.scale_w)) {
      op.coordinates = rule;
      return op;
    }
  }
  throw Misfit(
      fmt::format("{} x {} to {} x {} with coordinate_transformation_mode '{}'{} picks pixels in a way that "
                  "Binade's resize cannot express",
                  in.h, in.w, r.height, r.width, r.coordinates,
                  r.bilinear ? "" : fmt::format(" and nearest_mode '{}'", r.nearest)));
}

/// Scales or sizes of all axes of the image, n and c being kept.
void read_extents(const NodeView& node, const Activation& x, ResizeRequest& r) {
  const Shape& shape = node.graph().shape(x.id);
  std::vector<float> scales;
  if (const auto* attribute = node.attribute("scales"))
    scales.assign(attribute->floats().begin(), attribute->floats().end());
  const int scales_input = node.op() == "Upsample" || node.opset() < 11 ? 1 : 2;
  if (scales.empty() && node.has_input(scales_input)) scales = to_reals(node.constant(scales_input, "scales"));
  std::vector<std::int64_t> sizes;
  if (scales.empty() && node.has_input(3)) {
    const Constant& stored = node.constant(3, "sizes");
    if (stored.is_float()) throw DataError("its sizes are reals, want integers");
    sizes = stored.integers();
  }
  const std::size_t given = scales.empty() ? sizes.size() : scales.size();
  std::vector<int> axes = node.integers("axes");  // opset 18
  if (axes.empty()) axes = {0, 1, 2, 3};
  if (given != axes.size()) throw DataError(fmt::format("it has {} scales or sizes for {} axes", given, axes.size()));
  r.height = shape.h, r.width = shape.w;
  for (std::size_t i = 0; i < given; ++i) {
    const int index = axes[i] < 0 ? axes[i] + 4 : axes[i];
    if (index < 0 || index > 3) throw DataError(fmt::format("axis {} is outside its input", axes[i]));
    const Axis axis = x.axes[static_cast<std::size_t>(index)];
    if (axis == Axis::n && !sizes.empty()) continue;  // any batch: it cannot be enlarged
    const int in = extent(shape, axis);
    const double scale = scales.empty() ? static_cast<double>(sizes[i]) / in : static_cast<double>(scales[i]);
    // The epsilon undoes scales such as 1.9999999 that were computed as float.
    const double out = scales.empty() ? static_cast<double>(sizes[i]) : std::floor(in * scale + 1e-4);
    if (!(scale > 0) || !(out >= 1) || out > kMaxExtent) {
      throw Misfit(fmt::format("it resizes {} to {} on axis {}", in, out, index));
    }
    if (axis == Axis::n || axis == Axis::c) {
      if (scale != 1)
        throw Misfit(fmt::format("it resizes axis {} ({}); only height and width can be", index,
                                 axis == Axis::n ? "batch" : "channels"));
      continue;
    }
    (axis == Axis::h ? r.height : r.width) = static_cast<int>(out);
    // A scale that means a whole number of pixels is taken as that fraction, else as written.
    const double exact = out / in;
    (axis == Axis::h ? r.scale_h : r.scale_w) = std::abs(exact - scale) < 1e-5 * exact ? exact : scale;
  }
}

void import_resize(const NodeView& node) {
  const Activation x = node.image(0);
  if (x.axes.size() != 4) throw Misfit("it resizes an input without height; only images are resized");
  const bool old = node.op() == "Upsample" || node.opset() < 11;
  ResizeRequest r;
  const std::string mode = node.text("mode", "nearest");
  if (mode != "nearest" && mode != "linear" && mode != "bilinear") {
    throw DataError(fmt::format("mode '{}' is not supported; want 'nearest' or 'linear'", mode));
  }
  r.bilinear = mode != "nearest";
  r.coordinates = old ? "asymmetric" : node.text("coordinate_transformation_mode", "half_pixel");
  r.nearest = old ? "floor" : node.text("nearest_mode", "round_prefer_floor");
  read_extents(node, x, r);
  const Shape shape = node.graph().shape(x.id);
  if (node.integer("antialias", 0) != 0 && (r.height < shape.h || r.width < shape.w)) {
    throw DataError("it shrinks with antialias = 1, which is not supported");
  }
  const std::string policy = node.text("keep_aspect_ratio_policy", "stretch");
  if (policy != "stretch") throw DataError(fmt::format("keep_aspect_ratio_policy '{}' is not supported", policy));
  if (r.height == shape.h && r.width == shape.w) return node.alias();
  if (std::int64_t{r.height} * r.width > kMaxElements) throw Misfit("its output is absurdly large");
  node.result(node.add(matching_op(r, shape), {x.id}), x);
}

}  // namespace

std::span<const HandlerEntry> resize_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Resize", import_resize}, {"Upsample", import_resize}};
  return kTable;
}

}  // namespace binade::importer
