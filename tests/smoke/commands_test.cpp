// Every command from end to end on generated images, with small settings.
#include <nlohmann/json.hpp>

#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

TEST_F(Smoke, HelpAndVersionAreResults) {
  for (const char* flag : {"--help", "--version"}) {
    const Outcome outcome = run_binade({flag});
    EXPECT_EQ(outcome.code, 0);
    EXPECT_NE(outcome.out.find("binade"), std::string::npos);
  }
  for (const char* command :
       {"table", "train", "ptq", "calibrate", "qat", "verify", "selftest", "evaluate", "inspect", "report"}) {
    const Outcome outcome = run_binade({command, "--help"});
    EXPECT_EQ(outcome.code, 0) << command << outcome.err;
    EXPECT_NE(outcome.out.find("default"), std::string::npos) << command;
  }
}

TEST_F(Smoke, TableWritesOneStoreInEveryForm) {
  const Outcome outcome =
      run("table", {"--out", path("out"), "--batch", "7", "--calibration-sets", "2", "--calibration-images", "16",
                    "--methods", "float,ptq8-simple,ptq8,ptq16,ptq-w2a8"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_NE(outcome.out.find("Verdict:"), std::string::npos) << outcome.out;
  EXPECT_NE(outcome.out.find("over 2 calibration sets"), std::string::npos) << outcome.out;
  EXPECT_EQ(outcome.out, read_text(path("out/report.txt")));
  const auto json = nlohmann::json::parse(read_text(path("out/report.json")));
  ASSERT_EQ(json["rows"].size(), 5U);
  for (const char* key : {"method", "top1", "top5", "n", "interval", "delta", "delta_interval", "p_value", "agreement",
                          "sqnr_db", "seconds"}) {
    EXPECT_TRUE(json["rows"][1].contains(key)) << key;
  }
  EXPECT_EQ(json["rows"][0]["n"], 24);
  EXPECT_GT(json["rows"][3]["sqnr_db"], json["rows"][4]["sqnr_db"]);  // 16 bit above 2-bit weights
  EXPECT_TRUE(json["triage"].is_string());
  EXPECT_EQ(json["config"]["batch"], 7);
  for (const char* key : {"model", "preprocessing", "evaluation", "calibration", "revision", "binary"}) {
    EXPECT_TRUE(json["hashes"].contains(key)) << key;
  }
  for (const char* key : {"cpu", "isa", "threads", "os", "compiler", "libraries"}) {
    EXPECT_TRUE(json["machine"].contains(key)) << key;
  }
  for (const char* file : {"report.csv", "report.md", "report.tex", "config.cfg", "predictions.h5"}) {
    EXPECT_FALSE(read_text(path("out/") + file).empty()) << file;
  }
  // The same run from its own config file, on one thread: the same numbers.
  const Outcome again = run_binade({"table", path("out/config.cfg"), "--out", path("again"), "--threads", "1"});
  ASSERT_EQ(again.code, 0) << again.err;
  auto rows = nlohmann::json::parse(read_text(path("again/report.json")))["rows"];
  for (std::size_t i = 0; i < rows.size(); ++i) {
    for (const char* key : {"top1", "delta", "agreement", "sqnr_db"})
      EXPECT_EQ(rows[i][key], json["rows"][i][key]) << key;
  }
  expect_failure(run("table", {"--out", path("out")}), 2, {"--force", path("out")});
}

TEST_F(Smoke, ColumnsOfTwoRunsPair) {
  ASSERT_EQ(run("table", {"--out", path("a"), "--methods", "float,ptq8"}).code, 0);
  ASSERT_EQ(run("table", {"--out", path("b"), "--methods", "ptq-w4a8", "--images", "12"}).code, 0);
  const Outcome outcome =
      run_binade({"report", "--compare", path("a/predictions.h5:ptq8"), path("b/predictions.h5"), "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_TRUE(json["rows"][0]["delta"].is_null());
  EXPECT_TRUE(json["rows"][1]["delta"].is_number());
  EXPECT_NE(json["notes"][0].get<std::string>().find("12 of its 12"), std::string::npos) << outcome.out;
  expect_failure(run_binade({"report", "--compare", path("a/predictions.h5:ptq9"), path("b/predictions.h5")}), 3,
                 {"'ptq9'", "float, ptq8"});
  expect_failure(run_binade({"report"}), 2, {"--compare"});
}

TEST_F(Smoke, PtqKeepsANetworkThatEvaluatesAlike) {
  const Outcome made = run("ptq", {"--out", path("q"), "--weight-bits", "6", "--format", "json"});
  ASSERT_EQ(made.code, 0) << made.err;
  const auto row = nlohmann::json::parse(made.out)["rows"][1];
  EXPECT_EQ(row["method"], "ptq-w6a8");
  const Outcome evaluated = run_binade({"evaluate", "--model", path("q/network.h5"), "--data", path("images"),
                                        "--engine", "fakequant", "--format", "json"});
  ASSERT_EQ(evaluated.code, 0) << evaluated.err;
  EXPECT_EQ(nlohmann::json::parse(evaluated.out)["rows"][0]["top1"], row["top1"]);
  const Outcome only = run_binade({"ptq", "--model", path("net.onnx"), "--calibration-data", path("images/train"),
                                   "--dataset", "folder", "--bits", "16", "--out", path("q16")});
  EXPECT_EQ(only.code, 0) << only.err;
  expect_failure(run("evaluate", {"--engine", "fakequant"}), 2, {"no quantizers"});
}

TEST_F(Smoke, IntegersAreProvenAndEvaluated) {
  ASSERT_EQ(run("ptq", {"--out", path("q")}).code, 0);
  const std::string network = path("q/network.h5");
  const std::vector<std::string> images{"--dataset", "folder", "--data", path("images/val")};
  const auto with_images = [&](std::vector<std::string> arguments) {
    arguments.insert(arguments.end(), images.begin(), images.end());
    return run_binade(arguments);
  };
  for (const char* target : {"tidl", "generic", "cmsis", "tidl_bias16"}) {
    const Outcome proven = with_images({"verify", "--model", network, "--target", target, "--out", path(target)});
    ASSERT_EQ(proven.code, 0) << proven.out << proven.err;
    const std::string last = proven.out.substr(proven.out.rfind('\n', proven.out.size() - 2) + 1);
    EXPECT_NE(last.find(" tensors, "), std::string::npos) << last;
    EXPECT_TRUE(last.ends_with(" elements, 0 mismatches\n")) << last;
  }
  // A kept program passes; with one weight changed and sealed again it would not be this network's.
  EXPECT_EQ(with_images({"verify", "--model", network, "--program", path("tidl/program.h5")}).code, 0);
  const Outcome other = with_images({"verify", "--model", network, "--program", path("generic/program.h5")});
  EXPECT_EQ(other.code, 1) << other.out;
  EXPECT_NE(other.out.find("Program against graph: tensor '"), std::string::npos) << other.out;

  const auto accuracy = [&](const char* engine) {
    const Outcome outcome = with_images({"evaluate", "--model", network, "--engine", engine, "--format", "json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["rows"][0]["top1"].get<double>();
  };
  EXPECT_EQ(accuracy("integer"), accuracy("fakequant"));
  const Outcome inspected = run_binade({"inspect", "--model", network, "--format", "json"});
  const auto program = nlohmann::json::parse(inspected.out)["program"];
  EXPECT_GT(program["arena_bytes"], 0);
  EXPECT_GT(program["weight_bytes"], 0);

  expect_failure(with_images({"verify", "--model", path("net.onnx")}), 2, {"no quantizers", "binade ptq"});
  expect_failure(with_images({"verify", "--model", network, "--target", "cmsi"}), 2, {"did you mean 'cmsis'"});
  expect_failure(with_images({"verify", "--model", network, "--program", path("net.onnx")}), 3, {"net.onnx"});
}

TEST_F(Smoke, BenchTimesEveryScheme) {
  const Outcome outcome = run_binade({"bench", "--model", path("net.onnx"), "--scheme", "float,int8,16x8,16",
                                      "--seconds", "0.05", "--batch", "2", "--threads", "1", "--brief"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  for (const char* scheme : {"float", "int8", "16x8", "16"}) {
    EXPECT_NE(outcome.out.find(std::string(" ") + scheme + " b2 1thread: "), std::string::npos) << outcome.out;
  }
  ASSERT_EQ(run("ptq", {"--out", path("q")}).code, 0);
  const Outcome own = run_binade({"bench", "--model", path("q/network.h5"), "--seconds", "0.05", "--format", "json"});
  ASSERT_EQ(own.code, 0) << own.err;
  EXPECT_EQ(nlohmann::json::parse(own.out).size(), 2U) << own.out;  // float and its own widths
  expect_failure(run_binade({"bench", "--model", path("q/network.h5"), "--scheme", "16"}), 2, {"quantized as int8"});
}

TEST_F(Smoke, IntegerRowsEqualTheirPtqRows) {
  const Outcome outcome =
      run("table", {"--methods", "float,ptq8,integer8,ptq-w16a8,integer-w16a8", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto rows = nlohmann::json::parse(outcome.out)["rows"];
  ASSERT_EQ(rows.size(), 5U);
  for (const std::size_t i : {1U, 3U}) {
    EXPECT_EQ(rows[i]["top1"], rows[i + 1]["top1"]);
    EXPECT_EQ(rows[i]["agreement"], rows[i + 1]["agreement"]);
    EXPECT_EQ(rows[i]["weight_bits"], rows[i + 1]["weight_bits"]);
  }
}

TEST_F(Smoke, TrainLearnsAndContinues) {
  const std::vector<std::string> flags{"train",
                                       "--model",
                                       "tiny_mobilenet",
                                       "--data",
                                       path("images"),
                                       "--width",
                                       "0.5",
                                       "--input-size",
                                       "32",
                                       "--train.batch",
                                       "10",
                                       "--out",
                                       path("t"),
                                       "--train.warmup-epochs",
                                       "0"};
  auto first = flags, more = flags;
  first.insert(first.end(), {"--train.epochs", "2"});
  const Outcome trained = run_binade(first);
  ASSERT_EQ(trained.code, 0) << trained.err;
  EXPECT_NE(read_text(path("t/metrics.csv")).find("loss"), std::string::npos);
  // The rates of a run depend on its length, so a continued run must have the same one: all its epochs are done.
  auto resumed = first;
  resumed.emplace_back("--resume");
  const Outcome again = run_binade(resumed);
  EXPECT_EQ(again.code, 0) << again.err;
  more.insert(more.end(), {"--train.epochs", "2", "--train.learning-rate", "0.3", "--resume"});
  expect_failure(run_binade(more), 2, {"learning_rate"});
  const Outcome inspected = run_binade({"inspect", "--model", path("t/network.h5"), "--format", "json"});
  ASSERT_EQ(inspected.code, 0) << inspected.err;
  EXPECT_EQ(nlohmann::json::parse(inspected.out)["output"], "1x1x1x4");
}

TEST_F(Smoke, InspectCountsAndListsTheZoo) {
  const Outcome outcome = run_binade({"inspect", "--model", path("net.onnx"), "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto json = nlohmann::json::parse(outcome.out);
  EXPECT_EQ(json["parameters"], 8 * 27 + 8 + kClasses * 8 + kClasses);
  EXPECT_EQ(json["macs"], 16 * 16 * 8 * 27);
  EXPECT_EQ(json["macs_total"], 16 * 16 * 8 * 27 + kClasses * 8);
  EXPECT_EQ(json["bytes_8bit"], json["parameters"]);
  const Outcome zoo = run_binade({"inspect", "--model", "all", "--format", "json"});
  ASSERT_EQ(zoo.code, 0) << zoo.err;
  for (const auto& model : nlohmann::json::parse(zoo.out)) {
    for (const char* key : {"name", "parameters", "macs", "macs_total"}) EXPECT_TRUE(model.contains(key)) << key;
  }
}

TEST_F(Smoke, DumpedConfigReadsBack) {
  const Outcome dump = run("table", {"--ptq.range", "mse", "--images", "10", "--dump-config"});
  ASSERT_EQ(dump.code, 0) << dump.err;
  write_text(path("dump.cfg"), dump.out);
  const Outcome again = run_binade({"table", path("dump.cfg"), "--dump-config"});
  EXPECT_EQ(again.code, 0) << again.err;
  EXPECT_EQ(again.out, dump.out);
}

TEST_F(Smoke, GeneratedImagesAreMadeWhereMissing) {
  const Outcome outcome =
      run_binade({"table", "--model", path("net.onnx"), "--dataset", "generated", "--data", path("made"),
                  "--generated.train", "20", "--generated.val", "12", "--generated.size", "32", "--generated.classes",
                  "4", "--methods", "float,ptq16"});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_TRUE(std::filesystem::exists(path("made/val")));
}

}  // namespace
}  // namespace binade
