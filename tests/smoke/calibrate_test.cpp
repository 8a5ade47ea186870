// The fast mode from end to end: checkpoint, report, table rows with their speed, mistakes.
#include <nlohmann/json.hpp>

#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

TEST_F(Smoke, CalibrateKeepsANetworkThatEvaluatesAlike) {
  for (const std::string preset : {"default", "ti-advanced-dw"}) {
    const Outcome made =
        run("calibrate", {"--out", path(preset), "--weight-bits", "6", "--preset", preset, "--format", "json"});
    ASSERT_EQ(made.code, 0) << made.err;
    const auto json = nlohmann::json::parse(made.out);
    const auto row = json["rows"][1];
    EXPECT_EQ(row["method"], "calibration-w6a8");
    for (const char* key : {"seconds", "images", "images_per_second", "steps"}) {
      EXPECT_GT(json["details"]["calibration-w6a8"][key], 0) << key;
    }
    const Outcome evaluated = run_binade({"evaluate", "--model", path(preset + "/network.h5"), "--data", path("images"),
                                          "--engine", "fakequant", "--format", "json"});
    ASSERT_EQ(evaluated.code, 0) << evaluated.err;
    EXPECT_EQ(nlohmann::json::parse(evaluated.out)["rows"][0]["top1"], row["top1"]);
    const Outcome proven = run_binade(
        {"verify", "--model", path(preset + "/network.h5"), "--dataset", "folder", "--data", path("images/val")});
    EXPECT_EQ(proven.code, 0) << proven.out << proven.err;
  }
}

TEST_F(Smoke, CalibrateWantsNoLabelsAndNoEvaluation) {
  const Outcome only =
      run_binade({"calibrate", "--model", path("net.onnx"), "--calibration-data", path("images/train"), "--dataset",
                  "folder", "--preset", "ti-simple", "--target", "cmsis", "--out", path("q")});
  ASSERT_EQ(only.code, 0) << only.err;
  EXPECT_NE(only.out.find("images/s"), std::string::npos) << only.out;
  EXPECT_EQ(nlohmann::json::parse(read_text(path("q/report.json")))["details"]["steps"], 5);
  EXPECT_NE(only.err.find("calibrate calibration-w8a8"), std::string::npos) << only.err;
}

TEST_F(Smoke, TableSaysHowFastCalibrationsAre) {
  const Outcome outcome = run("table", {"--methods", "float,ptq8,qat8,calibration8,calibration-w2a8", "--qat.epochs",
                                        "1", "--qat.batch", "8", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  ASSERT_EQ(json["rows"].size(), 5U);
  EXPECT_GT(json["rows"][3]["sqnr_db"], json["rows"][4]["sqnr_db"]);
  const auto details = json["details"]["calibration8"];
  EXPECT_GT(details["speed"]["ptq"], 0);
  EXPECT_GT(details["speed"]["qat_epoch"], 0);
  EXPECT_FALSE(json["details"]["calibration-w2a8"].contains("speed"));
  EXPECT_NE(outcome.out.find("times as fast as ptq8"), std::string::npos);
  EXPECT_NE(outcome.out.find("times as fast as an epoch of qat8"), std::string::npos);
}

TEST_F(Smoke, CalibrateSaysWhatItNeeds) {
  expect_failure(run("calibrate", {}), 2, {"--out is missing"});
  expect_failure(run("calibrate", {"--out", path("a"), "--bits", "1"}), 2, {"2 to 16"});
  expect_failure(run("calibrate", {"--out", path("b"), "--preset", "ti-advancd"}), 2, {"ti-advanced"});
  expect_failure(run("calibrate", {"--out", path("c"), "--calibrate.range", "runing"}), 2, {"'running'"});
  expect_failure(run("calibrate", {"--out", path("d"), "--calibrate.batch", "0"}), 2, {"at least one image"});
  expect_failure(run("calibrate", {"--out", path("e"), "--calibration-data", path("images/val")}), 3,
                 {"--allow-leakage"});
}

}  // namespace
}  // namespace binade
