// Values, parameters and limits of an import.
#include "core/io/onnx/importer.hpp"

#include <algorithm>
#include <cmath>

#include <fmt/format.h>

#include "core/io/onnx/proto.hpp"

namespace binade::importer {

Importer::Importer(const ::onnx::GraphProto& proto, int opset, std::size_t file_bytes)
    : proto_(proto), opset_(opset), budget_((std::int64_t{1} << 24) + static_cast<std::int64_t>(file_bytes) * 4) {
  for (const auto& tensor : proto.initializer()) {
    if (!initializers_.emplace(tensor.name(), &tensor).second) {
      throw DataError(fmt::format("two initializers are called '{}'; the file is damaged", tensor.name()));
    }
  }
  for (const auto* list : {&proto.value_info(), &proto.output(), &proto.input()}) {
    for (const auto& info : *list) {
      if (info.type().has_tensor_type() && info.type().tensor_type().has_shape()) {
        declared_.emplace(info.name(), &info.type().tensor_type().shape());
      }
    }
  }
}

const Known* Importer::find(const std::string& name) {
  const auto known = values_.find(name);
  if (known != values_.end()) return &known->second;
  const auto initializer = initializers_.find(name);
  if (initializer == initializers_.end()) return nullptr;
  return &values_.emplace(name, decode_tensor(*initializer->second)).first->second;
}

void Importer::define(const std::string& name, Known known) {
  if (initializers_.contains(name) || !values_.emplace(name, std::move(known)).second) {
    throw DataError(fmt::format("its output '{}' is defined twice; the file is damaged", name));
  }
}

std::string Importer::free_name(const std::string& wanted) {
  ValueId id;
  const std::string base = wanted.empty() ? "unnamed" : wanted;
  if (!graph_.find(base, id)) return base;
  int& suffix = suffixes_.emplace(base, 2).first->second;
  for (;; ++suffix) {
    std::string name = fmt::format("{}.{}", base, suffix);
    if (!graph_.find(name, id)) return name;
  }
}

ValueId Importer::parameter(const std::string& name, Tensor<float> tensor) {
  spend(tensor.count());
  const auto span = tensor.span();
  const auto bad = std::find_if(span.begin(), span.end(), [](float v) { return !std::isfinite(v); });
  if (bad != span.end()) {
    const auto count = std::count_if(span.begin(), span.end(), [](float v) { return !std::isfinite(v); });
    throw DataError(fmt::format(
        "tensor '{}' has {} at index {} ({} of its {} elements {} not finite); was the training "
        "unstable, or the file damaged?",
        name, std::isnan(*bad) ? "NaN" : "Inf", bad - span.begin(), count, span.size(), count == 1 ? "is" : "are"));
  }
  auto& same_name = parameters_[name];
  for (const ValueId id : same_name) {
    spend(tensor.count());
    if (graph_.tensor(id) == tensor) return id;
  }
  same_name.push_back(graph_.parameter(free_name(name), std::move(tensor)));
  return same_name.back();
}

void Importer::spend(std::int64_t elements) {
  budget_ -= elements;
  if (budget_ < 0) {
    throw DataError("the constants of this file multiply far beyond its size; it is damaged or made to exhaust memory");
  }
}

const ::onnx::TensorShapeProto* Importer::declared_shape(const std::string& name) const {
  const auto found = declared_.find(name);
  return found == declared_.end() ? nullptr : found->second;
}

Dims strides(const Dims& dims) {
  Dims result(dims.size(), 1);
  for (std::size_t i = dims.size(); i-- > 1;) result[i - 1] = result[i] * dims[i];
  return result;
}

std::size_t resolve_axis(std::int64_t axis, const Activation& x) {
  const auto rank = static_cast<std::int64_t>(x.axes.size());
  const std::int64_t resolved = axis < 0 ? axis + rank : axis;
  if (resolved < 0 || resolved >= rank)
    throw Misfit(fmt::format("axis {} is outside its input [{}]", axis, to_string(x.axes)));
  return static_cast<std::size_t>(resolved);
}

std::vector<bool> marked(const std::vector<int>& axes, std::size_t rank) {
  std::vector<bool> marks(rank);
  for (const int axis : axes) {
    const std::int64_t resolved = axis < 0 ? axis + static_cast<std::int64_t>(rank) : axis;
    if (resolved < 0 || resolved >= static_cast<std::int64_t>(rank))
      throw Misfit(fmt::format("axis {} is outside its {} axes", axis, rank));
    marks[static_cast<std::size_t>(resolved)] = true;
  }
  return marks;
}

int slice_axis(Axis axis) {
  return axis == Axis::h ? 1 : axis == Axis::w ? 2 : 3;
}

std::vector<float> to_reals(const Constant& constant) {
  if (constant.is_float()) return constant.reals();
  std::vector<float> reals;
  for (const std::int64_t v : constant.integers()) {
    if (v == kBatch) throw DataError("it computes with the batch size");
    reals.push_back(static_cast<float>(v));
  }
  return reals;
}

namespace {

/// A constant in NHWC order, its axes aligned with those of `like` at the end.
/// `fits(axis, size)`: whether the constant may have that extent.
template <class Fits>
Tensor<float> aligned_tensor(const NodeView& node, const Constant& constant, const Activation& like, Fits&& fits) {
  const std::vector<float> elements = to_reals(constant);
  const std::size_t rank = constant.dims.size();
  node.importer().spend(constant.count());
  // Axes align at the end; leading extents of 1 that the activation lacks carry no meaning.
  Shape out;
  std::vector<std::pair<Axis, std::int64_t>> axes;  // of the constant, innermost first, with its stride
  std::int64_t stride = 1;
  for (std::size_t i = 0; i < rank; ++i) {
    const std::int64_t size = constant.dims[rank - 1 - i];
    if (i >= like.axes.size()) {
      if (size != 1)
        throw Misfit(fmt::format("its constant {} has more axes than its input [{}]", to_string(constant.dims),
                                 to_string(like.axes)));
      continue;
    }
    const Axis axis = like.axes[like.axes.size() - 1 - i];
    if (size != 1 && (axis == Axis::n || size < 1 || size > kMaxExtent || !fits(axis, size))) {
      throw Misfit(fmt::format("its constant {} does not broadcast against an input [{}] of {} (NHWC)",
                               to_string(constant.dims), to_string(like.axes),
                               binade::to_string(node.graph().shape(like.id))));
    }
    extent(out, axis) = static_cast<int>(size);
    axes.emplace_back(axis, stride);
    stride *= size;
  }
  Tensor<float> tensor(out);
  std::int64_t step[4] = {0, 0, 0, 0};
  for (const auto& [axis, s] : axes) step[static_cast<std::size_t>(axis)] = s;
  const bool reorder = !like.flattened.empty() && out.c > 1;
  std::int64_t to = 0;
  for (int h = 0; h < out.h; ++h) {
    for (int w = 0; w < out.w; ++w, to += out.c) {
      for (int c = 0; c < out.c; ++c) {
        const std::int64_t from = h * step[1] + w * step[2] + c * step[3];
        tensor[to + (reorder ? physical_channel(like.flattened, c) : c)] = elements[static_cast<std::size_t>(from)];
      }
    }
  }
  return tensor;
}

}  // namespace

Tensor<float> broadcast_tensor(const NodeView& node, const Constant& constant, const Activation& like) {
  const Shape& shape = node.graph().shape(like.id);
  return aligned_tensor(node, constant, like, [&](Axis axis, std::int64_t size) {
    return size == extent(shape, axis) || extent(shape, axis) == 1;
  });
}

Tensor<float> axes_tensor(const NodeView& node, const Constant& constant, const Activation& like) {
  const Shape& shape = node.graph().shape(like.id);
  return aligned_tensor(node, constant, like, [&](Axis axis, std::int64_t size) {
    return axis == Axis::c || size == extent(shape, axis) || extent(shape, axis) == 1;
  });
}

}  // namespace binade::importer
