// Small ONNX files written by tests: inputs, constants, nodes with attributes.
#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include <onnx/onnx_pb.h>

namespace binade::testing_tools {

/// One attribute of a node, from a value of its type.
::onnx::AttributeProto attribute(const std::string& name, std::int64_t value);
::onnx::AttributeProto attribute(const std::string& name, float value);
::onnx::AttributeProto attribute(const std::string& name, const char* value);
::onnx::AttributeProto attribute(const std::string& name, std::vector<std::int64_t> values);

class OnnxBuilder {
 public:
  /// Input "x" with a symbolic batch before `dims`.
  OnnxBuilder(int opset, std::vector<std::int64_t> dims);

  void reals(const std::string& name, std::vector<std::int64_t> dims, const std::vector<float>& values);
  void integers(const std::string& name, const std::vector<std::int64_t>& values);
  /// The node and its single output are called `name`.
  OnnxBuilder& node(const std::string& op, const std::string& name, const std::vector<std::string>& inputs,
                    const std::vector<::onnx::AttributeProto>& attributes = {});
  /// The file, ending in the value `output`.
  std::string bytes(const std::string& output);
  ::onnx::ModelProto& proto() { return proto_; }

 private:
  ::onnx::ModelProto proto_;
};

/// A network that has every operator and form that the importer knows: what the fuzzer starts from.
std::string every_operator();

}  // namespace binade::testing_tools
