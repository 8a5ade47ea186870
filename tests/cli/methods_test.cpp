// Method names: what they mean, and what is said about names that mean nothing.
#include "experiment/methods.hpp"

#include <gtest/gtest.h>

#include "cli/bind.hpp"
#include "core/base/error.hpp"
#include "experiment/calibrate.hpp"
#include "experiment/qat.hpp"
#include "experiment/table.hpp"

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
  TableJob job;
  job.data.seed = 7;
  QatOptions unused;
  Flags flags;
  bind(flags, job.qat, unused);
  flags.add("qat.preset", job.qat.preset, "");
  flags.parse({"--qat.epochs", "3", "--qat.quantizer", "pact"});
  job.qat.patch = patch_of<QatOptions>(flags);
  const Method method = parse_method("qat8");
  const QatOptions options = qat_options(method, job.qat, 7);
  EXPECT_EQ(options.train.epochs, 3);
  EXPECT_EQ(options.graph.quantizer, "pact");
  EXPECT_EQ(options.train.seed, 7U);
  EXPECT_EQ(options.train.update.optimizer.name, "adam");  // as `best` says
  EXPECT_EQ(start_options(method, job).passes, ptq_preset("best", 8, 8).passes);
  EXPECT_EQ(start_options(method, job).seed, 7U);
  job.qat.preset = "ti-qat";
  EXPECT_EQ(start_options(method, job).passes, ptq_preset("tidl", 8, 8).passes);
  EXPECT_EQ(qat_options(method, job.qat, 0).train.update.optimizer.name, "sgd");
}

TEST(Methods, FlagsLieOverThePresetButNotOverSimple) {
  PtqOptions unused;
  Flags flags;
  bind(flags, unused);
  flags.parse({"--ptq.range", "kl", "--ptq.bias-bits", "16"});
  TableJob job;
  job.data.seed = 7;
  job.ptq = patch_of<PtqOptions>(flags);
  const PtqOptions best = ptq_options(parse_method("ptq-w4a8"), job);
  EXPECT_EQ(best.range, "kl");
  EXPECT_EQ(best.bias_bits, 16);
  EXPECT_EQ(best.weight_bits, 4);
  EXPECT_EQ(best.seed, 7U);
  EXPECT_EQ(best.passes, ptq_preset("best", 4, 8).passes);
  EXPECT_EQ(ptq_options(parse_method("ptq8-simple"), job).range, "min_max");
}

TEST(Methods, LayersHaveOtherWidths) {
  const std::vector<std::string> texts{"first=8", "features.3.conv=16"};
  const std::vector<LayerWidth> wanted{{"first", 8}, {"features.3.conv", 16}};
  TableJob job;
  job.layer_bits = parse_layer_bits(texts);
  EXPECT_EQ(job.layer_bits, wanted);
  EXPECT_EQ(ptq_options(parse_method("ptq-w4a4"), job).layer_bits, wanted);
  EXPECT_EQ(ptq_options(parse_method("ptq8-simple"), job).layer_bits, wanted);
  EXPECT_EQ(calibrate_options(parse_method("calibration8"), job).layer_bits, wanted);
  EXPECT_EQ(to_string(wanted), "first=8, features.3.conv=16");
  for (const char* wrong : {"first", "first=1", "first=17", "=8", "first=8x"}) {
    const std::vector<std::string> bad{wrong};
    EXPECT_THROW(parse_layer_bits(bad), UsageError) << wrong;
  }
}

TEST(Methods, FlagsLieOverTheCalibrationPreset) {
  TableJob job;
  job.data.seed = 9;
  job.calibrate.preset = "ti-advanced";
  CalibrateOptions unused;
  Flags flags;
  bind(flags, unused);
  flags.parse({"--calibrate.factor", "0.1", "--calibrate.range", "mse"});
  job.calibrate.patch = patch_of<CalibrateOptions>(flags);
  const CalibrateOptions options = calibrate_options(parse_method("calibration-w4a8"), job);
  EXPECT_EQ(options.factor, 0.1);
  EXPECT_EQ(options.range, "mse");
  EXPECT_EQ(options.weight_bits, 4);
  EXPECT_EQ(options.iterations, 100);  // as `ti-advanced` says
  EXPECT_EQ(options.seed, 9U);
  job.calibrate.preset = "ti-advnced";
  EXPECT_THROW(calibrate_options(parse_method("calibration8"), job), UsageError);
}

}  // namespace
}  // namespace binade
