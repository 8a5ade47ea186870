// Flags and config files: precedence, mistakes, the dump that reads back.
#include "cli/flags.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace binade {
namespace {

struct Bound {
  std::string model = "net.onnx", format = "text", range;
  int images = 0;
  double percentile = 0.01;
  std::uint64_t seed = 0;
  bool force = false;
  std::vector<std::string> methods{"float", "ptq8"};
  std::vector<double> mean;
  Flags flags;

  Bound() {
    flags.section("Network");
    flags.add("model", model, "a network");
    flags.add("images", images, "how many");
    flags.add("seed", seed, "of everything");
    flags.add("force", force, "overwrite");
    flags.add("format", format, "of the output", {.choices = {"text", "json"}});
    flags.add("methods", methods, "rows", {.choices = {"float", "ptq8", "ptq16"}});
    flags.section("Quantization");
    flags.add("ptq.range", range, "estimator", {.choices = {"mse", "min_max"}, .when_unset = "as the preset says"});
    flags.add("ptq.percentile", percentile, "tail");
    flags.add("ptq.mean", mean, "numbers", {.when_unset = "none"});
  }
};

std::filesystem::path write_config(const std::string& text) {
  const auto* test = testing::UnitTest::GetInstance()->current_test_info();
  const auto path = std::filesystem::path(testing::TempDir()) / (std::string("binade_") + test->name() + ".cfg");
  std::ofstream(path) << text;
  return path;
}

std::string mistake(const std::vector<std::string>& arguments) {
  Bound bound;
  try {
    bound.flags.parse(arguments);
  } catch (const UsageError& error) {
    return error.what();
  }
  return "no error";
}

TEST(Flags, FlagsWinOverTheFileAndTheFileOverDefaults) {
  const auto config = write_config("images = 7\nseed = 3\nforce = true\n[ptq]\nrange = mse\npercentile=0.5\n");
  Bound bound;
  bound.flags.parse({config.string(), "--images", "9", "--methods=ptq16, float", "--ptq.mean", "1,-2.5"});
  EXPECT_EQ(bound.images, 9);
  EXPECT_EQ(bound.seed, 3U);
  EXPECT_TRUE(bound.force);
  EXPECT_EQ(bound.range, "mse");
  EXPECT_EQ(bound.percentile, 0.5);
  EXPECT_EQ(bound.model, "net.onnx");
  EXPECT_EQ(bound.methods, (std::vector<std::string>{"ptq16", "float"}));
  EXPECT_EQ(bound.mean, (std::vector<double>{1, -2.5}));
  EXPECT_TRUE(bound.flags.is_set("ptq.range"));
  EXPECT_FALSE(bound.flags.is_set("model"));
}

TEST(Flags, ASwitchTakesNoWord) {
  const auto config = write_config("images = 1\n");
  Bound bound;
  bound.flags.parse({"--force", config.string()});
  EXPECT_TRUE(bound.force);
  EXPECT_EQ(bound.images, 1);
  Bound off;
  off.flags.parse({"--force=false"});
  EXPECT_FALSE(off.force);
}

TEST(Flags, EveryMistakeIsNamedAtOnce) {
  const std::string unknown = mistake({"--imags", "5", "--sed", "4"});
  EXPECT_NE(unknown.find("unknown flag '--imags'; did you mean '--images'?"), std::string::npos) << unknown;
  EXPECT_NE(unknown.find("unknown flag '--sed'; did you mean '--seed'?"), std::string::npos) << unknown;
  const std::string values = mistake({"--images", "many", "--seed", "-1", "--format", "txt"});
  EXPECT_NE(values.find("--images: 'many' is not a whole number"), std::string::npos) << values;
  EXPECT_NE(values.find("--seed: '-1'"), std::string::npos) << values;
  EXPECT_NE(values.find("did you mean 'text'?"), std::string::npos) << values;
  EXPECT_NE(mistake({"--images", "12x"}).find("'12x'"), std::string::npos);
  EXPECT_NE(mistake({"--images", "1", "--images", "2"}).find("twice"), std::string::npos);
  EXPECT_NE(mistake({"--methods", "float,ptq9"}).find("'ptq9'"), std::string::npos);
  EXPECT_NE(mistake({"--images"}).find("images"), std::string::npos);
  EXPECT_NE(mistake({"/no/such.cfg"}).find("/no/such.cfg"), std::string::npos);
  EXPECT_NE(mistake({"-v"}).find("'-v'"), std::string::npos);
  EXPECT_NE(mistake({"--image", "1"}).find("did you mean '--images'"), std::string::npos);  // no abbreviations
}

TEST(Flags, UnknownKeysOfAFileAreMistakes) {
  const auto config = write_config("imges = 7\n[ptq]\nrnge = mse\n");
  const std::string text = mistake({config.string()});
  EXPECT_NE(text.find("unknown key 'imges'"), std::string::npos) << text;
  EXPECT_NE(text.find("did you mean 'ptq.range'?"), std::string::npos) << text;
  EXPECT_NE(text.find(config.string()), std::string::npos) << text;
  EXPECT_NE(mistake({write_config("images 7\n").string()}), "no error");
}

TEST(Flags, TheDumpReadsBack) {
  Bound bound;
  bound.flags.parse({"--images=12", "--ptq.percentile", "0.25", "--methods", "ptq16", "--force"});
  const std::string dump = bound.flags.config_text();
  EXPECT_NE(dump.find("# range = (as the preset says)"), std::string::npos) << dump;
  Bound again;
  again.flags.parse({write_config(dump).string()});
  EXPECT_EQ(again.flags.config_text(), dump);
  EXPECT_EQ(again.flags.config(), bound.flags.config());
  EXPECT_FALSE(again.flags.config().contains("ptq.range"));
}

TEST(Flags, WhatWasSetLaysOverLaterDefaults) {
  Bound bound;
  bound.flags.parse({"--ptq.range", "mse"});
  Bound preset;
  preset.range = "min_max";
  preset.percentile = 2;
  bound.flags.apply_to(preset.flags);
  EXPECT_EQ(preset.range, "mse");
  EXPECT_EQ(preset.percentile, 2);
}

TEST(Flags, HelpShowsDefaultsAndChoices) {
  const std::string help = Bound().flags.help();
  EXPECT_NE(help.find("Network:"), std::string::npos);
  EXPECT_NE(help.find("[text json] (default: text)"), std::string::npos) << help;
  EXPECT_NE(help.find("(default: as the preset says)"), std::string::npos) << help;
}

}  // namespace
}  // namespace binade
