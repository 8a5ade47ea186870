// Forms that exporters write around the layers: orders, endings, outputs, signals, constants, tensors in other files.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/io/onnx_import.hpp"
#include "tests/harness/onnx_builder.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;
using testing_tools::attribute;
using testing_tools::OnnxBuilder;

using Axes = std::vector<std::int64_t>;

constexpr std::int64_t kZero = 0, kOne = 1;

Model import_bytes(const std::string& bytes, const ReadOptions& options = {}) {
  return import_onnx(std::as_bytes(std::span(bytes)), "test.onnx", options);
}

std::string refusal(const std::string& bytes, const ReadOptions& options = {}) {
  try {
    import_bytes(bytes, options);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

testing::AssertionResult holds(const std::string& message, const std::string& words) {
  if (message.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "wanted \"" << words << "\" in: " << message;
}

/// Runs one image whose elements are in the order of our tensor.
std::vector<float> run(const Model& model, const std::vector<float>& elements) {
  const Tensor<float> image(model.graph.shape(model.graph.inputs()[0]), elements);
  Executor<float> executor(model.graph);
  const View<const float> out = executor.forward(image.view());
  return {out.span().begin(), out.span().end()};
}

void add_output(OnnxBuilder& b, const std::string& name) {
  b.proto().mutable_graph()->add_output()->set_name(name);
}

TEST(OnnxForms, UnsortedNodesAreSorted) {
  OnnxBuilder b(13, {1, 1, 2});
  b.reals("two", {1}, {2});
  b.node("Mul", "last", {"middle", "two"}).node("Relu", "middle", {"first"}).node("Neg", "first", {"x"});
  EXPECT_EQ(run(import_bytes(b.bytes("last")), {-3, 5}), (std::vector<float>{6, 0}));
}

/// The five columns of a row become channels: no element moves, but every extent has another name.
TEST(OnnxForms, ARowBecomesChannels) {
  OnnxBuilder b(13, {1, 1, 5});
  b.reals("w", {1, 5, 1, 1}, {1, 10, 100, 1000, 10000});
  b.node("Transpose", "columns", {"x"}, {attribute("perm", Axes{0, 3, 1, 2})}).node("Conv", "y", {"columns", "w"});
  EXPECT_EQ(run(import_bytes(b.bytes("y")), {1, 2, 3, 4, 5}), (std::vector<float>{54321}));
}

TEST(OnnxForms, ACycleIsNamed) {
  OnnxBuilder b(13, {1, 1, 2});
  b.node("Add", "a", {"x", "b"}).node("Relu", "b", {"a"});
  EXPECT_TRUE(holds(refusal(b.bytes("b")), "node 'a' (Add) depends on its own result"));
}

TEST(OnnxForms, OneOfSeveralOutputsIsChosen) {
  OnnxBuilder b(13, {1, 1, 2});
  b.node("Relu", "features", {"x"}).node("Neg", "scores", {"features"});
  std::string bytes = b.bytes("features");
  add_output(b, "scores");
  b.proto().SerializeToString(&bytes);
  EXPECT_TRUE(holds(refusal(bytes), "the network has 2 outputs; choose one with --output NAME: 'features'"));
  EXPECT_TRUE(holds(refusal(bytes, {.output = "logits"}), "has no output 'logits'; it has 'features'"));
  EXPECT_EQ(run(import_bytes(bytes, {.output = "scores"}), {-3, 5}), (std::vector<float>{-0.0F, -5}));
  EXPECT_EQ(run(import_bytes(bytes, {.output = "features"}), {-3, 5}), (std::vector<float>{0, 5}));
}

TEST(OnnxForms, OperatorsThatKeepTheOrderOfClassesAreLeftOutAtTheEnd) {
  for (const char* op : {"LogSoftmax", "ArgMax"}) {
    OnnxBuilder b(13, {3, 1, 1});
    b.node("Flatten", "flat", {"x"}).node("Neg", "logits", {"flat"});
    b.node(op, "end", {"logits"}, {attribute("axis", kOne)});
    const Model model = import_bytes(b.bytes("end"));
    EXPECT_EQ(run(model, {1, 2, 3}), (std::vector<float>{-1, -2, -3}));
    EXPECT_TRUE(holds(model.notes.at("ending"), std::string("the ") + op + " at the end is left out"));
    b.node("Neg", "more", {"end"});
    EXPECT_TRUE(holds(refusal(b.bytes("more")), "is supported at the end of the network only"));
  }
}

TEST(OnnxForms, OneSigmoidIsTwoClasses) {
  OnnxBuilder b(13, {3, 1, 1});
  b.reals("w", {3, 1}, {1, 10, 100});
  b.node("Flatten", "flat", {"x"}).node("MatMul", "logit", {"flat", "w"}).node("Sigmoid", "end", {"logit"});
  const Model model = import_bytes(b.bytes("end"));
  EXPECT_EQ(run(model, {1, 2, 3}), (std::vector<float>{0, 321}));
  EXPECT_TRUE(holds(model.notes.at("ending"), "two classes"));
}

TEST(OnnxForms, ChannelsAreGathered) {
  struct Wanted {
    std::vector<std::int64_t> indices;
    std::vector<float> channels;
  };
  for (const Wanted& wanted : {Wanted{{2, 1, 0}, {30, 20, 10}}, Wanted{{0, 2}, {10, 30}}, Wanted{{-1}, {30}},
                               Wanted{{1, 1}, {20, 20}}, Wanted{{0, 1, 2}, {10, 20, 30}}}) {
    OnnxBuilder b(13, {3, 1, 1});
    b.integers("indices", wanted.indices);
    b.node("Gather", "y", {"x", "indices"}, {attribute("axis", kOne)}).node("Relu", "end", {"y"});
    EXPECT_EQ(run(import_bytes(b.bytes("end")), {10, 20, 30}), wanted.channels);
  }
}

TEST(OnnxForms, AScalarIndexDropsTheAxis) {  // x[:, 1] of PyTorch
  OnnxBuilder b(13, {3, 2, 2});
  b.integers("index", {1});
  b.proto().mutable_graph()->mutable_initializer(0)->clear_dims();
  b.node("Gather", "plane", {"x", "index"}, {attribute("axis", kOne)});
  b.node("ReduceMean", "mean", {"plane"}, {attribute("axes", {1, 2}), attribute("keepdims", kZero)});
  const Model model = import_bytes(b.bytes("mean"));
  EXPECT_EQ(run(model, {0, 1, 0, 0, 2, 0, 0, 3, 0, 0, 6, 0}), (std::vector<float>{3}));
}

TEST(OnnxForms, ReductionsTakeOneAxisAfterTheOther) {
  for (const char* op : {"ReduceMean", "ReduceSum", "ReduceMax"}) {
    OnnxBuilder b(11, {1, 2, 3});
    b.node(op, "rows", {"x"}, {attribute("axes", Axes{3}), attribute("keepdims", kZero)});
    b.node(op, "all", {"rows"}, {attribute("axes", Axes{-1}), attribute("keepdims", kZero)});
    const float wanted = std::string(op) == "ReduceMean" ? 3.5F : std::string(op) == "ReduceSum" ? 21 : 6;
    EXPECT_EQ(run(import_bytes(b.bytes("all")), {1, 2, 3, 4, 5, 6}), (std::vector<float>{wanted})) << op;
  }
}

TEST(OnnxForms, ConstantsAreJoinedToChannels) {
  OnnxBuilder b(13, {1, 1, 2});
  b.reals("before", {1, 1, 1, 2}, {7, 8});
  b.reals("after", {1, 1, 1, 2}, {5, 6});
  b.node("Concat", "y", {"before", "x", "x", "after"}, {attribute("axis", kOne)});
  EXPECT_EQ(run(import_bytes(b.bytes("y")), {1, 2}), (std::vector<float>{7, 1, 1, 5, 8, 2, 2, 6}));
}

TEST(OnnxForms, SignalsHaveHeightOne) {
  OnnxBuilder b(13, {2, 4});
  b.reals("w", {1, 2, 3}, {1, 2, 3, 10, 20, 30});
  b.node("Conv", "conv", {"x", "w"},
         {attribute("pads", {1, 1}), attribute("strides", Axes{2}), attribute("kernel_shape", Axes{3})});
  b.node("MaxPool", "pool", {"conv"}, {attribute("kernel_shape", Axes{2})});
  const Model model = import_bytes(b.bytes("pool"));
  EXPECT_EQ(model.graph.shape(model.graph.inputs()[0]), (Shape{1, 1, 4, 2}));
  // The channels are 1 2 3 4 and 0 0 0 1: at 0: 0 + 2*1 + 3*2; at 2: 1*2 + 2*3 + 3*4 + 30*1
  EXPECT_EQ(run(model, {1, 0, 2, 0, 3, 0, 4, 1}), (std::vector<float>{50}));
}

TEST(OnnxForms, SizesThatTheFileLeavesOpenAreGiven) {
  OnnxBuilder b(13, {3, 8, 8});
  auto* shape = b.proto().mutable_graph()->mutable_input(0)->mutable_type()->mutable_tensor_type()->mutable_shape();
  for (const int axis : {2, 3}) shape->mutable_dim(axis)->set_dim_param("size");
  b.node("Relu", "y", {"x"});
  const std::string bytes = b.bytes("y");
  EXPECT_TRUE(
      holds(refusal(bytes), "has no fixed size: [N, 3, size, size]. Give the size of the images: --input-size"));
  const Model model = import_bytes(bytes, {.height = 6, .width = 5});
  EXPECT_EQ(model.graph.shape(model.graph.inputs()[0]), (Shape{1, 6, 5, 3}));
}

TEST(OnnxForms, TrainingModeIsRefused) {
  OnnxBuilder b(13, {3, 8, 8});
  b.reals("ratio", {1}, {0.5});
  b.integers("training", {1});
  b.node("Dropout", "y", {"x", "ratio", "training"});
  EXPECT_TRUE(holds(refusal(b.bytes("y")), "'y' (Dropout): it is in training mode"));
}

TEST(OnnxForms, OneLinePerOperatorAndCause) {
  OnnxBuilder b(13, {3, 8, 8});
  b.node("Einsum", "a", {"x"}).node("Einsum", "b", {"a"}).node("LSTM", "c", {"b"}).node("Einsum", "d", {"c"});
  const std::string message = refusal(b.bytes("d"));
  EXPECT_TRUE(holds(message, "4 of the 4 nodes"));
  EXPECT_TRUE(holds(message, "\n  Einsum, 3 nodes, first 'a': the operator is not supported"));
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 3) << message;
}

TEST(OnnxForms, AnExchangeOfHeightAndWidthIsNeverIgnored) {
  OnnxBuilder b(13, {1, 2, 3});
  b.node("Relu", "relu", {"x"}).node("Transpose", "y", {"relu"}, {attribute("perm", {0, 1, 3, 2})});
  EXPECT_TRUE(holds(refusal(b.bytes("y")), "exchanged"));
}

TEST(OnnxForms, OutputsBeforeClassZeroAreLeftOut) {
  OnnxBuilder b(13, {3, 1, 1});
  b.node("Flatten", "flat", {"x"}).node("Neg", "logits", {"flat"});
  std::string bytes = b.bytes("logits");
  EXPECT_EQ(run(import_bytes(bytes, {.class_offset = 1}), {1, 2, 3}), (std::vector<float>{-2, -3}));
  EXPECT_TRUE(holds(refusal(bytes, {.class_offset = 3}), "a class offset of 3 leaves nothing of 3 outputs"));
  auto* said = b.proto().add_metadata_props();
  said->set_key("class_offset");
  said->set_value("2");
  b.proto().SerializeToString(&bytes);
  const Model model = import_bytes(bytes);
  EXPECT_EQ(run(model, {1, 2, 3}), (std::vector<float>{-3}));
  EXPECT_TRUE(holds(model.notes.at("class_offset_applied"), "the first 2 of 3 outputs are left out"));
  EXPECT_EQ(run(import_bytes(bytes, {.class_offset = 0}), {1, 2, 3}), (std::vector<float>{-1, -2, -3}));
}

/// A folder with a network whose weight {1, 2, 3} lies at byte 4 of another file.
class ExternalData : public testing::Test {
 protected:
  void SetUp() override {
    fs::remove_all(folder_);
    fs::create_directories(folder_ / "model");
    const float stored[] = {9, 1, 2, 3};
    write(folder_ / "model/weights.bin", std::string(reinterpret_cast<const char*>(stored), sizeof stored));
  }
  void TearDown() override { fs::remove_all(folder_); }

  static void write(const fs::path& path, const std::string& bytes) { std::ofstream(path, std::ios::binary) << bytes; }
  /// What import says of the network with that place of its weight; empty if it imports it.
  std::string refusal(const std::string& location, const std::string& offset = "4", const std::string& length = "12") {
    OnnxBuilder b(13, {3, 1, 1});
    b.reals("w", {3, 1}, {});
    auto* tensor = b.proto().mutable_graph()->mutable_initializer(0);
    tensor->clear_float_data();
    tensor->clear_raw_data();
    tensor->set_data_location(::onnx::TensorProto::EXTERNAL);
    const auto say = [&](const char* key, const std::string& value) {
      auto* entry = tensor->add_external_data();
      entry->set_key(key);
      entry->set_value(value);
    };
    say("location", location);
    say("offset", offset);
    say("length", length);
    b.node("Flatten", "flat", {"x"}).node("MatMul", "y", {"flat", "w"});
    write(folder_ / "model/network.onnx", b.bytes("y"));
    try {
      model_ = import_onnx(folder_ / "model/network.onnx");
    } catch (const DataError& error) {
      return error.what();
    }
    return "";
  }

  const fs::path folder_ = fs::temp_directory_path() / "binade_external_data_test";
  Model model_;
};

TEST_F(ExternalData, IsRead) {
  EXPECT_EQ(refusal("weights.bin"), "");
  EXPECT_EQ(run(model_, {1, 10, 100}), (std::vector<float>{321}));
}

TEST_F(ExternalData, StaysInTheFolder) {
  write(folder_ / "secret.bin", std::string(64, 'x'));
  fs::create_symlink(folder_ / "secret.bin", folder_ / "model/link.bin");
  EXPECT_TRUE(holds(refusal("../secret.bin"), "must lie in the model's own folder or below"));
  EXPECT_TRUE(holds(refusal("sub/../../secret.bin"), "must lie in the model's own folder or below"));
  EXPECT_TRUE(holds(refusal((folder_ / "secret.bin").string()), "must lie in the model's own folder or below"));
  EXPECT_TRUE(holds(refusal("link.bin"), "a link that leads out of the model's folder"));
}

TEST_F(ExternalData, FitsItsFileAndItsTensor) {
  EXPECT_TRUE(holds(refusal("missing.bin"), "which is missing beside the model"));
  EXPECT_TRUE(holds(refusal("weights.bin", "8"), "the file ends at 16"));
  EXPECT_TRUE(holds(refusal("weights.bin", "18446744073709551612"), "the file ends at 16"));
  EXPECT_TRUE(holds(refusal("weights.bin", "4", "8"), "has 8 bytes in 'weights.bin', its extents want 12"));
  EXPECT_TRUE(holds(refusal("weights.bin", "-4"), "want a number of bytes"));
}

}  // namespace
}  // namespace binade
