// The forms in which exporters write CNNs, against hand calculation; and what a user reads when a file cannot be used.
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <numeric>

#include "core/base/error.hpp"
#include "core/execute/executor.hpp"
#include "core/io/onnx/metadata.hpp"
#include "core/io/onnx_import.hpp"
#include "tests/harness/onnx_builder.hpp"

namespace binade {
namespace {

using testing_tools::attribute;
using testing_tools::OnnxBuilder;

Model import_bytes(const std::string& bytes) {
  return import_onnx(std::as_bytes(std::span(bytes)), "test.onnx");
}

std::vector<float> ramp(int count, float first = 0, float step = 1) {
  std::vector<float> values;
  for (int i = 0; i < count; ++i) values.push_back(first + step * static_cast<float>(i));
  return values;
}

/// Runs one image, given and returned in ONNX's order (c, h, w).
std::vector<float> run(const Model& model, const std::vector<float>& chw) {
  const Shape in = model.graph.shape(model.graph.inputs()[0]);
  const auto position = [](const Shape& s, int c, int pixel) { return std::int64_t{pixel} * s.c + c; };
  Tensor<float> image(in);
  for (int c = 0, from = 0; c < in.c; ++c) {
    for (int pixel = 0; pixel < in.h * in.w; ++pixel, ++from)
      image[position(in, c, pixel)] = chw[static_cast<std::size_t>(from)];
  }
  Executor<float> executor(model.graph);
  const View<const float> out = executor.forward(image.view());
  std::vector<float> result;
  for (int c = 0; c < out.shape.c; ++c) {
    for (int pixel = 0; pixel < out.shape.h * out.shape.w; ++pixel)
      result.push_back(out.data[position(out.shape, c, pixel)]);
  }
  return result;
}

std::vector<std::string> node_names(const Model& model) {
  std::vector<std::string> names;
  for (const Node& node : model.graph.nodes()) names.push_back(node.name);
  return names;
}

std::string refusal(const std::string& bytes) {
  try {
    import_bytes(bytes);
  } catch (const DataError& error) {
    return error.what();
  }
  return "";
}

testing::AssertionResult holds(const std::string& message, const std::string& words) {
  if (message.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "wanted \"" << words << "\" in: " << message;
}

TEST(OnnxImport, FlattenedMapsReachTheRightColumnsOfGemm) {
  // y_o = sum over (c, h, w) of w[o][c*4 + h*2 + w] * x: with a ramp as weight any wrong order shows.
  for (const bool chain : {false, true}) {  // Flatten, and PyTorch's view(x.size(0), -1)
    OnnxBuilder b(13, {3, 2, 2});
    b.reals("weight", {2, 12}, ramp(24));
    b.integers("zero", {0});
    b.integers("rest", {-1});
    if (chain) {
      b.node("Shape", "shape", {"x"}).node("Gather", "size", {"shape", "zero"}, {attribute("axis", std::int64_t{0})});
      b.node("Concat", "wanted", {"size", "rest"}, {attribute("axis", std::int64_t{0})})
          .node("Reshape", "flat", {"x", "wanted"});
    } else {
      b.node("Flatten", "flat", {"x"});
    }
    b.node("Relu", "relu", {"flat"}).node("Gemm", "fc", {"relu", "weight"}, {attribute("transB", std::int64_t{1})});
    const Model model = import_bytes(b.bytes("fc"));
    std::vector<float> x(12);
    for (std::size_t i = 0; i < 12; ++i) x[i] = static_cast<float>(i * i + 1);
    std::vector<float> wanted(2);
    for (std::size_t o = 0; o < 2; ++o) {
      for (std::size_t i = 0; i < 12; ++i) wanted[o] += static_cast<float>(o * 12 + i) * x[i];
    }
    EXPECT_EQ(run(model, x), wanted);
  }
}

TEST(OnnxImport, ChannelsLastInputsOfTensorFlowLoseTheirTranspositions) {
  OnnxBuilder b(13, {4, 4, 3});  // NHWC
  b.reals("w", {2, 3, 1, 1}, ramp(6));
  b.reals("dense", {2, 2}, {1, 2, 3, 4});
  b.reals("bias", {2}, {10, 20});
  b.node("Transpose", "to_nchw", {"x"}, {attribute("perm", {0, 3, 1, 2})}).node("Conv", "conv", {"to_nchw", "w"});
  b.node("Transpose", "to_nhwc", {"conv"}, {attribute("perm", {0, 2, 3, 1})});
  b.node("ReduceMean", "mean", {"to_nhwc"}, {attribute("axes", {1, 2}), attribute("keepdims", std::int64_t{0})});
  b.node("MatMul", "dense1", {"mean", "dense"}).node("Add", "dense1/bias_add", {"dense1", "bias"});
  const Model model = import_bytes(b.bytes("dense1/bias_add"));
  EXPECT_EQ(node_names(model), (std::vector<std::string>{"conv", "mean", "dense1"}));  // the addition became a bias
  EXPECT_EQ(model.graph.shape(model.graph.inputs()[0]), (Shape{1, 4, 4, 3}));
  std::vector<float> x(48, 0);
  for (std::size_t i = 0; i < 16; ++i) x[i] = 1, x[32 + i] = 2;  // channels 1, 0, 2
  // conv: (0*1 + 2*2, 3*1 + 5*2) = (4, 13); dense: (4*1 + 13*3 + 10, 4*2 + 13*4 + 20)
  EXPECT_EQ(run(model, x), (std::vector<float>{53, 80}));
}

TEST(OnnxImport, AutoPadIsTensorFlowsSame) {
  for (const bool upper : {true, false}) {
    OnnxBuilder b(13, {1, 6, 6});
    b.reals("w", {1, 1, 3, 3}, std::vector<float>(9, 1));
    b.node("Conv", "conv", {"x", "w"},
           {attribute("auto_pad", upper ? "SAME_UPPER" : "SAME_LOWER"), attribute("strides", {2, 2})});
    const Model model = import_bytes(b.bytes("conv"));
    const auto& op = std::get<Conv2d>(model.graph.nodes()[0].op);
    // 3 windows of 3 at stride 2 need 7 rows: one row of padding, at the end for UPPER.
    EXPECT_EQ(op.pad_top, upper ? 0 : 1);
    EXPECT_EQ(op.pad_bottom, upper ? 1 : 0);
    EXPECT_EQ(op.pad_left, upper ? 0 : 1);
  }
}

/// x * clip(x + 3, 0, 6) / 6 in the ways that exporters have written it.
TEST(OnnxImport, HardSwishInPiecesBecomesOneOp) {
  for (int form = 0; form < 4; ++form) {
    OnnxBuilder b(form == 0 ? 9 : 13, {2, 1, 1});
    b.reals("three", {}, {3});
    b.reals("zero", {}, {0});
    b.reals("six", {}, {6});
    b.reals("sixth", {1}, {1.0f / 6});
    b.node("Add", "shift", {"x", "three"});
    if (form == 0)
      b.node("Clip", "clip", {"shift"}, {attribute("min", 0.0f), attribute("max", 6.0f)});
    else
      b.node("Clip", "clip", {"shift", "zero", "six"});
    if (form < 2) b.node("Mul", "product", {"x", "clip"}).node("Div", "swish", {"product", "six"});
    if (form == 2) b.node("Mul", "gate", {"clip", "sixth"}).node("Mul", "swish", {"gate", "x"});
    if (form == 3)
      b.node("HardSigmoid", "gate", {"x"}, {attribute("alpha", 1.0f / 6), attribute("beta", 0.5f)})
          .node("Mul", "swish", {"x", "gate"});
    const Model model = import_bytes(b.bytes("swish"));
    ASSERT_EQ(node_names(model), std::vector<std::string>{"swish"}) << form;
    EXPECT_EQ(op_name(model.graph.nodes()[0].op), "HardSwish");
  }
}

TEST(OnnxImport, FunctionsOfOneNumber) {
  const auto imported = [](int opset, const std::string& op, const std::vector<::onnx::AttributeProto>& attributes) {
    OnnxBuilder b(opset, {2, 1, 1});
    b.proto().add_metadata_props()->set_key("input_layout");  // two channels: one Sigmoid at the end is two classes
    b.proto().mutable_metadata_props(0)->set_value("NCHW");
    b.node(op, "y", {"x"}, attributes);
    const Model model = import_bytes(b.bytes("y"));
    EXPECT_EQ(node_names(model), std::vector<std::string>{"y"}) << op;
    return model.graph.nodes().at(0).op;
  };
  EXPECT_EQ(imported(13, "Sigmoid", {}), Op{Sigmoid{}});
  EXPECT_EQ(imported(14, "HardSwish", {}), Op{HardSwish{}});
  EXPECT_EQ(imported(13, "HardSigmoid", {}), (Op{HardSigmoid{.alpha = 0.2, .beta = 0.5}})) << "ONNX's own default";
  EXPECT_EQ(imported(13, "Tanh", {}), Op{Tanh{}});
  EXPECT_EQ(imported(13, "Elu", {}), Op{Elu{}});
  EXPECT_EQ(imported(13, "Elu", {attribute("alpha", 0.25f)}), Op{Elu{.alpha = 0.25}});
  EXPECT_EQ(imported(13, "Erf", {}), Op{Erf{}});
  EXPECT_EQ(imported(13, "Softplus", {}), Op{Softplus{}});
  EXPECT_EQ(imported(18, "Mish", {}), Op{Mish{}});
  EXPECT_EQ(imported(20, "Gelu", {}), Op{Gelu{}});
}

/// x / 2 * (1 + erf(x / sqrt 2)) in the three orders of its factors, and Mish before it was an operator.
TEST(OnnxImport, GeluAndMishInPiecesBecomeOneOp) {
  for (int form = 0; form < 3; ++form) {
    OnnxBuilder b(13, {2, 1, 1});
    b.reals("root", {}, {1.41421356f});
    b.reals("one", {}, {1});
    b.reals("half", {}, {0.5f});
    b.node("Div", "scaled", {"x", "root"}).node("Erf", "erf", {"scaled"}).node("Add", "sum", {"erf", "one"});
    if (form == 0) b.node("Mul", "product", {"x", "sum"}).node("Mul", "gelu", {"product", "half"});
    if (form == 1) b.node("Mul", "halved", {"x", "half"}).node("Mul", "gelu", {"halved", "sum"});
    if (form == 2) b.node("Mul", "gate", {"half", "sum"}).node("Mul", "gelu", {"gate", "x"});
    const Model model = import_bytes(b.bytes("gelu"));
    ASSERT_EQ(node_names(model), std::vector<std::string>{"gelu"}) << form;
    EXPECT_EQ(op_name(model.graph.nodes()[0].op), "Gelu");
  }
  OnnxBuilder b(13, {2, 1, 1});
  b.node("Softplus", "plus", {"x"}).node("Tanh", "gate", {"plus"}).node("Mul", "mish", {"x", "gate"});
  const Model model = import_bytes(b.bytes("mish"));
  ASSERT_EQ(node_names(model), std::vector<std::string>{"mish"});
  EXPECT_EQ(op_name(model.graph.nodes()[0].op), "Mish");
}

TEST(OnnxImport, SubtractionAndDivisionByConstants) {
  OnnxBuilder b(13, {2, 1, 2});
  b.reals("mean", {1, 2, 1, 1}, {1, 2});
  b.reals("deviation", {2, 1, 1}, {2, 4});
  b.reals("ten", {}, {10});
  b.node("Sub", "centred", {"x", "mean"})
      .node("Div", "scaled", {"centred", "deviation"})
      .node("Sub", "flipped", {"ten", "scaled"});
  EXPECT_EQ(run(import_bytes(b.bytes("flipped")), {1, 3, 2, 10}), (std::vector<float>{10, 9, 10, 8}));
}

TEST(OnnxImport, SlicesOfBothGenerationsAndSplits) {
  const std::vector<float> x = ramp(2 * 3 * 4);  // c h w
  OnnxBuilder old(9, {2, 3, 4});
  old.node("Slice", "cut", {"x"},
           {attribute("axes", {2, 3}), attribute("starts", {1, -3}), attribute("ends", {INT64_MAX, -1})});
  const std::vector<float> wanted{5, 6, 9, 10, 17, 18, 21, 22};
  EXPECT_EQ(run(import_bytes(old.bytes("cut")), x), wanted);
  OnnxBuilder fresh(13, {2, 3, 4});
  fresh.integers("starts", {1, -3});
  fresh.integers("ends", {INT64_MAX, -1});
  fresh.integers("axes", {2, -1});
  fresh.node("Slice", "cut", {"x", "starts", "ends", "axes"});
  EXPECT_EQ(run(import_bytes(fresh.bytes("cut")), x), wanted);
  OnnxBuilder split(11, {2, 3, 4});
  split.node("Split", "parts", {"x"}, {attribute("axis", std::int64_t{1}), attribute("split", {1, 1})});
  split.proto().mutable_graph()->mutable_node(0)->add_output("second");
  EXPECT_EQ(run(import_bytes(split.bytes("second")), x), ramp(12, 12));
}

TEST(OnnxImport, ResizeFormsFindTheirCoordinates) {
  const auto resized = [](int opset, const char* op, const std::vector<::onnx::AttributeProto>& attributes,
                          bool sizes) {
    OnnxBuilder b(opset, {1, 2, 2});
    b.reals("scales", {4}, {1, 1, 2, 2});
    b.integers("sizes", {1, 1, 4, 4});
    const std::vector<std::string> inputs = std::string(op) == "Upsample" || opset < 11
                                                ? std::vector<std::string>{"x", "scales"}
                                            : sizes ? std::vector<std::string>{"x", "", "", "sizes"}
                                                    : std::vector<std::string>{"x", "", "scales"};
    b.node(op, "resize", inputs, attributes);
    return std::get<Resize>(import_bytes(b.bytes("resize")).graph.nodes()[0].op);
  };
  const auto mode = [](const char* m, const char* c) {
    return std::vector{attribute("mode", m), attribute("coordinate_transformation_mode", c)};
  };
  EXPECT_EQ(resized(9, "Upsample", {attribute("mode", "nearest")}, false).interpolation, Interpolation::nearest);
  EXPECT_EQ(resized(10, "Resize", {attribute("mode", "linear")}, false).coordinates, Coordinates::asymmetric);
  EXPECT_EQ(resized(13, "Resize", mode("linear", "align_corners"), true).coordinates, Coordinates::align_corners);
  EXPECT_EQ(resized(13, "Resize", mode("linear", "half_pixel"), false).coordinates, Coordinates::half_pixel);
  EXPECT_EQ(resized(11, "Resize", mode("linear", "pytorch_half_pixel"), true).coordinates, Coordinates::half_pixel);
  EXPECT_EQ(resized(11, "Resize", mode("linear", "half_pixel"), true).height, 4);
  OnnxBuilder b(13, {1, 2, 2});
  b.reals("scales", {4}, {1, 1, 2, 2});
  b.node("Resize", "resize", {"x", "", "scales"}, {attribute("mode", "cubic")});
  EXPECT_TRUE(holds(refusal(b.bytes("resize")),
                    "'resize' (Resize): mode 'cubic' is not supported; want 'nearest' or 'linear'"));
}

TEST(OnnxImport, BatchNormAfterAFlattenIsReordered) {
  OnnxBuilder b(13, {2, 1, 2});
  b.reals("gamma", {4}, {1, 2, 3, 4});
  b.reals("zeros", {4}, {0, 0, 0, 0});
  b.reals("ones", {4}, {1, 1, 1, 1});
  b.reals("identity", {4, 4}, {1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1});
  b.node("Flatten", "flat", {"x"})
      .node("BatchNormalization", "bn", {"flat", "gamma", "zeros", "zeros", "ones"}, {attribute("epsilon", 0.0f)});
  b.node("Gemm", "fc", {"bn", "identity"});
  EXPECT_EQ(run(import_bytes(b.bytes("fc")), {1, 1, 1, 1}), (std::vector<float>{1, 2, 3, 4}));
}

TEST(OnnxImport, ConvTransposeWithGroups) {
  // Two groups of one channel: w[g] is a 1x2 kernel; stride 2 lays the products side by side.
  OnnxBuilder b(13, {2, 1, 2});
  b.reals("w", {2, 1, 1, 2}, {1, 10, 2, 20});
  b.node("ConvTranspose", "up", {"x", "w"}, {attribute("strides", {1, 2}), attribute("group", std::int64_t{2})});
  EXPECT_EQ(run(import_bytes(b.bytes("up")), {1, 2, 3, 4}), (std::vector<float>{1, 10, 2, 20, 6, 60, 8, 80}));
}

TEST(OnnxImport, AllUnsupportedNodesAreListedAtOnce) {
  OnnxBuilder b(13, {3, 8, 8});
  b.reals("w", {4, 3, 3, 3}, ramp(108));
  b.reals("nan", {4}, {0, std::numeric_limits<float>::quiet_NaN(), 0, 0});
  b.node("LSTM", "first", {"x"}).node("Relu", "fine", {"first"}).node("Einsum", "second", {"fine"});
  b.node("Conv", "conv", {"second", "w", "nan"}).node("Resize", "third", {"conv"}, {attribute("mode", "cubic")});
  b.node("Relu", "last", {"third"});
  b.node("Loop", "dead", {"x"});  // nothing reads it: not a problem
  const std::string message = refusal(b.bytes("last"));
  EXPECT_TRUE(holds(message, "4 of the 7 nodes of 'test.onnx' cannot be imported:\n"));
  EXPECT_TRUE(holds(message, "\n  'first' (LSTM): the operator is not supported"));
  EXPECT_TRUE(holds(message, "\n  'second' (Einsum): the operator is not supported"));
  EXPECT_TRUE(holds(message, "\n  'conv' (Conv): tensor 'nan' [4] holds NaN at index [1]"));
  EXPECT_TRUE(holds(message, "\n  'third' (Resize): mode 'cubic'"));
}

TEST(OnnxImport, BadFilesSayWhatIsWrong) {
  EXPECT_TRUE(holds(refusal(""), "'test.onnx' (0 bytes) is not an ONNX model: the file is empty"));
  EXPECT_TRUE(holds(refusal("version https://git-lfs.github.com/spec/v1\noid"), "git lfs pull"));
  EXPECT_TRUE(holds(refusal("<!DOCTYPE html>"), "HTML"));
  OnnxBuilder wrong_opset(4, {3, 8, 8});
  EXPECT_TRUE(holds(refusal(wrong_opset.node("Relu", "y", {"x"}).bytes("y")), "opset 4; Binade reads 7 to 24"));
  OnnxBuilder missing(13, {3, 8, 8});
  EXPECT_TRUE(holds(refusal(missing.node("Conv", "conv", {"x", "conv.weight"}).bytes("conv")),
                    "'conv' (Conv): its weight 'conv.weight' is made by no initializer, input or earlier node"));
  OnnxBuilder misfit(13, {3, 8, 8});
  misfit.reals("w", {4, 5, 1, 1}, ramp(20));
  EXPECT_TRUE(
      holds(refusal(misfit.node("Conv", "conv", {"x", "w"}).bytes("conv")), "wants 5 input channels, its input has 3"));
  OnnxBuilder short_data(13, {3, 8, 8});
  short_data.reals("w", {4, 3, 1, 1}, ramp(11));
  EXPECT_TRUE(holds(refusal(short_data.node("Conv", "conv", {"x", "w"}).bytes("conv")),
                    "tensor 'w' holds 44 bytes, its extents [4, 3, 1, 1] want 48"));
  OnnxBuilder dynamic(13, {3, 8, 8});
  dynamic.proto()
      .mutable_graph()
      ->mutable_input(0)
      ->mutable_type()
      ->mutable_tensor_type()
      ->mutable_shape()
      ->mutable_dim(2)
      ->set_dim_param("H");
  EXPECT_TRUE(holds(refusal(dynamic.node("Relu", "y", {"x"}).bytes("y")), "has no fixed size: [N, 3, H, 8]"));
  OnnxBuilder external(13, {3, 8, 8});
  external.reals("w", {4, 3, 1, 1}, {});
  external.proto().mutable_graph()->mutable_initializer(0)->set_data_location(::onnx::TensorProto::EXTERNAL);
  EXPECT_TRUE(
      holds(refusal(external.node("Conv", "conv", {"x", "w"}).bytes("conv")), "tensor 'w' is kept outside the file"));
}

TEST(OnnxImport, WithoutMetadataTheUsualPreprocessingIsAssumedAndSaidSo) {
  OnnxBuilder b(13, {3, 192, 192});
  b.node("GlobalAveragePool", "y", {"x"});
  const Model model = import_bytes(b.bytes("y"));
  EXPECT_EQ(model.notes.at("preprocessing"), "assumed");
  EXPECT_NEAR(model.preprocessing.mean[0], 0.485 * 255, 1e-9);
  EXPECT_EQ(model.preprocessing.size, 219);  // 192 * 256 / 224
  EXPECT_EQ(model.name, "test");
}

TEST(OnnxFormula, ReadsTheUsualForms) {
  const std::array<double, 3> mean{0.5, 1, 2}, std{2, 4, 8};
  const auto at = [&](const char* text, double x, std::size_t channel) {
    const auto affine = importer::read_formula(text, mean, std);
    return affine ? affine->slope[channel] * x + affine->offset[channel] : std::nan("");
  };
  EXPECT_DOUBLE_EQ(at("(x/255 - mean)/std", 51, 1), (0.2 - 1) / 4);
  EXPECT_DOUBLE_EQ(at("(x-mean)/std/255", 10, 2), (10 - 2) / 8.0 / 255);
  EXPECT_DOUBLE_EQ(at("x/127.5 - 1", 255, 0), 1);
  EXPECT_DOUBLE_EQ(at("x (0..255, no scaling)", 7, 0), 7);
  EXPECT_DOUBLE_EQ(at("x = 2 * (q - 83), q = int8 in files", 84, 0), 2);
  EXPECT_DOUBLE_EQ(at("-x*2+1", 3, 0), -5);
  for (const char* bad : {"", "x*x", "1/x", "3", "(x", "x-y", "x/0", "log(x)", "x 255", "=x"}) {
    EXPECT_TRUE(std::isnan(at(bad, 1, 0))) << bad;
  }
}

}  // namespace
}  // namespace binade
