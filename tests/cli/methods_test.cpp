// Method names: what they mean, and what is said about names that mean nothing.
#include "cli/methods.hpp"

#include <gtest/gtest.h>

#include "cli/calibrate_run.hpp"
#include "cli/qat_run.hpp"
#include "cli/table_run.hpp"
#include "core/base/error.hpp"

namespace binade {
namespace {

TEST(Methods, NamesMeanWidths) {
  EXPECT_EQ(parse_method("float").kind, Method::Kind::reference);
  const Method simple = parse_method("ptq8-simple");
  EXPECT_TRUE(simple.simple);
  EXPECT_EQ(simple.weight_bits, 8);
  const Method mixed = parse_method("ptq-w4a8");
  EXPECT_EQ(mixed.weight_bits, 4);
  EXPECT_EQ(mixed.activation_bits, 8);
  EXPECT_FALSE(mixed.simple);
  EXPECT_EQ(parse_method("ptq16").activation_bits, 16);
  EXPECT_EQ(parse_method("qat8").kind, Method::Kind::qat);
  EXPECT_EQ(parse_method("qat-w4a8").weight_bits, 4);
  EXPECT_EQ(parse_method("calibration8").kind, Method::Kind::calibration);
  EXPECT_EQ(parse_method("calibration-w4a8").activation_bits, 8);
}

TEST(Methods, OthersAreMistakes) {
  for (const char* name : {"ptq", "ptq1", "ptq17", "ptq-w4", "ptq-w4a99", "ptq8simple", "int8", "", "float8", "qat",
                           "qat8-simple", "qat-w4", "calibration", "calibration8-simple"}) {
    EXPECT_THROW(parse_method(name), UsageError) << name;
  }
  try {
    parse_method("ptq8-simpel");
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("did you mean 'ptq8-simple'?"), std::string::npos) << error.what();
  }
  EXPECT_THROW(parse_methods({"ptq8", "ptq8"}), UsageError);
  EXPECT_THROW(parse_methods({}), UsageError);
}

TEST(Methods, QatStartsWhereItsPresetSays) {
  QatFlags qat;
  Flags flags;
  bind(flags, qat);
  flags.add("qat.preset", qat.preset, "");
  flags.parse({"--qat.epochs", "3", "--qat.quantizer", "pact"});
  const QatOptions options = qat_options(parse_method("qat8"), qat, flags, 7);
  EXPECT_EQ(options.train.epochs, 3);
  EXPECT_EQ(options.graph.quantizer, "pact");
  EXPECT_EQ(options.train.seed, 7U);
  EXPECT_EQ(options.train.update.optimizer.name, "adam");  // as `best` says
  EXPECT_EQ(start_options(parse_method("qat8"), qat, flags, 0).passes, ptq_preset("best", 8, 8).passes);
  qat.preset = "ti-qat";
  EXPECT_EQ(start_options(parse_method("qat8"), qat, flags, 0).passes, ptq_preset("tidl", 8, 8).passes);
  EXPECT_EQ(qat_options(parse_method("qat8"), qat, flags, 0).train.update.optimizer.name, "sgd");
}

TEST(Methods, FlagsLieOverThePresetButNotOverSimple) {
  PtqOptions unused;
  Flags flags;
  bind(flags, unused);
  flags.parse({"--ptq.range", "kl", "--ptq.bias-bits", "16"});
  const PtqOptions best = ptq_options(parse_method("ptq-w4a8"), "best", flags, 7);
  EXPECT_EQ(best.range, "kl");
  EXPECT_EQ(best.bias_bits, 16);
  EXPECT_EQ(best.weight_bits, 4);
  EXPECT_EQ(best.seed, 7U);
  EXPECT_EQ(best.passes, ptq_preset("best", 4, 8).passes);
  EXPECT_EQ(ptq_options(parse_method("ptq8-simple"), "best", flags, 0).range, "min_max");
}

TEST(Methods, LayersHaveOtherWidths) {
  std::vector<std::string> texts;
  Flags flags;
  bind_layer_bits(flags, texts);
  flags.parse({"--layer-bits", "first=8,features.3.conv=16"});
  const std::vector<LayerWidth> wanted{{"first", 8}, {"features.3.conv", 16}};
  EXPECT_EQ(ptq_options(parse_method("ptq-w4a4"), "best", flags, 0).layer_bits, wanted);
  EXPECT_EQ(ptq_options(parse_method("ptq8-simple"), "best", flags, 0).layer_bits, wanted);
  EXPECT_EQ(calibrate_options(parse_method("calibration8"), CalibrateFlags{}, flags, 0).layer_bits, wanted);
  EXPECT_EQ(to_string(wanted), "first=8, features.3.conv=16");
  for (const char* wrong : {"first", "first=1", "first=17", "=8", "first=8x"}) {
    Flags bad;
    bind_layer_bits(bad, texts);
    bad.parse({"--layer-bits", wrong});
    EXPECT_THROW(layer_bits_of(bad), UsageError) << wrong;
  }
}

TEST(Methods, FlagsLieOverTheCalibrationPreset) {
  CalibrateFlags calibrate{.preset = "ti-advanced"};
  Flags flags;
  bind(flags, calibrate.options);
  flags.parse({"--calibrate.factor", "0.1", "--calibrate.range", "mse"});
  const CalibrateOptions options = calibrate_options(parse_method("calibration-w4a8"), calibrate, flags, 9);
  EXPECT_EQ(options.factor, 0.1);
  EXPECT_EQ(options.range, "mse");
  EXPECT_EQ(options.weight_bits, 4);
  EXPECT_EQ(options.iterations, 100);  // as `ti-advanced` says
  EXPECT_EQ(options.seed, 9U);
  calibrate.preset = "ti-advnced";
  EXPECT_THROW(calibrate_options(parse_method("calibration8"), calibrate, flags, 0), UsageError);
}

}  // namespace
}  // namespace binade
