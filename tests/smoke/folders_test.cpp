// Output folders and failed rows: what is left behind, who may write, what a signal and a full disk do.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include <nlohmann/json.hpp>

#include "tests/harness/paths.hpp"
#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

TEST_F(Smoke, AMistakeLeavesNoFolder) {
  expect_failure(run("table", {"--out", path("deep/out"), "--images", "4000"}), 2, {"4000"});
  EXPECT_FALSE(fs::exists(path("deep")));
  expect_failure(run("qat", {"--out", path("q"), "--calibration-images", "8", "--qat.epochs", "-3"}), 2, {"epochs"});
  EXPECT_FALSE(fs::exists(path("q")));
}

TEST_F(Smoke, ResumeTakesOnlyFoldersOfOurs) {
  fs::create_directory(path("mine"));
  write_text(path("mine/report.md"), "do not touch");
  const Outcome outcome = run_binade({"train", "--model", "tiny_mobilenet", "--input-size", "32", "--data",
                                      path("images"), "--train.epochs", "1", "--out", path("mine"), "--resume"});
  expect_failure(outcome, 2, {"no run of binade", path("mine")});
  EXPECT_EQ(read_text(path("mine/report.md")), "do not touch");
}

TEST_F(Smoke, OneRunPerFolder) {
  fs::create_directory(path("out"));
  write_text(path("out/.binade"), "running 4711 " + std::string("elsewhere") + "\n");
  expect_failure(run("evaluate", {"--out", path("out")}), 2, {"4711", "elsewhere", ".binade"});
  char host[256] = {};
  ASSERT_EQ(::gethostname(host, sizeof host - 1), 0);
  write_text(path("out/.binade"), "running 4711 " + std::string(host) + "\n");
  const int held = ::open(path("out/.binade").c_str(), O_RDWR | O_CLOEXEC);
  ASSERT_EQ(::flock(held, LOCK_EX), 0);
  expect_failure(run("evaluate", {"--out", path("out")}), 2, {"process 4711 on", "another folder"});
  ::close(held);  // as when that process is killed
  write_text(path("out/report.json.4711.0.tmp"), "half");
  const Outcome outcome = run("evaluate", {"--out", path("out")});
  EXPECT_EQ(outcome.code, 0) << outcome.err;
  EXPECT_FALSE(fs::exists(path("out/report.json.4711.0.tmp")));
  EXPECT_TRUE(fs::exists(path("out/report.json")));
}

TEST_F(Smoke, AFullStandardOutputIsAnError) {
  const std::string command = testing_tools::binade_program().string() + " --help >/dev/full 2>'" + path("err") + "'";
  const int status = std::system(command.c_str());
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 3);
  EXPECT_NE(read_text(path("err")).find("standard output"), std::string::npos) << read_text(path("err"));
}

TEST_F(Smoke, ASignalStopsBetweenStepsAndTheRunGoesOn) {
  const std::vector<std::string> arguments{"train",  "--model",      "tiny_mobilenet", "--input-size", "32",
                                           "--data", path("images"), "--train.epochs", "100000",       "--train.batch",
                                           "10",     "--out",        path("t")};
  const Outcome stopped = run_binade(arguments, "timeout --preserve-status -s INT 4 ");
  EXPECT_EQ(stopped.code, 130) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIGINT"), std::string::npos) << stopped.err;
  EXPECT_NE(stopped.err.find("--resume"), std::string::npos) << stopped.err;
  EXPECT_TRUE(fs::exists(path("t/network.h5")));
  auto again = arguments;
  again.emplace_back("--resume");
  const Outcome ended = run_binade(again, "timeout --preserve-status -s TERM 4 ");
  EXPECT_EQ(ended.code, 143) << ended.err;
}

TEST_F(Smoke, TableKeepsNoRowsOnceItIsDone) {
  const std::vector<std::string> flags{"--methods", "float,ptq8", "--calibration-images", "8", "--out", path("t")};
  const Outcome made = run("table", flags);
  ASSERT_EQ(made.code, 0) << made.err;
  EXPECT_FALSE(fs::exists(path("t/rows")));
  auto resumed = flags;
  resumed.emplace_back("--resume");
  EXPECT_EQ(run("table", resumed).code, 0);
  expect_failure(run("table", {"--resume"}), 2, {"--resume", "--out"});
}

TEST_F(Smoke, TwoNamesOfOneNetworkAreTwoRows) {
  const Outcome outcome = run(
      "table", {"--methods", "float,calibration8,calibration-w8a8", "--calibration-images", "8", "--format", "json"});
  ASSERT_EQ(outcome.code, 0) << outcome.err;
  const auto rows = nlohmann::json::parse(outcome.out)["rows"];
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[1]["sqnr_db"], rows[2]["sqnr_db"]);
}

TEST_F(Smoke, EqualNetworksHaveEqualHashes) {
  const auto hash = [&](const std::string& network, const std::string& name) {
    const Outcome outcome = run_binade({"evaluate", "--model", network, "--data", path("images"), "--format", "json"});
    EXPECT_EQ(outcome.code, 0) << outcome.err;
    return nlohmann::json::parse(outcome.out)["hashes"][name].get<std::string>();
  };
  for (const char* name : {"a", "b"}) {
    const Outcome made =
        run("ptq", {"--calibration-images", "8", "--out", path(name), "--threads", *name == 'a' ? "1" : "2"});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  EXPECT_EQ(read_text(path("a/network.h5")), read_text(path("b/network.h5")));
  EXPECT_EQ(hash(path("a/network.h5"), "model"), hash(path("b/network.h5"), "model"));
  EXPECT_NE(hash(path("a/network.h5"), "model"), hash(path("net.onnx"), "model"));
}

TEST_F(Smoke, EqualTrainingsGiveEqualFiles) {
  for (const char* name : {"a", "b"}) {
    const Outcome made =
        run_binade({"train", "--model", "tiny_mobilenet", "--input-size", "32", "--data", path("images"),
                    "--train.epochs", "2", "--train.batch", "10", "--train.warmup-epochs", "0", "--threads",
                    *name == 'a' ? "1" : "2", "--out", path(name)});
    ASSERT_EQ(made.code, 0) << made.err;
  }
  EXPECT_EQ(read_text(path("a/network.h5")), read_text(path("b/network.h5")));
  const std::string metrics = read_text(path("a/metrics.csv"));
  EXPECT_EQ(metrics.find(",0.0,"), std::string::npos) << metrics;
  const Outcome resumed = run_binade({"train", "--model", "tiny_mobilenet", "--input-size", "32", "--data",
                                      path("images"), "--train.epochs", "2", "--train.batch", "10",
                                      "--train.warmup-epochs", "0", "--out", path("a"), "--resume"});
  ASSERT_EQ(resumed.code, 0) << resumed.err;
  EXPECT_EQ(read_text(path("a/metrics.csv")), metrics);
}

}  // namespace
}  // namespace binade
