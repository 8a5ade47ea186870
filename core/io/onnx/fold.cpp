// Constant propagation: the chains of Shape, Gather, Concat ... with which exporters write extents.
#include <algorithm>
#include <cmath>
#include <functional>
#include <numeric>

#include <fmt/format.h>

#include "core/io/onnx/fold.hpp"
#include "core/io/onnx/importer.hpp"
#include "core/io/onnx/proto.hpp"

namespace binade::importer {
namespace {

std::int64_t checked_axis(std::int64_t axis, std::size_t rank) {
  const std::int64_t resolved = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
  if (resolved < 0 || resolved >= static_cast<std::int64_t>(rank))
    throw DataError(fmt::format("axis {} is outside its {} axes", axis, rank));
  return resolved;
}

/// The same kind of elements, taken from `x` at the given flat positions.
Constant taken(const Constant& x, Dims dims, const std::vector<std::int64_t>& from) {
  return std::visit(
      [&](const auto& source) {
        std::remove_cvref_t<decltype(source)> made;
        made.reserve(from.size());
        for (const std::int64_t i : from) made.push_back(source[static_cast<std::size_t>(i)]);
        return Constant{std::move(dims), std::move(made)};
      },
      x.data);
}

/// Indices along one axis: what Gather and Slice have in common.
Constant gather(const NodeView& node, const Constant& x, std::int64_t axis, const std::vector<std::int64_t>& indices,
                bool keep_axis) {
  Dims dims = x.dims;
  const std::int64_t size = dims[static_cast<std::size_t>(axis)],
                     inner = strides(x.dims)[static_cast<std::size_t>(axis)];
  const auto selected = static_cast<std::int64_t>(indices.size());
  const std::int64_t outer = size == 0 || inner == 0 ? 0 : x.count() / (size * inner);
  check_size(node, std::max<std::int64_t>(outer * inner, 1) * selected, x.count());
  std::vector<std::int64_t> from;
  for (std::int64_t o = 0; o < outer; ++o) {
    for (const std::int64_t index : indices) {
      for (std::int64_t i = 0; i < inner; ++i) from.push_back((o * size + index) * inner + i);
    }
  }
  if (keep_axis)
    dims[static_cast<std::size_t>(axis)] = selected;
  else
    dims.erase(dims.begin() + axis);
  return taken(x, std::move(dims), from);
}

Constant fold_constant(const NodeView& node) {
  if (const auto* value = node.attribute("value")) {
    if (!value->has_t()) throw DataError("attribute 'value' holds no tensor");
    return decode_tensor(value->t());
  }
  if (const auto* value = node.attribute("value_float")) return {{}, std::vector<float>{value->f()}};
  if (const auto* value = node.attribute("value_int")) return {{}, std::vector<std::int64_t>{value->i()}};
  if (const auto* value = node.attribute("value_floats")) {
    return {{value->floats_size()}, std::vector<float>(value->floats().begin(), value->floats().end())};
  }
  if (const auto* value = node.attribute("value_ints")) {
    return {{value->ints_size()}, std::vector<std::int64_t>(value->ints().begin(), value->ints().end())};
  }
  throw DataError("it holds no tensor of numbers");
}

Dims dims_of(const NodeView& node) {
  if (node.is_constant(0)) return node.constant(0, "input").dims;
  const Activation& x = node.activation(0);
  Dims dims;
  for (const Axis axis : x.axes) dims.push_back(axis == Axis::n ? kBatch : extent(node.graph().shape(x.id), axis));
  return dims;
}

Constant fold_shape(const NodeView& node) {
  Dims dims = dims_of(node);
  const auto rank = static_cast<std::int64_t>(dims.size());
  const auto resolve = [&](std::int64_t v) { return std::clamp<std::int64_t>(v < 0 ? v + rank : v, 0, rank); };
  const std::int64_t start = resolve(node.integer("start", 0)),
                     end = std::max(start, resolve(node.integer("end", rank)));
  const Dims part(dims.begin() + start, dims.begin() + end);
  return {{static_cast<std::int64_t>(part.size())}, part};
}

Constant fold_gather(const NodeView& node) {
  const Constant& x = node.constant(0, "data");
  const Constant& indices = node.constant(1, "indices");
  if (indices.is_float() || indices.dims.size() > 1) throw DataError("its indices are not a list of integers");
  const std::int64_t axis = checked_axis(node.integer("axis", 0), x.dims.size());
  const std::int64_t size = x.dims[static_cast<std::size_t>(axis)];
  std::vector<std::int64_t> resolved;
  for (std::int64_t index : indices.integers()) {
    if (index < -size || index >= size) throw DataError(fmt::format("index {} is outside {}", index, size));
    resolved.push_back(index < 0 ? index + size : index);
  }
  return gather(node, x, axis, resolved, !indices.dims.empty());
}

Constant fold_slice(const NodeView& node) {
  const bool old = node.opset() < 10;
  const std::vector<int> starts = old ? node.integers("starts", true) : node.integer_list(1, "starts");
  const std::vector<int> ends = old ? node.integers("ends", true) : node.integer_list(2, "ends");
  std::vector<int> axes = old                 ? node.integers("axes")
                          : node.has_input(3) ? node.integer_list(3, "axes")
                                              : std::vector<int>{};
  const std::vector<int> steps =
      !old && node.has_input(4) ? node.integer_list(4, "steps") : std::vector<int>(starts.size(), 1);
  if (axes.empty()) {
    for (std::size_t i = 0; i < starts.size(); ++i) axes.push_back(static_cast<int>(i));
  }
  if (ends.size() != starts.size() || axes.size() != starts.size() || steps.size() != starts.size()) {
    throw DataError("its starts, ends, axes and steps differ in number");
  }
  Constant x = node.constant(0, "data");
  for (std::size_t k = 0; k < starts.size(); ++k) {
    const std::int64_t axis = checked_axis(axes[k], x.dims.size()), size = x.dims[static_cast<std::size_t>(axis)];
    const std::int64_t step = steps[k];
    if (step == 0) throw DataError("its step is 0");
    const auto resolve = [&](std::int64_t v) { return v < 0 ? v + size : v; };
    const std::int64_t lowest = step > 0 ? 0 : -1, highest = step > 0 ? size : size - 1;
    const std::int64_t start =
        std::clamp(resolve(starts[k]), std::max<std::int64_t>(lowest, 0), std::max<std::int64_t>(highest, 0));
    const std::int64_t end = std::clamp(resolve(ends[k]), lowest, size);
    std::vector<std::int64_t> indices;
    for (std::int64_t i = start; step > 0 ? i < end : i > end && i < size; i += step) indices.push_back(i);
    x = gather(node, x, axis, indices, true);
  }
  return x;
}

Constant fold_concat(const NodeView& node) {
  const Constant& first = node.constant(0, "input");
  const std::int64_t axis = checked_axis(node.integer("axis", 0), first.dims.size());
  const std::int64_t outer =
      std::accumulate(first.dims.begin(), first.dims.begin() + axis, std::int64_t{1}, std::multiplies<>());
  Dims dims = first.dims;
  dims[static_cast<std::size_t>(axis)] = 0;
  std::int64_t total = 0, largest = 0;
  for (int i = 0; i < node.inputs(); ++i) {
    const Constant& part = node.constant(i, "input");
    if (part.is_float() != first.is_float()) throw DataError("its inputs have different types");
    if (part.dims.size() != dims.size()) throw DataError("its inputs have different numbers of axes");
    for (std::size_t k = 0; k < dims.size(); ++k) {
      if (static_cast<std::int64_t>(k) != axis && part.dims[k] != dims[k])
        throw DataError("its inputs do not fit each other");
    }
    dims[static_cast<std::size_t>(axis)] += part.dims[static_cast<std::size_t>(axis)];
    total += part.count();
    largest = std::max(largest, part.count());
  }
  check_size(node, total, largest);
  Constant made{dims, first.is_float() ? decltype(Constant::data)(std::vector<float>()) : std::vector<std::int64_t>()};
  for (std::int64_t o = 0; o < outer; ++o) {
    for (int i = 0; i < node.inputs(); ++i) {
      const Constant& part = node.constant(i, "input");
      const std::int64_t run = part.count() / std::max<std::int64_t>(outer, 1);
      std::visit(
          [&](auto& to) {
            const auto& from = std::get<std::remove_cvref_t<decltype(to)>>(part.data);
            to.insert(to.end(), from.begin() + o * run, from.begin() + (o + 1) * run);
          },
          made.data);
    }
  }
  return made;
}

Constant fold_cast(const NodeView& node) {
  using Type = ::onnx::TensorProto;
  const Constant& x = node.constant(0, "input");
  node.importer().spend(x.count());
  const std::int64_t to = node.integer("to", Type::FLOAT);
  const bool to_float = to == Type::FLOAT || to == Type::DOUBLE || to == Type::FLOAT16 || to == Type::BFLOAT16;
  if (to_float == x.is_float()) return x;
  Constant made{x.dims, {}};
  if (to_float) {
    made.data = std::vector<float>(x.integers().begin(), x.integers().end());
  } else {
    std::vector<std::int64_t> integers;
    for (const float v : x.reals()) {
      if (!(std::abs(v) < 0x1p63f)) throw DataError("it converts a real that no integer can hold");
      integers.push_back(static_cast<std::int64_t>(v));
    }
    made.data = std::move(integers);
  }
  return made;
}

Constant fold_axes(const NodeView& node) {
  Constant x = node.constant(0, "input");
  node.importer().spend(x.count());
  std::vector<int> axes = node.has_input(1) ? node.integer_list(1, "axes") : node.integers("axes");
  const bool add = node.op() == "Unsqueeze";
  const std::size_t rank = x.dims.size() + (add ? axes.size() : 0);
  if (rank > 8) throw DataError("it makes more than 8 axes");
  std::vector<bool> marks(rank);
  for (const int axis : axes) marks[static_cast<std::size_t>(checked_axis(axis, rank))] = true;
  Dims dims;
  std::size_t next = 0;
  for (std::size_t i = 0; i < rank; ++i) {
    if (add) {
      if (!marks[i] && next >= x.dims.size()) throw DataError("its axes repeat");
      dims.push_back(marks[i] ? 1 : x.dims[next++]);
    } else if (!(axes.empty() ? x.dims[i] == 1 : marks[i])) {
      dims.push_back(x.dims[i]);
    } else if (x.dims[i] != 1) {
      throw DataError(fmt::format("it removes axis {} of extent {}", i, x.dims[i]));
    }
  }
  x.dims = std::move(dims);
  return x;
}

Constant fold_reshape(const NodeView& node) {
  Constant x = node.constant(0, "input");
  node.importer().spend(x.count());
  const std::vector<int> wanted = node.integer_list(1, "shape");
  Dims dims(wanted.begin(), wanted.end());
  std::int64_t product = 1;
  int open = -1;
  for (std::size_t i = 0; i < dims.size(); ++i) {
    if (dims[i] == 0 && i < x.dims.size()) dims[i] = x.dims[i];
    if (dims[i] == -1 && open < 0)
      open = static_cast<int>(i);
    else if (dims[i] < 0 || (dims[i] > 0 && product > (std::int64_t{1} << 40) / dims[i]))
      throw DataError("its shape is absurd");
    else
      product *= dims[i];
  }
  if (open >= 0 && product > 0)
    dims[static_cast<std::size_t>(open)] = x.count() / product, product *= x.count() / product;
  if (product != x.count() || (open >= 0 && dims[static_cast<std::size_t>(open)] < 0)) {
    throw DataError(fmt::format("it reshapes {} to {}", to_string(x.dims), to_string(dims)));
  }
  x.dims = std::move(dims);
  return x;
}

Constant fold_transpose(const NodeView& node) {
  const Constant& x = node.constant(0, "input");
  const std::size_t rank = x.dims.size();
  std::vector<int> order = node.integers("perm");
  if (order.empty()) {
    for (std::size_t i = rank; i-- > 0;) order.push_back(static_cast<int>(i));
  }
  std::vector<int> sorted = order;
  std::sort(sorted.begin(), sorted.end());
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    if (sorted[i] != static_cast<int>(i)) sorted.clear();
  }
  if (sorted.size() != rank) throw DataError("perm is no order of its axes");
  check_size(node, x.count(), x.count());
  const Dims old_steps = strides(x.dims);
  Dims dims, steps;
  for (const int axis : order) {
    dims.push_back(x.dims[static_cast<std::size_t>(axis)]);
    steps.push_back(old_steps[static_cast<std::size_t>(axis)]);
  }
  const Dims new_steps = strides(dims);
  std::vector<std::int64_t> from(static_cast<std::size_t>(x.count()));
  for (std::size_t flat = 0; flat < from.size(); ++flat) {
    std::int64_t rest = static_cast<std::int64_t>(flat);
    for (std::size_t k = 0; k < rank; ++k) {
      from[flat] += rest / new_steps[k] * steps[k];
      rest %= new_steps[k];
    }
  }
  return taken(x, std::move(dims), from);
}

Constant fold_constant_of_shape(const NodeView& node) {
  const std::vector<int> wanted = node.integer_list(0, "shape");
  std::int64_t count = 1;
  for (const int extent : wanted) {
    if (extent < 0) throw DataError(fmt::format("its shape has the extent {}", extent));
    if (count > kMaxComputed) break;  // check_size refuses it
    count *= extent;
  }
  check_size(node, count, 0);
  Constant value{{1}, std::vector<float>{0}};
  if (const auto* attribute = node.attribute("value")) value = decode_tensor(attribute->t());
  if (value.count() != 1) throw DataError("attribute 'value' wants one element");
  return taken(value, Dims(wanted.begin(), wanted.end()),
               std::vector<std::int64_t>(static_cast<std::size_t>(count), 0));
}

using Fold = Constant (*)(const NodeView&);
struct FoldEntry {
  std::string_view op;
  Fold fold;
};

constexpr FoldEntry kFolds[] = {{"Identity", fold_pointwise},  {"Floor", fold_pointwise},
                                {"Ceil", fold_pointwise},      {"Sqrt", fold_pointwise},
                                {"Neg", fold_pointwise},       {"Cast", fold_cast},
                                {"Gather", fold_gather},       {"Slice", fold_slice},
                                {"Concat", fold_concat},       {"Squeeze", fold_axes},
                                {"Unsqueeze", fold_axes},      {"Reshape", fold_reshape},
                                {"Transpose", fold_transpose}, {"ConstantOfShape", fold_constant_of_shape},
                                {"Add", fold_arithmetic},      {"Sub", fold_arithmetic},
                                {"Mul", fold_arithmetic},      {"Div", fold_arithmetic}};

}  // namespace

bool fold_constants(const NodeView& node) {
  if (node.op() == "Constant") return node.result(0, fold_constant(node)), true;
  if (node.op() == "Shape") return node.result(0, fold_shape(node)), true;
  if (node.inputs() == 0) return false;
  for (int i = 0; i < node.inputs(); ++i) {
    if (node.has_input(i) && !node.is_constant(i)) return false;
  }
  for (const FoldEntry& entry : kFolds) {
    if (entry.op == node.op()) return node.result(0, entry.fold(node)), true;
  }
  return false;
}

}  // namespace binade::importer
