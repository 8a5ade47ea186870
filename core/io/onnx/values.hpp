// What an ONNX value is while a file is imported: a constant, or an activation with the meaning of its axes.
#pragma once

#include <cstdint>
#include <string>
#include <variant>
#include <vector>

#include "core/base/tensor.hpp"
#include "core/graph/graph.hpp"

namespace binade::importer {

using Dims = std::vector<std::int64_t>;

/// Stands for the batch extent in a constant that was computed from a shape.
inline constexpr std::int64_t kBatch = INT64_MIN / 2;

/// "[64, 3, 7, 7]", the batch as "N"
std::string to_string(const Dims& dims);

/// A tensor that is known at import time. All floating types are held as float, all integers and bool as int64.
struct Constant {
  Dims dims;
  std::variant<std::vector<float>, std::vector<std::int64_t>> data;

  bool is_float() const { return data.index() == 0; }
  const std::vector<float>& reals() const { return std::get<0>(data); }
  const std::vector<std::int64_t>& integers() const { return std::get<1>(data); }
  std::int64_t count() const { return static_cast<std::int64_t>(is_float() ? reals().size() : integers().size()); }
};

enum class Axis : std::uint8_t { n, h, w, c };

/// A value of the graph under construction, and which of its four extents each ONNX axis is. An extent that no axis
/// names is 1. Transposition therefore permutes `axes` and moves no data.
struct Activation {
  ValueId id{};
  std::vector<Axis> axes;
  /// Channels that were flattened from maps: ONNX counts each block in (c, h, w) order, the tensor holds (h, w, c).
  /// Empty: both count alike. Blocks follow each other and their counts sum to the channels.
  std::vector<Shape> flattened;
  /// The operator that stood between this value and the end of the network and was left out: "ArgMax". Empty: none.
  std::string ending;
  bool guessed = false;  ///< stands in for the result of a node that could not be imported: its shape may be wrong
};

using Known = std::variant<Constant, Activation>;

inline const std::vector<Axis> kNchw{Axis::n, Axis::c, Axis::h, Axis::w};
inline const std::vector<Axis> kNcw{Axis::n, Axis::c, Axis::w};
inline const std::vector<Axis> kNhwc{Axis::n, Axis::h, Axis::w, Axis::c};

int& extent(Shape& shape, Axis axis);
int extent(const Shape& shape, Axis axis);
/// "n, c, h, w"
std::string to_string(const std::vector<Axis>& axes);

/// Maps channel `logical`, as ONNX counts, to where the tensor holds it.
std::int64_t physical_channel(const std::vector<Shape>& flattened, std::int64_t logical);

}  // namespace binade::importer
