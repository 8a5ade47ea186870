// ONNX files as protobuf, by hand.
#include "tests/harness/onnx_builder.hpp"

#include <numeric>

namespace binade::testing_tools {

::onnx::AttributeProto attribute(const std::string& name, std::int64_t value) {
  ::onnx::AttributeProto a;
  a.set_name(name);
  a.set_type(::onnx::AttributeProto::INT);
  a.set_i(value);
  return a;
}

::onnx::AttributeProto attribute(const std::string& name, float value) {
  ::onnx::AttributeProto a;
  a.set_name(name);
  a.set_type(::onnx::AttributeProto::FLOAT);
  a.set_f(value);
  return a;
}

::onnx::AttributeProto attribute(const std::string& name, const char* value) {
  ::onnx::AttributeProto a;
  a.set_name(name);
  a.set_type(::onnx::AttributeProto::STRING);
  a.set_s(value);
  return a;
}

::onnx::AttributeProto attribute(const std::string& name, std::vector<std::int64_t> values) {
  ::onnx::AttributeProto a;
  a.set_name(name);
  a.set_type(::onnx::AttributeProto::INTS);
  for (const std::int64_t v : values) a.add_ints(v);
  return a;
}

OnnxBuilder::OnnxBuilder(int opset, std::vector<std::int64_t> dims) {
  proto_.set_ir_version(8);
  proto_.add_opset_import()->set_version(opset);
  auto* input = proto_.mutable_graph()->add_input();
  input->set_name("x");
  auto* type = input->mutable_type()->mutable_tensor_type();
  type->set_elem_type(::onnx::TensorProto::FLOAT);
  type->mutable_shape()->add_dim()->set_dim_param("N");
  for (const std::int64_t extent : dims) type->mutable_shape()->add_dim()->set_dim_value(extent);
}

void OnnxBuilder::reals(const std::string& name, std::vector<std::int64_t> dims, const std::vector<float>& values) {
  auto* tensor = proto_.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(::onnx::TensorProto::FLOAT);
  for (const std::int64_t extent : dims) tensor->add_dims(extent);
  tensor->set_raw_data(values.data(), values.size() * sizeof(float));
}

void OnnxBuilder::integers(const std::string& name, const std::vector<std::int64_t>& values) {
  auto* tensor = proto_.mutable_graph()->add_initializer();
  tensor->set_name(name);
  tensor->set_data_type(::onnx::TensorProto::INT64);
  tensor->add_dims(static_cast<std::int64_t>(values.size()));
  for (const std::int64_t v : values) tensor->add_int64_data(v);
}

OnnxBuilder& OnnxBuilder::node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                               const std::vector<::onnx::AttributeProto>& attributes) {
  auto* node = proto_.mutable_graph()->add_node();
  node->set_op_type(op);
  node->set_name(name);
  for (const std::string& input : inputs) node->add_input(input);
  node->add_output(name);
  for (const auto& a : attributes) *node->add_attribute() = a;
  return *this;
}

std::string OnnxBuilder::bytes(const std::string& output) {
  proto_.mutable_graph()->clear_output();
  proto_.mutable_graph()->add_output()->set_name(output);
  return proto_.SerializeAsString();
}

std::string every_operator() {
  const auto ramp = [](std::size_t n) {
    std::vector<float> values(n);
    std::iota(values.begin(), values.end(), -3.0f);
    for (float& v : values) v *= 0.125f;
    return values;
  };
  OnnxBuilder b(13, {3, 8, 8});
  b.reals("w1", {4, 3, 3, 3}, ramp(108));
  b.reals("wt", {4, 2, 2, 2}, ramp(32));
  b.reals("four", {4}, {1, 2, 3, 4});
  b.reals("slope", {4, 1, 1}, {0.1f, 0.2f, 0.3f, 0.4f});
  b.reals("three", {}, {3});
  b.reals("zero", {}, {0});
  b.reals("six", {}, {6});
  b.reals("scales", {4}, {1, 1, 2, 2});
  b.reals("w2", {126, 5}, ramp(630));
  b.reals("w3", {5, 5}, ramp(25));
  b.reals("five", {5}, ramp(5));
  b.integers("n0", {0});
  b.integers("n1", {1});
  b.integers("n2", {2});
  b.integers("n4", {4});
  b.integers("n-1", {-1});
  b.integers("pads", {0, 0, 1, 0, 0, 0, 0, 1});
  b.integers("sizes", {2, 2});
  b.node("Conv", "conv", {"x", "w1", "four"}, {attribute("auto_pad", "SAME_UPPER"), attribute("strides", {2, 2})});
  b.node("BatchNormalization", "bn", {"conv", "four", "four", "four", "four"}, {attribute("epsilon", 1e-3f)});
  b.node("Clip", "clip", {"bn", "zero", "six"}).node("PRelu", "prelu", {"clip", "slope"});
  b.node("Add", "plus3", {"prelu", "three"}).node("Clip", "gate", {"plus3", "zero", "six"});
  b.node("Mul", "product", {"prelu", "gate"}).node("Div", "swish", {"product", "six"});
  b.node("HardSigmoid", "hs", {"swish"}).node("LeakyRelu", "leaky", {"hs"}, {attribute("alpha", 0.2f)});
  b.node("Sub", "sub", {"leaky", "swish"}).node("Sigmoid", "sigmoid", {"sub"});
  b.node("ConvTranspose", "up", {"sigmoid", "wt"}, {attribute("strides", {2, 2}), attribute("group", std::int64_t{1})});
  b.node("MaxPool", "max", {"up"},
         {attribute("kernel_shape", {3, 3}), attribute("strides", {2, 2}), attribute("pads", {1, 1, 1, 1})});
  b.node("AveragePool", "mean", {"up"},
         {attribute("kernel_shape", {2, 2}), attribute("strides", {2, 2}), attribute("ceil_mode", std::int64_t{1})});
  b.node("Concat", "concat", {"max", "mean"}, {attribute("axis", std::int64_t{1})});
  b.node("Resize", "resize", {"concat", "", "scales"},
         {attribute("mode", "linear"), attribute("coordinate_transformation_mode", "pytorch_half_pixel")});
  b.node("Slice", "slice", {"resize", "n1", "n-1", "n2", "n1"}).node("Pad", "pad", {"slice", "pads"});
  b.node("Shape", "shape", {"pad"}).node("Gather", "batch", {"shape", "n0"}, {attribute("axis", std::int64_t{0})});
  b.node("Split", "split", {"pad", "sizes"}, {attribute("axis", std::int64_t{1})});
  b.proto().mutable_graph()->mutable_node(b.proto().graph().node_size() - 1)->add_output("split.b");
  b.node("Max", "max0", {"split", "zero"}).node("Add", "join", {"max0", "split.b"});
  b.node("GlobalAveragePool", "gap", {"join"}).node("ReduceMean", "rm", {"join"}, {attribute("axes", {2, 3})});
  b.node("Mul", "scaled", {"join", "rm"}).node("Add", "shifted", {"scaled", "gap"});
  b.node("Transpose", "nhwc", {"shifted"}, {attribute("perm", {0, 2, 3, 1})});
  b.node("Transpose", "nchw", {"nhwc"}, {attribute("perm", {0, 3, 1, 2})}).node("Dropout", "dropout", {"nchw"});
  b.node("Concat", "wanted", {"batch", "n-1"}, {attribute("axis", std::int64_t{0})})
      .node("Reshape", "flat", {"dropout", "wanted"});
  b.node("Gemm", "fc", {"flat", "w2", "five"}, {attribute("alpha", 0.5f)});
  b.node("MatMul", "fc2", {"fc", "w3"}).node("Add", "fc2.bias", {"fc2", "five"});
  b.node("Unsqueeze", "wide", {"fc2.bias", "n2"}).node("Squeeze", "narrow", {"wide", "n2"});
  b.node("Softmax", "softmax", {"narrow"}, {attribute("axis", std::int64_t{-1})});
  return b.bytes("softmax");
}

}  // namespace binade::testing_tools
