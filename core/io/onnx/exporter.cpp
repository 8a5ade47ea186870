// Names, layouts and constants of an export.
#include "core/io/onnx/exporter.hpp"

#include <bit>
#include <cstring>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/passes/layers.hpp"

namespace binade::exporter {
namespace {

static_assert(std::endian::native == std::endian::little, "raw_data is little-endian");

template <class T>
void set_elements(::onnx::TensorProto& tensor, const std::vector<T>& elements) {
  tensor.set_raw_data(elements.data(), elements.size() * sizeof(T));
}

/// Elements of {n, h, w, c} as [n, c, h, w].
std::vector<float> channels_first(const Tensor<float>& tensor) {
  const Shape s = tensor.shape();
  std::vector<float> elements(static_cast<std::size_t>(s.count()));
  std::size_t to = 0;
  for (int n = 0; n < s.n; ++n) {
    for (int c = 0; c < s.c; ++c) {
      for (std::int64_t p = 0; p < std::int64_t{s.h} * s.w; ++p, ++to) {
        elements[to] = tensor[(std::int64_t{n} * s.h * s.w + p) * s.c + c];
      }
    }
  }
  return elements;
}

}  // namespace

::onnx::AttributeProto& NodeWriter::attribute(std::string_view name) {
  ::onnx::AttributeProto& attribute = *proto_.add_attribute();
  attribute.set_name(std::string(name));
  return attribute;
}

NodeWriter& NodeWriter::set(std::string_view name, std::int64_t value) {
  ::onnx::AttributeProto& made = attribute(name);
  made.set_type(::onnx::AttributeProto::INT);
  made.set_i(value);
  return *this;
}

NodeWriter& NodeWriter::set(std::string_view name, double value) {
  ::onnx::AttributeProto& made = attribute(name);
  made.set_type(::onnx::AttributeProto::FLOAT);
  made.set_f(static_cast<float>(value));
  return *this;
}

NodeWriter& NodeWriter::set(std::string_view name, const Dims& values) {
  ::onnx::AttributeProto& made = attribute(name);
  made.set_type(::onnx::AttributeProto::INTS);
  for (const std::int64_t value : values) made.add_ints(value);
  return *this;
}

NodeWriter& NodeWriter::set(std::string_view name, std::string_view value) {
  ::onnx::AttributeProto& made = attribute(name);
  made.set_type(::onnx::AttributeProto::STRING);
  made.set_s(std::string(value));
  return *this;
}

Exporter::Exporter(const Graph& graph, ::onnx::GraphProto& proto, QuantizerForm form)
    : graph_(graph), proto_(proto), form_(form), values_(graph.values().size()) {
  for (const Value& value : graph.values()) names_.insert(value.name);
}

std::string Exporter::free_name(const std::string& wanted) {
  std::string name = wanted;
  for (int i = 2; !names_.insert(name).second; ++i) name = fmt::format("{}.{}", wanted, i);
  return name;
}

void Exporter::describe(::onnx::ValueInfoProto& info, const std::string& name, const Dims& dims) {
  info.set_name(name);
  auto& type = *info.mutable_type()->mutable_tensor_type();
  type.set_elem_type(::onnx::TensorProto::FLOAT);
  type.mutable_shape()->add_dim()->set_dim_param("N");
  for (const std::int64_t dim : dims) type.mutable_shape()->add_dim()->set_dim_value(dim);
}

void Exporter::input(ValueId id) {
  const Shape& s = graph_.shape(id);
  const bool is_flat = s.h == 1 && s.w == 1;
  describe(*proto_.add_input(), graph_.name(id), is_flat ? Dims{s.c} : Dims{s.c, s.h, s.w});
  (is_flat ? values_[index_of(id)].flat : values_[index_of(id)].image) = graph_.name(id);
}

void Exporter::output(ValueId id) {
  const Shape& s = graph_.shape(id);
  const bool as_flat = can_be_flat(id);
  const std::string name = as_flat ? flat(id) : image(id);
  describe(*proto_.add_output(), name, as_flat ? Dims{s.c} : Dims{s.c, s.h, s.w});
}

bool Exporter::can_be_flat(ValueId id) const {
  const Shape& s = graph_.shape(id);
  return s.n == 1 && s.h == 1 && s.w == 1;
}

bool Exporter::is_constant(ValueId id) const {
  if (graph_.is_parameter(id)) return true;
  const Node* quantizer = form_ == QuantizerForm::none ? nullptr : graph_.producer(id);
  return quantizer != nullptr && fixed_quantizer(quantizer->op) != nullptr && graph_.is_parameter(quantizer->in[0]);
}

const Tensor<float>& Exporter::stored(ValueId id) const {
  return graph_.tensor(graph_.is_parameter(id) ? id : graph_.producer(id)->in[0]);
}

bool Exporter::is_flat(ValueId id) const {
  if (is_constant(id)) return can_be_flat(id);
  const Forms& forms = values_[index_of(id)];
  return forms.image.empty() && !forms.flat.empty();
}

std::string Exporter::image(ValueId id) {
  if (is_constant(id)) {
    const Shape& s = graph_.shape(id);
    if (const std::string* name = known(id, "image")) return *name;
    return parameter(id, "image", {s.n, s.c, s.h, s.w}, channels_first(stored(id)));
  }
  Forms& forms = values_[index_of(id)];
  if (forms.image.empty()) {
    const std::string axes = integers(graph_.name(id) + ".axes", {2, 3});
    add_helper(graph_.name(id) + ".image", "Unsqueeze", {forms.flat, axes}, forms.image);
  }
  return forms.image;
}

std::string Exporter::flat(ValueId id) {
  require(can_be_flat(id), "'" + graph_.name(id) + "' has pixels");
  if (is_constant(id)) return vector(id);
  Forms& forms = values_[index_of(id)];
  if (forms.flat.empty()) {
    add_helper(graph_.name(id) + ".flat", "Flatten", {forms.image}, forms.flat).set("axis", 1);
    const std::optional<QuantSpec> spec = form_ == QuantizerForm::qdq ? spec_of(graph_, id) : std::nullopt;
    if (spec) forms.flat = quantized(forms.flat, *spec, forms.flat + ".dequantized");
  }
  return forms.flat;
}

const std::string* Exporter::known(ValueId id, std::string_view form) const {
  const auto found = parameters_.find({index_of(id), form});
  return found == parameters_.end() ? nullptr : &found->second;
}

std::string Exporter::parameter(ValueId id, std::string_view form, const Dims& dims,
                                const std::vector<float>& elements) {
  // The first form bears the parameter's own name.
  const auto other = parameters_.lower_bound({index_of(id), std::string_view()});
  const bool first = other == parameters_.end() || other->first.first != index_of(id);
  const std::string name = first ? graph_.name(id) : free_name(graph_.name(id));
  if (!graph_.is_parameter(id)) {
    const auto& quantizer = std::get<FakeQuant>(graph_.producer(id)->op);
    return parameters_.emplace(std::pair{index_of(id), form}, integer_parameter(name, dims, elements, quantizer))
        .first->second;
  }
  ::onnx::TensorProto& tensor = *proto_.add_initializer();
  tensor.set_name(name);
  tensor.set_data_type(::onnx::TensorProto::FLOAT);
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  set_elements(tensor, elements);
  return parameters_.emplace(std::pair{index_of(id), form}, name).first->second;
}

std::string Exporter::kernel(ValueId id) {
  if (const std::string* name = known(id, "kernel")) return *name;
  const Shape& s = graph_.shape(id);
  return parameter(id, "kernel", {s.n, s.c, s.h, s.w}, channels_first(stored(id)));
}

std::string Exporter::transposed_kernel(ValueId id, int groups) {
  if (const std::string* name = known(id, "transposed")) return *name;
  const Shape s = graph_.shape(id);  // {oc, kh, kw, ic / groups}
  const Tensor<float>& tensor = stored(id);
  const int outputs = s.n / groups;
  std::vector<float> elements;
  elements.reserve(static_cast<std::size_t>(s.count()));
  for (int in = 0; in < s.c * groups; ++in) {
    for (int out = 0; out < outputs; ++out) {
      const std::int64_t kernel = std::int64_t{in / s.c} * outputs + out;
      for (std::int64_t p = 0; p < std::int64_t{s.h} * s.w; ++p) {
        elements.push_back(tensor[(kernel * s.h * s.w + p) * s.c + in % s.c]);
      }
    }
  }
  return parameter(id, "transposed", {std::int64_t{s.c} * groups, outputs, s.h, s.w}, elements);
}

std::string Exporter::matrix(ValueId id) {
  if (const std::string* name = known(id, "matrix")) return *name;
  const Tensor<float>& tensor = stored(id);
  return parameter(id, "matrix", {tensor.shape().n, tensor.shape().c}, {tensor.span().begin(), tensor.span().end()});
}

std::string Exporter::vector(ValueId id) {
  if (const std::string* name = known(id, "vector")) return *name;
  const Tensor<float>& tensor = stored(id);
  return parameter(id, "vector", {tensor.count()}, {tensor.span().begin(), tensor.span().end()});
}

std::string Exporter::reals(const std::string& name, const Dims& dims, const std::vector<float>& elements) {
  ::onnx::TensorProto& tensor = *proto_.add_initializer();
  tensor.set_name(free_name(name));
  tensor.set_data_type(::onnx::TensorProto::FLOAT);
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  set_elements(tensor, elements);
  return tensor.name();
}

std::string Exporter::integers(const std::string& name, const std::vector<std::int64_t>& elements) {
  ::onnx::TensorProto& tensor = *proto_.add_initializer();
  tensor.set_name(free_name(name));
  tensor.set_data_type(::onnx::TensorProto::INT64);
  tensor.add_dims(static_cast<std::int64_t>(elements.size()));
  set_elements(tensor, elements);
  return tensor.name();
}

NodeWriter Exporter::add(const Node& node, std::string_view op, const std::vector<std::string>& in, bool flat) {
  ::onnx::NodeProto& proto = *proto_.add_node();
  proto.set_name(node.name);
  proto.set_op_type(std::string(op));
  for (const std::string& name : in) proto.add_input(name);
  proto.add_output(node.name);
  Forms& forms = values_[index_of(node.out)];
  (flat ? forms.flat : forms.image) = node.name;
  return NodeWriter(proto);
}

NodeWriter Exporter::add_helper(const std::string& name, std::string_view op, const std::vector<std::string>& in,
                                std::string& result) {
  ::onnx::NodeProto& proto = *proto_.add_node();
  proto.set_name(free_name(name));
  proto.set_op_type(std::string(op));
  for (const std::string& input : in) proto.add_input(input);
  proto.add_output(proto.name());
  result = proto.name();
  return NodeWriter(proto);
}

void Exporter::alias(const Node& node) {
  values_[index_of(node.out)] = values_[index_of(node.in[0])];
}

}  // namespace binade::exporter
