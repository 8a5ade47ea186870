// Attributes, inputs and results of one ONNX node, with errors that say what was found and wanted.
#include <algorithm>
#include <cmath>
#include <map>
#include <optional>

#include <fmt/format.h>

#include "core/io/onnx/importer.hpp"

namespace binade::importer {
namespace {

std::string attribute_type(const ::onnx::AttributeProto& attribute) {
  return ::onnx::AttributeProto::AttributeType_Name(attribute.type());
}

/// Moves a number to the nearest believable extent.
int saturated(std::int64_t v) {
  return static_cast<int>(std::clamp<std::int64_t>(v, -kMaxExtent, kMaxExtent));
}

int believed(std::int64_t v, std::string_view what) {
  if (v < -kMaxExtent || v > kMaxExtent) throw DataError(fmt::format("{} is {}, which is absurd", what, v));
  return static_cast<int>(v);
}

/// The index of a flat position in a tensor: "[3, 0, 1, 1]".
std::string index_text(std::int64_t flat, const Dims& dims) {
  Dims index(dims.size());
  const Dims step = strides(dims);
  for (std::size_t i = 0; i < dims.size(); ++i) index[i] = flat / step[i] % dims[i];
  return to_string(index);
}

}  // namespace

NodeView::NodeView(Importer& importer, const ::onnx::NodeProto& proto) : importer_(importer), proto_(proto) {
  name_ = !proto.name().empty() ? proto.name() : proto.output_size() > 0 ? proto.output(0) : "";
}

const ::onnx::AttributeProto* NodeView::attribute(std::string_view name) const {
  for (const auto& candidate : proto_.attribute()) {
    if (candidate.name() == name) return &candidate;
  }
  return nullptr;
}

std::int64_t NodeView::integer(std::string_view name, std::int64_t fallback) const {
  const auto* found = attribute(name);
  if (found == nullptr) return fallback;
  if (found->type() != ::onnx::AttributeProto::INT) {
    throw DataError(fmt::format("attribute '{}' is of type {}, want INT", name, attribute_type(*found)));
  }
  return believed(found->i(), fmt::format("attribute '{}'", name));
}

double NodeView::real(std::string_view name, double fallback) const {
  const auto* found = attribute(name);
  if (found == nullptr) return fallback;
  if (found->type() != ::onnx::AttributeProto::FLOAT) {
    throw DataError(fmt::format("attribute '{}' is of type {}, want FLOAT", name, attribute_type(*found)));
  }
  if (std::isnan(found->f())) throw DataError(fmt::format("attribute '{}' is NaN", name));
  // The shortest decimal that means this float: 0.1f becomes 0.1, not 0.10000000149.
  return std::isfinite(found->f()) ? std::stod(fmt::format("{}", found->f())) : static_cast<double>(found->f());
}

std::string NodeView::text(std::string_view name, std::string fallback) const {
  const auto* found = attribute(name);
  if (found == nullptr) return fallback;
  if (found->type() != ::onnx::AttributeProto::STRING) {
    throw DataError(fmt::format("attribute '{}' is of type {}, want STRING", name, attribute_type(*found)));
  }
  return found->s();
}

std::vector<int> NodeView::integers(std::string_view name, bool saturate) const {
  const auto* found = attribute(name);
  if (found == nullptr) return {};
  if (found->type() != ::onnx::AttributeProto::INTS) {
    throw DataError(fmt::format("attribute '{}' is of type {}, want INTS", name, attribute_type(*found)));
  }
  std::vector<int> values;
  for (const std::int64_t v : found->ints()) {
    values.push_back(saturate ? saturated(v) : believed(v, fmt::format("an element of attribute '{}'", name)));
  }
  return values;
}

bool NodeView::is_constant(int i) const {
  if (!has_input(i)) return false;
  const Known* known = importer_.find(input_name(i));
  return known != nullptr && std::holds_alternative<Constant>(*known);
}

bool NodeView::reads_guess() const {
  for (int i = 0; i < inputs(); ++i) {
    if (!has_input(i) || importer_.is_initializer(input_name(i))) continue;
    const Known* known = importer_.find(input_name(i));
    if (known == nullptr) continue;
    if (const auto* activation = std::get_if<Activation>(known); activation != nullptr && activation->guessed)
      return true;
  }
  return false;
}

namespace {

const Known& known_input(const NodeView& node, int i, std::string_view what) {
  if (!node.has_input(i)) {
    throw DataError(fmt::format("it has {} input{}, its {} (input {}) is missing", node.inputs(),
                                node.inputs() == 1 ? "" : "s", what, i));
  }
  const Known* known = node.importer().find(node.input_name(i));
  if (known == nullptr) {
    throw DataError(fmt::format("its {} '{}' is made by no initializer, input or earlier node; the file is damaged",
                                what, node.input_name(i)));
  }
  return *known;
}

}  // namespace

const Activation& NodeView::activation(int i) const {
  const Known& known = known_input(*this, i, "input");
  if (const auto* activation = std::get_if<Activation>(&known)) return *activation;
  throw DataError(fmt::format("its input '{}' is a constant; want a result of the network", input_name(i)));
}

const Constant& NodeView::constant(int i, std::string_view what) const {
  const Known& known = known_input(*this, i, what);
  if (const auto* constant = std::get_if<Constant>(&known)) return *constant;
  throw DataError(fmt::format("its {} '{}' is computed from the image; want a constant", what, input_name(i)));
}

std::vector<int> NodeView::integer_list(int i, std::string_view what) const {
  const Constant& found = constant(i, what);
  if (found.is_float()) throw DataError(fmt::format("its {} '{}' holds reals, want integers", what, input_name(i)));
  if (found.count() > 64)
    throw DataError(fmt::format("its {} '{}' has {} elements", what, input_name(i), found.count()));
  std::vector<int> values;
  for (const std::int64_t v : found.integers()) {
    if (v == kBatch) throw DataError(fmt::format("its {} '{}' depends on the batch size", what, input_name(i)));
    values.push_back(saturated(v));
  }
  return values;
}

namespace {

/// The reshape that makes the axes of an activation those that are wanted, if the elements already lie in that order in
/// memory, for example in a row that became channels.
std::optional<Reshape> relabeled(const Activation& x, const Shape& shape, const std::vector<Axis>& wanted) {
  std::map<Axis, Axis> names;  // of the axes whose extent is not 1, in the order of memory
  std::map<Axis, int> extents;
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    if ((x.axes[k] == Axis::n) != (wanted[k] == Axis::n)) return std::nullopt;
    const auto size = static_cast<int>(extent(shape, x.axes[k]));
    if (wanted[k] != Axis::n) extents[wanted[k]] = size;
    if (wanted[k] != Axis::n && size != 1) names[x.axes[k]] = wanted[k];
  }
  Axis last = Axis::n;
  for (const auto& [from, to] : names) {
    if (to < last) return std::nullopt;
    last = to;
  }
  const auto size_of = [&](Axis axis) { return extents.contains(axis) ? extents[axis] : 1; };
  return Reshape{.h = size_of(Axis::h), .w = size_of(Axis::w), .c = size_of(Axis::c)};
}

}  // namespace

Activation NodeView::image(int i) const {
  Activation activation = this->activation(i);
  const std::vector<Axis>& wanted = activation.axes.size() == 3 ? kNcw : kNchw;
  if (activation.axes == wanted) return activation;
  if (activation.axes.size() != wanted.size()) {
    throw Misfit(fmt::format("its input '{}' has {} axes, want 4 (batch, channels, height, width) or 3", input_name(i),
                             activation.axes.size()));
  }
  const Shape& shape = graph().shape(activation.id);
  for (std::size_t k = 0; k < wanted.size(); ++k) {
    if (activation.axes[k] != wanted[k] && extent(shape, activation.axes[k]) != 1) {
      if (const auto reshape = relabeled(activation, shape, wanted); reshape && activation.flattened.empty()) {
        activation.id = add(*reshape, {activation.id}, ".axes");
        break;
      }
      throw Misfit(fmt::format("its input '{}' has the axes {} after transpositions; want {}", input_name(i),
                               to_string(activation.axes), to_string(wanted)));
    }
  }
  // Axes that are elsewhere have extent 1, so a renamed axis names an extent that is 1 as well.
  activation.axes = wanted;
  return activation;
}

ValueId NodeView::add(Op op, std::vector<ValueId> in, std::string_view suffix) const {
  const std::string wanted = name_ + std::string(suffix);
  const ValueId id = graph().add(importer_.free_name(wanted), std::move(op), std::move(in));
  const Shape& shape = graph().shape(id);
  const bool absurd = shape.h < 1 || shape.w < 1 || shape.c < 1 || shape.h > kMaxExtent || shape.w > kMaxExtent ||
                      shape.c > kMaxExtent || std::int64_t{shape.h} * shape.w > kMaxElements ||
                      std::int64_t{shape.h} * shape.w * shape.c > kMaxElements;
  if (absurd) throw Misfit(fmt::format("it makes a tensor of {} (NHWC), which is absurd", binade::to_string(shape)));
  return id;
}

void NodeView::result(int output, Known known) const {
  if (output >= proto_.output_size()) throw DataError(fmt::format("it has no output {}", output));
  if (proto_.output(output).empty()) return;
  if (auto* activation = std::get_if<Activation>(&known)) activation->guessed = activation->guessed || reads_guess();
  importer_.define(proto_.output(output), std::move(known));
}

void NodeView::result(ValueId id, const Activation& like) const {
  Activation made = like;
  made.id = id;
  result(0, std::move(made));
}

void NodeView::unary(Op op) const {
  const Activation x = activation(0);
  result(add(std::move(op), {x.id}), x);
}

void NodeView::alias() const {
  result(0, activation(0));
}

void NodeView::ending() const {
  Activation x = activation(0);
  if (x.ending.empty()) x.ending = op();
  result(0, std::move(x));
}

ValueId NodeView::parameter(int i, std::string_view suffix, Tensor<float> tensor) const {
  if (!has_input(i) || !importer_.is_initializer(input_name(i))) {
    return importer_.parameter(name_ + std::string(suffix), std::move(tensor));
  }
  // Looked at as the file has it, so that the index in the message is the one that ONNX tools show.
  const Constant& stored = constant(i, "tensor");
  if (stored.is_float()) {
    const auto& reals = stored.reals();
    const auto finite = [](float v) { return std::isfinite(v); };
    const auto bad = std::find_if_not(reals.begin(), reals.end(), finite);
    if (bad != reals.end()) {
      const auto count = reals.end() - bad - std::count_if(bad, reals.end(), finite);
      throw DataError(fmt::format(
          "tensor '{}' {} holds {} at index {}{}; did training diverge, or is the file damaged?", input_name(i),
          to_string(stored.dims), std::isnan(*bad) ? "NaN" : "Inf", index_text(bad - reals.begin(), stored.dims),
          count > 1 ? fmt::format(" and {} more that are not finite", count - 1) : ""));
    }
  }
  return importer_.parameter(input_name(i), std::move(tensor));
}

ValueId NodeView::channel_parameter(int i, std::string_view what, const Activation& like) const {
  const Constant& constant = this->constant(i, what);
  const int channels = graph().shape(like.id).c;
  if (constant.count() != channels) {
    throw Misfit(fmt::format("its {} '{}' has the extents {}, its input has {} channels", what, input_name(i),
                             to_string(constant.dims), channels));
  }
  const std::vector<float> elements = to_reals(constant);
  importer_.spend(constant.count());
  Tensor<float> tensor(channel_shape(channels));
  for (int c = 0; c < channels; ++c) {
    tensor[physical_channel(like.flattened, c)] = elements[static_cast<std::size_t>(c)];
  }
  return parameter(i, fmt::format(".{}", what), std::move(tensor));
}

}  // namespace binade::importer
