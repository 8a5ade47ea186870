// Flatten, Reshape, Squeeze, Unsqueeze and Transpose: most only rename axes, some reinterpret NHWC memory.
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

using Open = std::vector<std::optional<Axis>>;  // axes, some without a name yet; those have extent 1

/// Names the open axes, preferring n c h w and n h w c. Axes of extent 1 may be renamed for that.
std::vector<Axis> named(const Open& open, const Shape& shape) {
  if (open.size() > 4) throw Misfit(fmt::format("it makes {} axes; at most 4 are supported", open.size()));
  if (open.size() == 4) {
    for (const auto* wanted : {&kNchw, &kNhwc}) {
      bool fits = true;
      for (std::size_t i = 0; i < 4; ++i) {
        const bool fixed = open[i] && (*open[i] == Axis::n || extent(shape, *open[i]) != 1);
        fits = fits && (!fixed || *open[i] == (*wanted)[i]) && (fixed || (*wanted)[i] != Axis::n);
      }
      if (fits) return *wanted;
    }
  }
  std::vector<Axis> spare{Axis::c, Axis::w, Axis::h};
  for (const auto& axis : open) {
    if (axis) std::erase(spare, *axis);
  }
  std::vector<Axis> axes;
  for (const auto& axis : open) {
    if (axis) {
      axes.push_back(*axis);
    } else {
      axes.push_back(spare.back());
      spare.pop_back();
    }
  }
  return axes;
}

void import_transpose(const NodeView& node) {
  const Activation x = node.activation(0);
  std::vector<int> order = node.integers("perm");
  const std::size_t rank = x.axes.size();
  if (order.empty()) {
    for (std::size_t i = rank; i-- > 0;) order.push_back(static_cast<int>(i));
  }
  const std::vector<bool> seen = marked(order, rank);
  if (order.size() != rank || std::find(seen.begin(), seen.end(), false) != seen.end()) {
    throw Misfit(
        fmt::format("perm {} is no order of [{}]", to_string(Dims(order.begin(), order.end())), to_string(x.axes)));
  }
  Activation result = x;
  for (std::size_t i = 0; i < rank; ++i) {
    result.axes[i] = x.axes[static_cast<std::size_t>(order[i] < 0 ? order[i] + static_cast<int>(rank) : order[i])];
  }
  node.result(0, std::move(result));
}

void import_squeeze(const NodeView& node) {
  const Activation x = node.activation(0);
  const Shape& shape = node.graph().shape(x.id);
  const std::vector<int> axes = node.has_input(1) ? node.integer_list(1, "axes") : node.integers("axes");
  const std::vector<bool> removed = marked(axes, x.axes.size());
  Activation result = x;
  result.axes.clear();
  for (std::size_t i = 0; i < x.axes.size(); ++i) {
    const bool batch = x.axes[i] == Axis::n;
    const bool remove = axes.empty() ? !batch && extent(shape, x.axes[i]) == 1 : removed[i];
    if (remove && batch) throw DataError("it removes the batch axis; export the model with the batch kept");
    if (remove && extent(shape, x.axes[i]) != 1) {
      throw Misfit(fmt::format("it removes axis {} of extent {}", i, extent(shape, x.axes[i])));
    }
    if (!remove) result.axes.push_back(x.axes[i]);
  }
  node.result(0, std::move(result));
}

void import_unsqueeze(const NodeView& node) {
  const Activation x = node.activation(0);
  const std::vector<int> axes = node.has_input(1) ? node.integer_list(1, "axes") : node.integers("axes");
  const std::size_t rank = x.axes.size() + axes.size();
  const std::vector<bool> added = marked(axes, rank);
  if (static_cast<std::size_t>(std::count(added.begin(), added.end(), true)) != axes.size())
    throw DataError("its axes repeat");
  Open open;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    if (added[i])
      open.emplace_back();
    else
      open.emplace_back(x.axes[next++]);
  }
  if (!open.empty() && !open[0]) throw DataError("it adds an axis before the batch");
  Activation result = x;
  result.axes = named(open, node.graph().shape(x.id));
  node.result(0, std::move(result));
}

/// The extents after the batch that a Reshape asks for. `wanted` holds kBatch, 0 and -1 as ONNX allows.
Dims extents_of_one_image(const NodeView& node, const Activation& x, const Dims& wanted) {
  const Shape& shape = node.graph().shape(x.id);
  const auto refuse = [&]() -> Dims {
    throw Misfit(fmt::format("it reshapes [{}] of {} (NHWC) to {}, which moves elements between images or does not fit",
                             to_string(x.axes), binade::to_string(shape), to_string(wanted)));
  };
  if (x.axes.empty() || x.axes[0] != Axis::n || wanted.size() < 2) return refuse();
  Dims rest(wanted.begin() + 1, wanted.end());
  const std::int64_t count = std::int64_t{shape.h} * shape.w * shape.c;
  std::int64_t product = 1;
  int open = -1;
  for (std::size_t i = 0; i < rest.size(); ++i) {
    if (rest[i] == 0 && node.integer("allowzero", 0) == 0 && i + 1 < x.axes.size())
      rest[i] = extent(shape, x.axes[i + 1]);
    if (rest[i] == -1 && open < 0) {
      open = static_cast<int>(i);
    } else if (rest[i] < 1 || rest[i] > count / product) {
      return refuse();
    } else {
      product *= rest[i];
    }
  }
  if (open >= 0) {
    const bool batch_kept =
        wanted[0] == kBatch || wanted[0] == 0 || wanted[0] == 1 || wanted[0] == node.importer().batch();
    if (!batch_kept || count % product != 0) return refuse();
    rest[static_cast<std::size_t>(open)] = count / product;
    product = count;
  }
  return product == count ? rest : refuse();
}

/// The extents of one image that are not 1, in ONNX's order, and their axes.
std::pair<Dims, std::vector<Axis>> without_ones(const Activation& x, const Shape& shape) {
  std::pair<Dims, std::vector<Axis>> found;
  for (const Axis axis : x.axes) {
    if (axis == Axis::n || extent(shape, axis) == 1) continue;
    found.first.push_back(extent(shape, axis));
    found.second.push_back(axis);
  }
  return found;
}

/// Splits {a, b, ...}, the axes after the channels, into height and width.
Shape with_pixels(const Dims& rest, std::size_t first, int channels) {
  Shape shape{1, 1, 1, channels};
  if (rest.size() > first) shape.h = static_cast<int>(rest[first]);
  if (rest.size() > first + 1) shape.w = static_cast<int>(rest[first + 1]);
  return shape;
}

void finish(const NodeView& node, const Activation& x, const Shape& wanted, std::vector<Axis> axes,
            std::vector<Shape> flattened) {
  Activation result = x;
  result.axes = std::move(axes);
  result.flattened = std::move(flattened);
  if (!(node.graph().shape(x.id) == wanted)) {
    result.id = node.add(Reshape{.h = wanted.h, .w = wanted.w, .c = wanted.c}, {x.id});
  }
  node.result(0, std::move(result));
}

/// Reshapes to [batch, rest...]: tries renaming, then reinterpreting memory, then flattening with a note of the order.
void reshape(const NodeView& node, const Activation& x, const Dims& rest) {
  const Shape shape = node.graph().shape(x.id);
  if (rest.size() > 3) throw Misfit(fmt::format("it makes {} axes; at most 4 are supported", rest.size() + 1));
  const auto [sizes, axes] = without_ones(x, shape);
  Dims new_sizes;
  std::copy_if(rest.begin(), rest.end(), std::back_inserter(new_sizes), [](std::int64_t v) { return v != 1; });
  if (new_sizes == sizes) {  // only ones come or go
    Open open{Axis::n};
    std::size_t next = 0;
    for (const std::int64_t size : rest) {
      if (size == 1)
        open.emplace_back();
      else
        open.emplace_back(axes[next++]);
    }
    Activation result = x;
    if (axes.empty() && open.size() == 2) open[1] = Axis::c;
    result.axes = named(open, shape);
    return node.result(0, std::move(result));
  }
  if (x.flattened.empty() && std::is_sorted(axes.begin(), axes.end())) {  // ONNX counts as the memory does
    const auto last = static_cast<int>(rest.back());
    const Dims pixels(rest.begin(), rest.end() - 1);
    const std::vector<Axis> all = rest.size() == 1   ? std::vector{Axis::n, Axis::c}
                                  : rest.size() == 2 ? std::vector{Axis::n, Axis::h, Axis::c}
                                                     : kNhwc;
    return finish(node, x, with_pixels(pixels, 0, last), all, {});
  }
  const bool channels_first = !axes.empty() && axes[0] == Axis::c && std::is_sorted(axes.begin() + 1, axes.end());
  const std::vector<Axis> all = rest.size() == 2 ? std::vector{Axis::n, Axis::c, Axis::h} : kNchw;
  if (x.flattened.empty() && channels_first) {
    if (rest.size() == 1)
      return finish(node, x, {1, 1, 1, static_cast<int>(rest[0])}, {Axis::n, Axis::c},
                    {{1, shape.h, shape.w, shape.c}});
    if (rest[0] == shape.c) return finish(node, x, with_pixels(rest, 1, shape.c), all, {});
  }
  if (x.flattened.size() == 1 && rest.size() > 1 && rest[0] == x.flattened[0].c) {  // back from flat
    return finish(node, x, with_pixels(rest, 1, x.flattened[0].c), all, {});
  }
  throw Misfit(fmt::format("it reshapes [{}] of {} (NHWC) to {}, which mixes channels and pixels", to_string(x.axes),
                           binade::to_string(shape), to_string(rest)));
}

void import_flatten(const NodeView& node) {
  const Activation x = node.activation(0);
  std::int64_t axis = node.integer("axis", 1);
  if (axis < 0) axis += static_cast<std::int64_t>(x.axes.size());
  if (axis != 1) throw DataError(fmt::format("it flattens from axis {}; want axis 1", axis));
  reshape(node, x, extents_of_one_image(node, x, {kBatch, -1}));
}

void import_reshape(const NodeView& node) {
  const Activation x = node.activation(0);
  const Constant& wanted = node.constant(1, "shape");
  if (wanted.is_float()) throw DataError("its shape holds reals, want integers");
  if (wanted.count() > 8) throw DataError(fmt::format("it makes {} axes; at most 4 are supported", wanted.count()));
  reshape(node, x, extents_of_one_image(node, x, wanted.integers()));
}

}  // namespace

std::span<const HandlerEntry> layout_handlers() {
  static constexpr HandlerEntry kTable[] = {{"Transpose", import_transpose},
                                            {"Squeeze", import_squeeze},
                                            {"Unsqueeze", import_unsqueeze},
                                            {"Flatten", import_flatten},
                                            {"Reshape", import_reshape}};
  return kTable;
}

}  // namespace binade::importer
