// Networks of the zoo on the command line: exported, read back, started with the weights of another.
#include <nlohmann/json.hpp>

#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

nlohmann::json inspected(const std::vector<std::string>& flags) {
  std::vector<std::string> arguments{"inspect", "--format", "json"};
  arguments.insert(arguments.end(), flags.begin(), flags.end());
  const Outcome outcome = run_binade(arguments);
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  return nlohmann::json::parse(outcome.out);
}

TEST_F(Smoke, AnExportedNetworkIsTheSame) {
  const Outcome outcome = run_binade({"export", "--model", "cnn_1", "--format", "onnx", "--out", path("e")});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_EQ(outcome.out, path("e/network.onnx") + "\n");
  const auto before = inspected({"--model", "cnn_1"}), after = inspected({"--model", path("e/network.onnx")});
  for (const char* key :
       {"name", "input", "output", "parameters", "macs", "macs_total", "preprocessing", "bytes_8bit"}) {
    EXPECT_EQ(before[key], after[key]) << key;
  }
  expect_failure(run_binade({"export", "--model", "cnn_1", "--out", path("e")}), 2, {"--force"});
  expect_failure(run_binade({"export", "--model", "cnn_1"}), 2, {"--out"});
}

TEST_F(Smoke, WeightsOfAnotherNetwork) {
  ASSERT_EQ(run_binade({"export", "--model", "mobilenet_v2_ti", "--out", path("e")}).code, 0);
  const std::string weights = path("e/network.onnx");
  const auto json = inspected(
      {"--model", "mobilenet_v2_unetlite", "--weights", weights, "--weights-map", "name", "--weights-part", "encoder"});
  EXPECT_EQ(json["notes"]["weights"], "51 layers of '" + weights + "' by name");
  EXPECT_EQ(json["notes"]["weights unused"], "features.18.0; classifier.1");
  EXPECT_TRUE(json["notes"]["weights kept"].get<std::string>().starts_with("decoder.aspp.d1.0; "));
  EXPECT_FALSE(json["notes"].contains("weights differ"));
  expect_failure(run_binade({"inspect", "--model", "mobilenet_v2_unetlite", "--weights", weights}), 3,
                 {"69 layers want weights, 53 are there", weights, "mobilenet_v2_unetlite"});
  expect_failure(run_binade({"inspect", "--model", "mobilenet_v2", "--weights", path("none.onnx")}), 3, {"none.onnx"});
  write_text(path("names.txt"), "# the head is called otherwise\nclassifier.1 classifier.1.weight\nfeatures.18.0\n");
  expect_failure(
      run_binade({"inspect", "--model", "mobilenet_v2", "--weights", weights, "--weights-names", path("names.txt")}), 3,
      {"line 3", "features.18.0", "two names"});
  write_text(path("names.txt"), "classifier.1 classifier.1.weight  # the same\n");
  const auto named = inspected({"--model", "mobilenet_v2", "--weights", weights, "--weights-names", path("names.txt")});
  EXPECT_EQ(named["notes"]["weights"], "53 layers of '" + weights + "' by name");
}

TEST_F(Smoke, TrainingGoesOnFromFoldedWeights) {
  const std::vector<std::string> images{"--dataset", "folder", "--data", path("images"), "--seed", "1"};
  std::vector<std::string> ptq{"ptq", "--model", "tiny_mobilenet", "--out", path("q"), "--preset", "simple"};
  ptq.insert(ptq.end(), images.begin(), images.end());
  const Outcome quantized = run_binade(ptq);
  ASSERT_EQ(quantized.code, 0) << quantized.err;
  std::vector<std::string> train{"train",
                                 "--model",
                                 "tiny_mobilenet",
                                 "--weights",
                                 path("q/network.h5"),
                                 "--weights-part",
                                 "encoder",
                                 "--train.epochs",
                                 "1",
                                 "--train.batch",
                                 "10",
                                 "--out",
                                 path("t")};
  train.insert(train.end(), images.begin(), images.end());
  const Outcome trained = run_binade(train);
  ASSERT_EQ(trained.code, 0) << trained.err;
  const auto json = inspected({"--model", path("t/network.h5")});
  const std::string note = json["notes"]["weights"];
  EXPECT_NE(note.find("25 layers of"), std::string::npos) << note;
  EXPECT_NE(note.find("25 batch norms of theirs, folded there, are identities here"), std::string::npos) << note;
  EXPECT_EQ(json["notes"]["weights kept"], "classifier.1");
}

}  // namespace
}  // namespace binade
