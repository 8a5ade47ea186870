// Quantization-aware training from end to end: checkpoint, table rows, mistakes, kills.
#include <nlohmann/json.hpp>

#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

const std::vector<std::string> kQuick{"--qat.epochs", "2", "--qat.batch", "8", "--calibration-images", "16"};

std::vector<std::string> with(std::vector<std::string> flags, const std::vector<std::string>& more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

TEST_F(Smoke, QatKeepsANetworkThatEvaluatesAlike) {
  const Outcome made = run("qat", with(kQuick, {"--out", path("q"), "--weight-bits", "4", "--format", "json"}));
  ASSERT_EQ(made.code, 0) << made.err;
  const auto json = nlohmann::json::parse(made.out);
  const auto row = json["rows"][2];
  EXPECT_EQ(row["method"], "qat-w4a8");
  EXPECT_EQ(json["rows"][1]["method"], "start");
  EXPECT_EQ(json["details"]["qat-w4a8"]["steps"], 10);
  const Outcome evaluated = run_binade({"evaluate", "--model", path("q/network.h5"), "--data", path("images"),
                                        "--engine", "fakequant", "--format", "json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(nlohmann::json::parse(evaluated.out)["rows"][0]["top1"], row["top1"]);
  const Outcome verified =
      run_binade({"verify", "--model", path("q/network.h5"), "--data", path("images"), "--images", "8"});
  EXPECT_EQ(verified.code, 0) << verified.err;
  EXPECT_NE(verified.out.find(" 0 mismatches"), std::string::npos) << verified.out;
  EXPECT_EQ(read_text(path("q/metrics.csv")).rfind("epoch,step,loss", 0), 0U);
  EXPECT_EQ(read_text(path("q/telemetry.csv")).rfind("step,tensor,role,learned,exponent", 0), 0U);
  // A finished run that is resumed says the same again; other settings are refused.
  const auto again = with(kQuick, {"--out", path("q"), "--weight-bits", "4", "--format", "json", "--resume"});
  const Outcome resumed = run("qat", again);
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(nlohmann::json::parse(resumed.out)["rows"][2]["top1"], row["top1"]);
  expect_failure(run("qat", with(again, {"--qat.learning-rate", "0.5"})), 2, {"learning_rate: was 0.004, now 0.5"});
}

TEST_F(Smoke, QatNeedsNoLabels) {
  std::filesystem::create_directory(path("flat"));
  int i = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(path("images/train"))) {
    if (entry.is_regular_file()) std::filesystem::copy(entry.path(), path("flat/" + std::to_string(i++) + ".jpg"));
  }
  const auto flags = with(kQuick, {"--training-data", path("flat"), "--training-dataset", "images"});
  const Outcome outcome = run("qat", with(flags, {"--out", path("q")}));
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  expect_failure(run("qat", with(flags, {"--out", path("l"), "--qat.labels=true"})), 3, {"label"});
}

TEST_F(Smoke, TableHasRowsOfQat) {
  const Outcome outcome = run("table", with(kQuick, {"--methods", "float,ptq8,qat8,qat-w4a4", "--format", "json"}));
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json["rows"].size(), 4U);
  EXPECT_EQ(json["rows"][2]["method"], "qat8");
  EXPECT_GT(json["rows"][2]["sqnr_db"], json["rows"][3]["sqnr_db"]);
  EXPECT_EQ(json["details"]["qat-w4a4"]["settings"]["quantizer"], "tqt");
  expect_failure(run("table", {"--methods", "qat8-simple"}), 2, {"qat8"});
}

TEST_F(Smoke, QatSaysWhatItNeeds) {
  expect_failure(run("qat", {}), 2, {"--out is missing"});
  expect_failure(run("qat", {"--out", path("x"), "--bits", "17"}), 2, {"2 to 16"});
  expect_failure(run("qat", {"--out", path("y"), "--preset", "bset"}), 2, {"'best'"});
  expect_failure(run("qat", {"--out", path("z"), "--training-data", path("images/val")}), 3, {"training images"});
  const Outcome diverged =
      run("qat", with(kQuick, {"--out", path("d"), "--qat.learning-rate", "10", "--qat.warmup-epochs", "0",
                               "--qat.log-steps", "1", "--qat.loss-jump", "1.5"}));
  expect_failure(diverged, 2, {"diverged", "The last good checkpoint is kept in", "training.h5"});
  EXPECT_TRUE(std::filesystem::exists(path("d/training.h5")));
}

TEST_F(Smoke, KilledTrainingsContinueToTheSameBits) {
  for (const char* quantizer : {"tqt", "pact-ema"}) {
    const Outcome outcome = run_binade({"selftest", "resume", "--resume.kills", "4", "--resume.quantizer", quantizer});
    EXPECT_EQ(outcome.code, 0) << outcome.out << outcome.err;
    EXPECT_NE(outcome.out.find("the same bits"), std::string::npos) << outcome.out;
  }
  expect_failure(run_binade({"selftest", "resum"}), 2, {"'resume'"});
  expect_failure(run_binade({"selftest"}), 2, {"resume: "});
}

}  // namespace
}  // namespace binade
