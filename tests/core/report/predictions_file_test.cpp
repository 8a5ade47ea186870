// Predictions survive the file, and a wrong file is told apart.
#include "core/report/predictions_file.hpp"

#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>

#include "core/base/error.hpp"

namespace binade {
namespace {

std::filesystem::path place(const std::string& name) {
  return std::filesystem::path(testing::TempDir()) / ("binade_predictions_" + name);
}

TEST(PredictionsFile, ColumnsReadBack) {
  Predictions a{.method = "ptq8-simple", .classes = 3};
  a.images = {"val/a b.JPEG", "val/ü.png"};
  a.hashes = {"00ff", "1234"};
  a.labels = {2, 0};
  a.top1 = {1, 0};
  a.top5 = {1, 2, 0, -1, -1, 0, 1, 2, -1, -1};
  a.logits = Tensor<float>(Shape{2, 1, 1, 3}, std::vector<float>{1, 2, 1.5F, 3, 2, -0.25F});
  a.seconds = 0.5;
  Predictions b{.method = "float", .classes = 2};
  b.images = {"x.png"};
  b.hashes = {"77"};
  b.confusion = {std::int64_t{1} << 40, 2, 3, 4};
  const auto path = place("both.h5");
  write_predictions(path, {a, b});

  const std::vector<Predictions> columns = read_predictions(path);
  ASSERT_EQ(columns.size(), 2U);
  EXPECT_EQ(columns[0].confusion, b.confusion);
  const Predictions again = read_predictions(path, "ptq8-simple");
  EXPECT_EQ(again.method, a.method);
  EXPECT_EQ(again.classes, 3);
  EXPECT_EQ(again.images, a.images);
  EXPECT_EQ(again.hashes, a.hashes);
  EXPECT_EQ(again.labels, a.labels);
  EXPECT_EQ(again.top1, a.top1);
  EXPECT_EQ(again.top5, a.top5);
  EXPECT_EQ(again.logits, a.logits);
  EXPECT_EQ(again.seconds, 0.5);
  EXPECT_THROW(read_predictions(path, "ptq8"), DataError);
  EXPECT_THROW(read_predictions(path, ""), DataError);  // which of the two?
}

TEST(PredictionsFile, OtherFilesAreRefused) {
  EXPECT_THROW(read_predictions(place("missing.h5")), DataError);
  std::ofstream(place("text.h5")) << "no HDF5";
  EXPECT_THROW(read_predictions(place("text.h5")), DataError);
  Predictions odd{.method = "odd", .classes = 2};
  odd.images = {"a"};
  odd.hashes = {"1", "2"};
  odd.labels = odd.top1 = {0, 1};
  odd.top5.resize(10);
  write_predictions(place("odd.h5"), {odd});
  EXPECT_THROW(read_predictions(place("odd.h5")), DataError);
}

}  // namespace
}  // namespace binade
