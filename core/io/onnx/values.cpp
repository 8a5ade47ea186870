// Names and extents of axes.
#include "core/io/onnx/values.hpp"

#include <fmt/format.h>

#include "core/base/error.hpp"

namespace binade::importer {

std::string to_string(const Dims& dims) {
  std::string text = "[";
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (i != 0) text += ", ";
    text += dims[i] == kBatch ? "N" : std::to_string(dims[i]);
  }
  return text + "]";
}

int& extent(Shape& shape, Axis axis) {
  switch (axis) {
    case Axis::n: return shape.n;
    case Axis::h: return shape.h;
    case Axis::w: return shape.w;
    case Axis::c: return shape.c;
  }
  throw ContractError("no such axis");
}

int extent(const Shape& shape, Axis axis) {
  Shape copy = shape;
  return extent(copy, axis);
}

std::string to_string(const std::vector<Axis>& axes) {
  static constexpr const char* kNames[] = {"n", "h", "w", "c"};
  std::string text;
  for (const Axis axis : axes) {
    if (!text.empty()) text += ", ";
    text += kNames[static_cast<std::size_t>(axis)];
  }
  return text;
}

std::int64_t physical_channel(const std::vector<Shape>& flattened, std::int64_t logical) {
  std::int64_t first = 0;
  for (const Shape& block : flattened) {
    const std::int64_t within = logical - first;
    if (within < block.count()) {
      const std::int64_t pixels = std::int64_t{block.h} * block.w;
      return first + within % pixels * block.c + within / pixels;
    }
    first += block.count();
  }
  return logical;
}

}  // namespace binade::importer
