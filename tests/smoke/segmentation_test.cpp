// Segmentation from end to end: drawn streets, a network trained on them, every row of its table, pictures.
#include <nlohmann/json.hpp>

#include "tests/smoke/program_runner.hpp"

namespace binade {
namespace {

using Words = std::vector<std::string>;

Words joined(Words first, const Words& more) {
  first.insert(first.end(), more.begin(), more.end());
  return first;
}

TEST_F(Smoke, StreetsFromDrawingToTable) {
  const Words streets{"--dataset",        "generated-streets",
                      "--data",           path("streets"),
                      "--streets.train",  "8",
                      "--streets.val",    "4",
                      "--streets.height", "32",
                      "--streets.width",  "64"};
  const Words training =
      joined(joined({"train", "--model", "mobilenet_v2_unetlite", "--width", "0.25", "--input-size", "32x64"}, streets),
             {"--train.epochs", "6", "--train.learning-rate", "0.01", "--train.batch", "4", "--train.warmup-epochs",
              "0", "--format", "json"});
  const Outcome trained = run_binade(joined(training, {"--out", path("t")}));
  ASSERT_EQ(trained.code, 0) << trained.err;
  const auto row = nlohmann::json::parse(trained.out)["rows"][0];
  EXPECT_TRUE(row.contains("miou"));
  EXPECT_EQ(row["class_iou"].size(), 19U);
  // The same images and labels, however many threads make them: the same network.
  const Outcome alone = run_binade(joined(training, {"--out", path("alone"), "--threads", "1"}));
  ASSERT_EQ(alone.code, 0) << alone.err;
  EXPECT_EQ(nlohmann::json::parse(alone.out)["rows"][0]["class_iou"], row["class_iou"]);

  const Words network = joined({"--model", path("t/network.h5")}, streets);
  const Outcome table = run_binade(
      joined(joined({"table"}, network),
             {"--methods", "float,ptq8-simple,ptq8,ptq16,calibration8,qat8,integer8", "--calibration-images", "4",
              "--qat.epochs", "1", "--qat.batch", "4", "--overlays", "1", "--out", path("table"), "--format", "json"}));
  ASSERT_EQ(table.code, 0) << table.err;
  const auto json = nlohmann::json::parse(table.out);
  ASSERT_EQ(json["rows"].size(), 7U);
  EXPECT_EQ(json["rows"][0]["miou"], row["miou"]);
  EXPECT_EQ(json["rows"][2]["miou"], json["rows"][6]["miou"]) << "ptq8 and its integers";
  EXPECT_EQ(json["classes"][0], "road");
  for (std::size_t i = 1; i < 7; ++i) {
    for (const char* key : {"delta", "delta_interval", "agreement", "pixel_accuracy"}) {
      EXPECT_FALSE(json["rows"][i][key].is_null()) << key << " of row " << i;
    }
  }
  EXPECT_GT(json["rows"][3]["agreement"], 99) << "16 bit";
  const std::string picture = "/streets_000000_000000_leftImg8bit.png";
  EXPECT_FALSE(read_text(path("table/overlays/integer8") + picture).empty());

  const Outcome qat =
      run_binade(joined(joined({"qat"}, network), {"--calibration-images", "4", "--qat.epochs", "1", "--qat.batch", "4",
                                                   "--qat.labels", "--qat.distillation", "0", "--out", path("q")}));
  ASSERT_EQ(qat.code, 0) << qat.err;
  for (const char* engine : {"float", "fakequant", "integer"}) {
    const Outcome evaluated = run_binade(joined(joined({"evaluate", "--model", path("q/network.h5")}, streets),
                                                {"--engine", engine, "--resolution", "network", "--format", "json"}));
    ASSERT_EQ(evaluated.code, 0) << evaluated.err;
    EXPECT_TRUE(nlohmann::json::parse(evaluated.out)["rows"][0].contains("miou"));
  }
}

TEST_F(Smoke, SegmentationMistakesAreNamed) {
  const Words streets{"--dataset",        "generated-streets",
                      "--data",           path("streets"),
                      "--streets.train",  "2",
                      "--streets.val",    "2",
                      "--streets.height", "32",
                      "--streets.width",  "64"};
  // A classification network cannot be held against label maps, nor may pictures want for a folder.
  expect_failure(run_binade(joined({"evaluate", "--model", path("net.onnx")}, streets)), 3, {"label maps", "19"});
  const Words unet = joined({"evaluate", "--model", "mobilenet_v2_unetlite"}, streets);
  expect_failure(run_binade(joined(unet, {"--overlays", "1"})), 2, {"--overlays", "--out"});
  expect_failure(
      run_binade({"evaluate", "--model", "mobilenet_v2_unetlite", "--dataset", "camvid", "--data", path("streets")}), 3,
      {"test.txt"});
  expect_failure(run_binade(joined(joined({"train", "--model", "mobilenet_v2_unetlite"}, streets),
                                   {"--input-size", "32x", "--out", path("x")})),
                 2, {"--input-size", "360x480"});
}

}  // namespace
}  // namespace binade
