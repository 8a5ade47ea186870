// Quantizers in ONNX: pairs of QuantizeLinear and DequantizeLinear, integers for weights, or Clip nodes.
#include <cmath>
#include <optional>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/onnx/exporter.hpp"
#include "core/passes/layers.hpp"

namespace binade::exporter {
namespace {

using Type = ::onnx::TensorProto;

constexpr int kOpset16Bit = 21;  ///< the first whose QuantizeLinear has 16-bit types

/// The codes that the type of a grid has, which may be more than those of the grid.
QuantSpec type_spec(QuantSpec spec) {
  const int bits = spec.bits <= 8 ? 8 : spec.bits <= 16 ? 16 : 32;
  return {spec.frac, static_cast<std::uint8_t>(bits), spec.is_signed};
}

}  // namespace

int code_type(QuantSpec spec) {
  if (spec.bits > 16) return Type::INT32;
  if (spec.bits > 8) return spec.is_signed ? Type::INT16 : Type::UINT16;
  return spec.is_signed ? Type::INT8 : Type::UINT8;
}

bool is_done_by_quantizer(const Graph& graph, const Node& node) {
  const auto readers = graph.consumers(node.out);
  if (readers.size() != 1 || graph.output() == node.out) return false;
  const FakeQuant* quantizer = fixed_quantizer(graph.nodes()[static_cast<std::size_t>(readers[0])].op);
  if (quantizer == nullptr || type_spec(quantizer->spec) != quantizer->spec || quantizer->spec.is_signed) return false;
  if (std::holds_alternative<Relu>(node.op)) return true;
  const auto* clip = std::get_if<Clip>(&node.op);
  return clip != nullptr && clip->lo <= 0 && clip->hi > 0;
}

std::pair<std::string, std::string> Exporter::grid(QuantSpec spec, bool activation) {
  // Runtimes fuse a layer only if its input and output have one type: signed activations are uint8 around 128 then.
  const bool shifted = activation && spec.is_signed && spec.bits <= 8;
  const int type = shifted ? int{Type::UINT8} : code_type(spec), zero_point = shifted ? 128 : 0;
  const auto found = grids_.find({spec.frac, type, zero_point});
  if (found != grids_.end()) return found->second;
  if (type == Type::INT16 || type == Type::UINT16) want_opset(kOpset16Bit);
  const std::string scale = reals(fmt::format("scale_2^{}", -spec.frac), {}, {static_cast<float>(spec.step())});
  Type& zero = *proto_.add_initializer();
  zero.set_name(
      free_name(fmt::format("zero_{}_{}", Type::DataType_Name(static_cast<Type::DataType>(type)), zero_point)));
  zero.set_data_type(type);
  zero.add_int32_data(zero_point);
  return grids_.emplace(std::tuple{int{spec.frac}, type, zero_point}, std::pair{scale, zero.name()}).first->second;
}

std::string Exporter::quantized(const std::string& name, QuantSpec spec, const std::string& result) {
  std::string from = name;
  if (type_spec(spec) != spec) {  // fewer codes than the type has
    const std::string lo = reals(name + ".lowest", {}, {static_cast<float>(spec.min_real())});
    const std::string hi = reals(name + ".highest", {}, {static_cast<float>(spec.max_real())});
    add_helper(name + ".cut", "Clip", {name, lo, hi}, from);
  }
  const auto [scale, zero] = grid(spec, true);
  std::string codes;
  add_helper(name + ".codes", "QuantizeLinear", {from, scale, zero}, codes);
  ::onnx::NodeProto& proto = *proto_.add_node();
  proto.set_name(result + ".dequantize");
  proto.set_op_type("DequantizeLinear");
  for (const std::string& input : {codes, scale, zero}) proto.add_input(input);
  proto.add_output(result);
  return result;
}

void Exporter::add_quantizer(const Node& node, QuantSpec spec) {
  const bool flat = is_flat(node.in[0]);
  const std::string from = flat ? this->flat(node.in[0]) : image(node.in[0]);
  Forms& forms = values_[index_of(node.out)];
  std::string& made = flat ? forms.flat : forms.image;
  const Node* before = graph_.producer(node.in[0]);
  const auto* clip = before == nullptr ? nullptr : std::get_if<Clip>(&before->op);
  if (clip == nullptr || !is_done_by_quantizer(graph_, *before) || clip->hi >= spec.max_real()) {
    made = quantized(from, spec, node.name);
    return;
  }
  // The layer is fused with its quantizer; the clamp then cuts codes. Rounding is monotone: the same codes.
  const Rounding rounding = std::get<FakeQuant>(node.op).rounding;
  const std::string wide = quantized(from, spec, free_name(node.name + ".wide"));
  const std::string lo = reals(before->name + ".min", {}, {0});
  const std::string hi =
      reals(before->name + ".max", {}, {static_cast<float>(fake_quantize(clip->hi, spec, rounding))});
  std::string cut;
  add_helper(before->name, "Clip", {wide, lo, hi}, cut);
  made = quantized(cut, spec, node.name);
}

void Exporter::keep_grid(const Node& node, QuantSpec spec) {
  Forms& forms = values_[index_of(node.out)];
  const Forms& before = values_[index_of(node.in[0])];
  if (forms.image == before.image && forms.flat == before.flat) return;  // the node vanished
  std::string& made = forms.image.empty() ? forms.flat : forms.image;
  made = quantized(made, spec, free_name(made + ".same"));
}

std::string Exporter::integer_parameter(const std::string& name, const Dims& dims, const std::vector<float>& elements,
                                        const FakeQuant& quantizer) {
  const QuantSpec spec = quantizer.spec;
  if (form_ == QuantizerForm::clip) {
    std::vector<float> baked;
    for (const float v : elements) {
      baked.push_back(static_cast<float>(fake_quantize(static_cast<double>(v), spec, quantizer.rounding)));
    }
    return reals(name, dims, baked);
  }
  std::vector<std::int32_t> codes;
  for (const float v : elements) codes.push_back(binade::quantize(static_cast<double>(v), spec, quantizer.rounding));
  return dequantized(name, dims, codes, spec);
}

std::string Exporter::dequantized(const std::string& name, const Dims& dims, const std::vector<std::int32_t>& codes,
                                  QuantSpec spec) {
  Type& tensor = *proto_.add_initializer();
  tensor.set_name(free_name(name + ".codes"));
  tensor.set_data_type(code_type(spec));
  for (const std::int64_t dim : dims) tensor.add_dims(dim);
  const int bytes = spec.bits <= 8 ? 1 : spec.bits <= 16 ? 2 : 4;
  std::string& raw = *tensor.mutable_raw_data();
  raw.reserve(codes.size() * static_cast<std::size_t>(bytes));
  for (const std::int32_t code : codes) {
    for (int byte = 0; byte < bytes; ++byte) raw.push_back(static_cast<char>(code >> (8 * byte)));  // little-endian
  }
  const auto [scale, zero] = grid(spec, false);
  std::string result;
  add_helper(name + ".reals", "DequantizeLinear", {tensor.name(), scale, zero}, result);
  return result;
}

std::string Exporter::bias(const Node& node) {
  const ValueId id = node.in[kBias];
  const std::optional<QuantSpec> x = spec_of(graph_, node.in[kInput]), w = spec_of(graph_, node.in[kWeights]);
  if (form_ != QuantizerForm::qdq || graph_.is_parameter(id) || !x || !w) return vector(id);
  const auto& quantizer = std::get<FakeQuant>(graph_.producer(id)->op);
  const QuantSpec accumulator{static_cast<std::int8_t>(x->frac + w->frac), 32, true};
  const int shift = accumulator.frac - quantizer.spec.frac;
  std::vector<std::int32_t> codes;
  bool fits = shift >= 0 && shift < 32;
  for (const float v : stored(id).span()) {
    const std::int64_t code = binade::quantize(static_cast<double>(v), quantizer.spec, quantizer.rounding);
    const std::int64_t shifted = fits ? code * (std::int64_t{1} << shift) : 0;
    fits = fits && shifted >= accumulator.min_code() && shifted <= accumulator.max_code();
    codes.push_back(static_cast<std::int32_t>(shifted));
  }
  if (fits) return dequantized(graph_.name(id), {static_cast<std::int64_t>(codes.size())}, codes, accumulator);
  std::vector<float> reals_of_codes;
  for (const float v : stored(id).span()) {
    reals_of_codes.push_back(
        static_cast<float>(fake_quantize(static_cast<double>(v), quantizer.spec, quantizer.rounding)));
  }
  return reals(graph_.name(id), {static_cast<std::int64_t>(reals_of_codes.size())}, reals_of_codes);
}

}  // namespace binade::exporter
