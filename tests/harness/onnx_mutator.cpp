// Mutations: bit flips, cuts, moved chunks; and edits of dimensions, attributes, types, names and edges.
#include "tests/harness/onnx_mutator.hpp"

#include <algorithm>
#include <fstream>
#include <iterator>

#include "tests/harness/onnx_builder.hpp"

namespace binade::testing_tools {
namespace {

constexpr std::int64_t kNumbers[] = {0,         1,         -1,        2,         3,         7,
                                     64,        255,       256,       1 << 16,   1 << 20,   (1 << 20) + 1,
                                     INT32_MAX, INT32_MIN, 1LL << 40, INT64_MAX, INT64_MIN, INT64_MIN / 2,
                                     -2,        1LL << 32};
constexpr float kReals[] = {0, -0.0f, 1, -1, 1e38f, -1e38f, 1e-45f, INFINITY, -INFINITY, NAN};
constexpr const char* kOperators[] = {"Conv",
                                      "ConvTranspose",
                                      "Gemm",
                                      "MatMul",
                                      "BatchNormalization",
                                      "LayerNormalization",
                                      "Relu",
                                      "Clip",
                                      "LeakyRelu",
                                      "PRelu",
                                      "Sigmoid",
                                      "HardSigmoid",
                                      "HardSwish",
                                      "Softmax",
                                      "Add",
                                      "Sub",
                                      "Mul",
                                      "Div",
                                      "Neg",
                                      "Sum",
                                      "Min",
                                      "Max",
                                      "Concat",
                                      "Slice",
                                      "Split",
                                      "Pad",
                                      "MaxPool",
                                      "AveragePool",
                                      "GlobalAveragePool",
                                      "GlobalMaxPool",
                                      "ReduceMean",
                                      "Resize",
                                      "Upsample",
                                      "Flatten",
                                      "Reshape",
                                      "Squeeze",
                                      "Unsqueeze",
                                      "Transpose",
                                      "Dropout",
                                      "Identity",
                                      "Constant",
                                      "ConstantOfShape",
                                      "Cast",
                                      "Shape",
                                      "Gather",
                                      "Floor",
                                      "LSTM",
                                      ""};

std::int64_t number(Random& random) {
  return random.below(4) == 0 ? static_cast<std::int64_t>(random.below(300)) - 20
                              : kNumbers[random.below(std::size(kNumbers))];
}

/// A random element of a repeated field, or null.
template <class Field>
auto* pick(Field* field, Random& random) {
  return field->size() == 0 ? nullptr
                            : field->Mutable(static_cast<int>(random.below(static_cast<std::uint64_t>(field->size()))));
}

void edit_attribute(::onnx::AttributeProto& attribute, Random& random) {
  switch (random.below(5)) {
    case 0: attribute.set_i(number(random)); break;
    case 1: attribute.set_f(kReals[random.below(std::size(kReals))]); break;
    case 2:
      if (attribute.ints_size() > 0)
        attribute.set_ints(static_cast<int>(random.below(static_cast<std::uint64_t>(attribute.ints_size()))),
                           number(random));
      break;
    case 3: random.below(2) == 0 ? attribute.add_ints(number(random)) : attribute.clear_ints(); break;
    default: attribute.set_type(static_cast<::onnx::AttributeProto::AttributeType>(random.below(8)));
  }
}

void edit_tensor(::onnx::TensorProto& tensor, Random& random) {
  switch (random.below(7)) {
    case 0:
      if (tensor.dims_size() > 0)
        tensor.set_dims(static_cast<int>(random.below(static_cast<std::uint64_t>(tensor.dims_size()))), number(random));
      break;
    case 1: tensor.add_dims(number(random)); break;
    case 2: tensor.clear_dims(); break;
    case 3: tensor.set_data_type(static_cast<int>(random.below(20))); break;
    case 4:
      tensor.mutable_raw_data()->resize(static_cast<std::size_t>(random.below(2 * tensor.raw_data().size() + 5)));
      break;
    case 5:
      if (tensor.int64_data_size() > 0)
        tensor.set_int64_data(static_cast<int>(random.below(static_cast<std::uint64_t>(tensor.int64_data_size()))),
                              number(random));
      break;
    default:
      if (tensor.raw_data().size() >= 4) {
        const float value = kReals[random.below(std::size(kReals))];
        const std::size_t at = static_cast<std::size_t>(random.below(tensor.raw_data().size() / 4)) * 4;
        tensor.mutable_raw_data()->replace(at, 4, std::string(reinterpret_cast<const char*>(&value), 4));
      }
  }
}

/// The name of some value of the graph.
std::string any_name(::onnx::GraphProto& graph, Random& random) {
  if (random.below(3) == 0 && graph.initializer_size() > 0) return pick(graph.mutable_initializer(), random)->name();
  const auto* node = pick(graph.mutable_node(), random);
  return node != nullptr && node->output_size() > 0 ? node->output(0) : "x";
}

void edit_node(::onnx::GraphProto& graph, ::onnx::NodeProto& node, Random& random) {
  switch (random.below(8)) {
    case 0: node.set_op_type(kOperators[random.below(std::size(kOperators))]); break;
    case 1:
      if (auto* input = pick(node.mutable_input(), random)) *input = any_name(graph, random);
      break;
    case 2: node.add_input(any_name(graph, random)); break;
    case 3:
      if (node.input_size() > 0) node.mutable_input()->RemoveLast();
      break;
    case 4: node.add_output("extra" + std::to_string(random.below(3))); break;
    case 5:
      if (node.attribute_size() > 0) node.mutable_attribute()->RemoveLast();
      break;
    default:
      if (auto* attribute = pick(node.mutable_attribute(), random)) edit_attribute(*attribute, random);
  }
}

std::string read(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

}  // namespace

OnnxMutator::OnnxMutator(const std::filesystem::path& weights) {
  add(every_operator());
  std::vector<std::filesystem::path> paths;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(weights, error)) {
    if (entry.path().extension() == ".onnx") paths.push_back(entry.path());
  }
  std::sort(paths.begin(), paths.end());
  for (const auto& path : paths) {
    std::string bytes = read(path);
    if (bytes.size() > 400000) {
      ::onnx::ModelProto proto;
      proto.ParseFromString(bytes);
      for (auto& tensor : *proto.mutable_graph()->mutable_initializer()) {
        if (tensor.raw_data().size() > 2000) tensor.clear_raw_data();
      }
      bytes = proto.SerializeAsString();
    }
    add(std::move(bytes));
  }
}

void OnnxMutator::add(std::string bytes) {
  Seed seed{.bytes = std::move(bytes), .proto = {}, .interesting = {}};
  seed.proto.ParseFromString(seed.bytes);
  std::vector<bool> dull(seed.bytes.size());
  std::size_t from = 0;
  for (const auto& tensor : seed.proto.graph().initializer()) {
    if (tensor.raw_data().size() < 64) continue;
    const std::size_t at = seed.bytes.find(tensor.raw_data(), from);
    if (at == std::string::npos) continue;
    from = at + tensor.raw_data().size();
    std::fill(dull.begin() + static_cast<std::ptrdiff_t>(at), dull.begin() + static_cast<std::ptrdiff_t>(from), true);
  }
  for (std::size_t i = 0; i < dull.size(); ++i) {
    if (!dull[i]) seed.interesting.push_back(i);
  }
  seeds_.push_back(std::move(seed));
}

void OnnxMutator::edit_bytes(const Seed& seed, Random& random, std::string& bytes) {
  const auto place = [&] {
    const std::size_t at = random.below(10) == 0
                               ? static_cast<std::size_t>(random.below(bytes.size()))
                               : seed.interesting[static_cast<std::size_t>(random.below(seed.interesting.size()))];
    return std::min(at, bytes.size() - 1);
  };
  switch (random.below(6)) {
    case 0:
    case 1:
      for (std::uint64_t flips = 1 + random.below(8); flips > 0; --flips) {
        char& byte = bytes[place()];
        byte = static_cast<char>(byte ^ (1 << random.below(8)));
      }
      break;
    case 2: bytes.resize(place()); break;
    case 3: bytes.erase(place(), static_cast<std::size_t>(1 + random.below(64))); break;
    case 4: bytes.insert(place(), bytes.substr(place(), static_cast<std::size_t>(1 + random.below(200)))); break;
    default: {
      const std::size_t a = place(), b = place(), length = std::min<std::size_t>(64, bytes.size() - std::max(a, b));
      std::swap_ranges(bytes.begin() + static_cast<std::ptrdiff_t>(a),
                       bytes.begin() + static_cast<std::ptrdiff_t>(a + std::min(length, a < b ? b - a : length)),
                       bytes.begin() + static_cast<std::ptrdiff_t>(b));
    }
  }
}

void OnnxMutator::edit_structure(::onnx::ModelProto& proto, Random& random) {
  ::onnx::GraphProto& graph = *proto.mutable_graph();
  switch (random.below(12)) {
    case 0:
    case 1:
    case 2:
      if (auto* tensor = pick(graph.mutable_initializer(), random)) edit_tensor(*tensor, random);
      break;
    case 3:
      if (auto* input = pick(graph.mutable_input(), random)) {
        if (auto* dim = pick(input->mutable_type()->mutable_tensor_type()->mutable_shape()->mutable_dim(), random))
          dim->set_dim_value(number(random));
      }
      break;
    case 4: proto.mutable_opset_import(0)->set_version(static_cast<std::int64_t>(random.below(24))); break;
    case 5:
      if (graph.node_size() > 1)
        graph.mutable_node()->DeleteSubrange(
            static_cast<int>(random.below(static_cast<std::uint64_t>(graph.node_size()))), 1);
      break;
    case 6:
      if (graph.node_size() > 1) {
        const auto n = static_cast<std::uint64_t>(graph.node_size());
        graph.mutable_node()->SwapElements(static_cast<int>(random.below(n)), static_cast<int>(random.below(n)));
      }
      break;
    case 7: graph.mutable_output(0)->set_name(any_name(graph, random)); break;
    case 8:
      if (auto* entry = pick(proto.mutable_metadata_props(), random)) {
        std::string& value = *entry->mutable_value();
        if (!value.empty())
          value[static_cast<std::size_t>(random.below(value.size()))] = "(x/-*.)[]{}\"\x80,9"[random.below(15)];
      }
      break;
    default:
      if (auto* node = pick(graph.mutable_node(), random)) edit_node(graph, *node, random);
  }
}

std::string OnnxMutator::mutate(std::uint64_t seed, std::uint64_t index) const {
  Random random(seed, index);
  const Seed& start = seeds_[random.below(2) == 0 ? 0 : static_cast<std::size_t>(random.below(seeds_.size()))];
  std::string bytes = start.bytes;
  if (random.below(3) != 0) {
    ::onnx::ModelProto proto = start.proto;
    for (std::uint64_t edits = 1 + random.below(4); edits > 0; --edits) edit_structure(proto, random);
    bytes = proto.SerializeAsString();
    if (random.below(8) != 0 || bytes.empty()) return bytes;
  }
  edit_bytes(start, random, bytes);
  return bytes;
}

}  // namespace binade::testing_tools
