// A C++ program makes an accuracy table without a command line.
#include "experiment/table.hpp"

#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <list>
#include <memory>
#include <string>
#include <vector>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/models/models.hpp"
#include "core/ops/ops.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

/// Keeps what it is told.
class Listener : public ProgressSink {
 public:
  std::unique_ptr<ProgressStage> begin(const std::string& what, std::int64_t total, const std::string&) override {
    stages.push_back(what);
    totals.push_back(total);
    return std::make_unique<Stage>(done.emplace_back(0));
  }
  std::vector<std::string> stages;
  std::vector<std::int64_t> totals;
  std::list<std::int64_t> done;

 private:
  struct Stage : ProgressStage {
    explicit Stage(std::int64_t& n) : count(n) {}
    void advance(std::int64_t n) override { count += n; }
    void note(const std::string&) override {}
    std::int64_t& count;
  };
};

class Tables : public testing::Test {
 protected:
  static fs::path folder() { return fs::temp_directory_path() / ("binade_experiment_" + std::to_string(::getpid())); }
  static void SetUpTestSuite() {
    fs::create_directories(folder());
    ModelOptions options{.seed = 1, .classes = 3};
    options.input = {1, 32, 32, 3};
    save_checkpoint(build_model("tiny_mobilenet", options), folder() / "net.h5");
  }
  static void TearDownTestSuite() { fs::remove_all(folder()); }

  /// The whole of what a program has to say.
  static TableJob job() {
    TableJob job;
    job.network.model = folder() / "net.h5";
    job.data.dataset.kind = "generated";
    job.data.dataset.generated = {.classes = 3, .train = 12, .val = 9, .size = 32};
    job.data.data = folder() / "images";
    job.methods = {"ptq8", "float", "integer8"};
    job.ptq = [](PtqOptions& options) { options.range = "mse"; };
    return job;
  }
};

TEST_F(Tables, NeedNoCommandLine) {
  testing::internal::CaptureStdout();
  testing::internal::CaptureStderr();
  const TableResult result = run(job());
  EXPECT_EQ(testing::internal::GetCapturedStdout(), "");
  EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
  const auto& rows = result.report.rows;
  ASSERT_EQ(rows.size(), 3U);
  EXPECT_EQ(rows[0].method, "ptq8");
  EXPECT_EQ(rows[0].n, 9);
  EXPECT_EQ(rows[0].weight_bits, 8);
  EXPECT_TRUE(rows[0].sqnr_db.has_value());
  EXPECT_FALSE(rows[1].delta.has_value());        // float is the reference
  EXPECT_EQ(rows[2].accuracy, rows[0].accuracy);  // the integers of the same network
  EXPECT_EQ(result.columns.size(), 3U);
  EXPECT_TRUE(result.networks.contains("ptq8"));
  EXPECT_NE(render(result.report, Format::text).find("integer8"), std::string::npos);
}

TEST_F(Tables, TellWhatTheyDo) {
  Listener listener;
  run(job(), {.progress = &listener});
  EXPECT_NE(std::find(listener.stages.begin(), listener.stages.end(), "evaluate float"), listener.stages.end());
  EXPECT_NE(std::find(listener.stages.begin(), listener.stages.end(), "quantize ptq8"), listener.stages.end());
  std::size_t stage = 0;
  for (const std::int64_t done : listener.done) {
    EXPECT_EQ(done, listener.totals[stage]) << listener.stages[stage];
    ++stage;
  }
}

TEST_F(Tables, StopWhenTheyAreNotWanted) {
  int asked = 0;
  EXPECT_THROW(run(job(), {.cancelled = [&] { return ++asked > 3; }}), Cancelled);
  EXPECT_EQ(asked, 4);
}

TEST_F(Tables, KeepTheOtherRowsWhenOneFails) {
  Model model = load_checkpoint(folder() / "net.h5").model;
  Graph& graph = model.graph;
  const auto ones = [&](const char* name) { return graph.parameter(name, Tensor<float>({1, 1, 1, 3}, 1.0f)); };
  graph.set_output(graph.add("last_norm", LayerNorm{}, {graph.output(), ones("scale"), ones("shift")}));
  save_checkpoint(model, folder() / "norm.h5");
  TableJob norm = job();
  norm.network.model = folder() / "norm.h5";
  norm.methods = {"float", "ptq8", "integer8", "ptq16"};
  const AccuracyReport report = run(norm).report;
  ASSERT_EQ(report.rows.size(), 3U);
  EXPECT_EQ(report.rows[2].method, "ptq16");
  ASSERT_EQ(report.failed.size(), 1U);
  EXPECT_EQ(report.failed[0].method, "integer8");
  EXPECT_NE(report.failed[0].reason.find("last_norm"), std::string::npos) << report.failed[0].reason;
  EXPECT_NE(render(report, Format::text).find("integer8 failed: "), std::string::npos);
  EXPECT_EQ(to_json(report)["failed"][0]["method"], "integer8");
}

TEST_F(Tables, MayNameOneNetworkTwice) {
  TableJob twice = job();
  twice.methods = {"float", "calibration8", "calibration-w8a8"};
  const TableResult result = run(twice);
  ASSERT_EQ(result.report.rows.size(), 3U);
  EXPECT_EQ(result.report.rows[1].accuracy, result.report.rows[2].accuracy);
  EXPECT_TRUE(result.report.details["calibration-w8a8"].contains("seconds"));
}

TEST_F(Tables, GoOnFromFinishedRows) {
  TableJob rows = job();
  rows.methods = {"float", "ptq8", "ptq16"};
  rows.config = {{"methods", "as above"}, {"ptq.range", "mse"}, {"threads", 1}};
  const TableResult whole = run(rows);
  rows.rows = folder() / "rows";
  Listener listener;
  const auto has_begun = [&](const char* stage) {
    return std::find(listener.stages.begin(), listener.stages.end(), stage) != listener.stages.end();
  };
  EXPECT_THROW(run(rows, {.progress = &listener, .cancelled = [&] { return has_begun("quantize ptq16"); }}), Cancelled);
  EXPECT_TRUE(has_begun("quantize ptq8"));

  rows.resume = true;
  rows.config["threads"] = 2;  // does not change a row
  listener = {};
  const TableResult resumed = run(rows, {.progress = &listener});
  EXPECT_FALSE(has_begun("quantize ptq8"));
  EXPECT_TRUE(has_begun("quantize ptq16"));
  ASSERT_EQ(resumed.report.rows.size(), 3U);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_EQ(resumed.report.rows[i].method, whole.report.rows[i].method);
    EXPECT_EQ(resumed.report.rows[i].accuracy, whole.report.rows[i].accuracy);
    EXPECT_EQ(resumed.report.rows[i].sqnr_db, whole.report.rows[i].sqnr_db);
    EXPECT_EQ(resumed.report.rows[i].weight_bits, whole.report.rows[i].weight_bits);
    EXPECT_EQ(resumed.columns[i].logits, whole.columns[i].logits);
  }
  EXPECT_TRUE(resumed.report.details.contains("ptq8"));

  rows.config["ptq.range"] = "kl";  // other rows
  listener = {};
  run(rows, {.progress = &listener});
  EXPECT_TRUE(has_begun("quantize ptq8"));
}

TEST_F(Tables, RefuseNamesBeforeAnythingIsRead) {
  TableJob wrong = job();
  wrong.methods = {"float", "ptq88"};
  wrong.network.model = "nothing.h5";
  EXPECT_THROW(run(wrong), UsageError);
}

}  // namespace
}  // namespace binade
