// Tables and accuracy rows: pairing, numbers by hand, every format from one store, the verdicts.
#include <cmath>

#include <gtest/gtest.h>

#include "core/base/error.hpp"
#include "core/report/accuracy.hpp"

namespace binade {
namespace {

/// Ten classes; image i has label i % 10, and `wrong` images are predicted as the next class.
Predictions made_up(const std::string& method, int n, const std::vector<int>& wrong, float noise = 0) {
  Predictions p{.method = method, .classes = 10};
  p.logits = Tensor<float>(Shape{n, 1, 1, 10});
  for (int i = 0; i < n; ++i) {
    p.images.push_back("val/" + std::to_string(i) + ".png");
    p.hashes.push_back("hash" + std::to_string(i));
    p.labels.push_back(i % 10);
    const bool is_wrong = std::find(wrong.begin(), wrong.end(), i) != wrong.end();
    p.top1.push_back((i + (is_wrong ? 1 : 0)) % 10);
    for (int k = 0; k < Predictions::kBest; ++k) p.top5.push_back((p.top1.back() + k) % 10);
    p.logits[i * 10 + p.top1.back()] = 10 + noise;
  }
  p.seconds = 1.5;
  return p;
}

TEST(Report, RowsByHand) {
  const Predictions reference = made_up("float", 100, {0, 1});
  const Predictions other = made_up("ptq8", 100, {1, 2, 3, 4}, 1);
  const AccuracyRow row = accuracy_row(other, &reference);
  EXPECT_DOUBLE_EQ(row.accuracy, 96);
  EXPECT_DOUBLE_EQ(*row.top5, 96 + 4 * 4.0 / 9);  // a wrong image's label ties with eight others for four places
  EXPECT_DOUBLE_EQ(*row.delta, -2);
  EXPECT_DOUBLE_EQ(*row.agreement, 96);  // images 0, 2, 3 and 4 differ
  EXPECT_NEAR(*row.p_value, 2.0 * 5 / 16, 1e-12);
  EXPECT_TRUE(row.interval->contains(96));
  EXPECT_TRUE(row.delta_interval->contains(-2));
  // 96 images with error 1 in one logit, 4 with 10 there and 11 elsewhere: 100 * 100 / (96 + 4 * 221).
  EXPECT_NEAR(*row.sqnr_db, 10 * std::log10(10000.0 / 980.0), 1e-9);
  const AccuracyRow alone = accuracy_row(reference, nullptr);
  EXPECT_FALSE(alone.delta || alone.p_value || alone.sqnr_db);
}

TEST(Report, ImagesPairByContentWhateverTheOrder) {
  const Predictions reference = made_up("float", 6, {0});
  Predictions other = made_up("ptq8", 6, {0});
  std::swap(other.hashes[0], other.hashes[5]);
  std::swap(other.labels[0], other.labels[5]);
  std::swap(other.top1[0], other.top1[5]);
  other.logits = {};
  const AccuracyRow row = accuracy_row(other, &reference);
  EXPECT_DOUBLE_EQ(*row.agreement, 100);
  EXPECT_FALSE(row.sqnr_db);

  Predictions twice = made_up("a", 3, {});
  twice.hashes = {"x", "x", "y"};
  Predictions once = made_up("b", 2, {});
  once.hashes = {"y", "x"};
  EXPECT_EQ(matching_images(twice, once), (std::vector<std::pair<int, int>>{{0, 1}, {2, 0}}));
}

TEST(Report, CopiesOfAnImageTellNothingNew) {
  std::vector<int> wrong{0, 1, 2, 3, 4, 5, 6}, wrong_too{1, 2, 3, 9, 11};
  Predictions once = made_up("float", 60, wrong), other = made_up("ptq8", 60, wrong_too);
  once.logits = other.logits = {};
  const auto repeated = [](const Predictions& p, int times) {
    Predictions many{.method = p.method, .classes = p.classes};
    for (int t = 0; t < times; ++t) {
      many.images.insert(many.images.end(), p.images.begin(), p.images.end());
      many.hashes.insert(many.hashes.end(), p.hashes.begin(), p.hashes.end());
      many.labels.insert(many.labels.end(), p.labels.begin(), p.labels.end());
      many.top1.insert(many.top1.end(), p.top1.begin(), p.top1.end());
      many.top5.insert(many.top5.end(), p.top5.begin(), p.top5.end());
    }
    return many;
  };
  const AccuracyRow expected = accuracy_row(other, &once);
  const Predictions many = repeated(once, 31);
  const AccuracyRow found = accuracy_row(repeated(other, 31), &many);
  EXPECT_EQ(found.n, 31 * 60);
  EXPECT_EQ(found.distinct, 60);
  EXPECT_NEAR(found.accuracy, expected.accuracy, 1e-9);
  EXPECT_NEAR(found.interval->lo, expected.interval->lo, 1e-9);
  EXPECT_NEAR(found.interval->hi, expected.interval->hi, 1e-9);
  EXPECT_NEAR(found.delta_interval->lo, expected.delta_interval->lo, 1e-9);
  EXPECT_NEAR(found.delta_interval->hi, expected.delta_interval->hi, 1e-9);
  EXPECT_NEAR(*found.p_value, *expected.p_value, 1e-9);
}

TEST(Report, ColumnsThatCannotBePairedAreNamed) {
  const Predictions reference = made_up("float", 4, {});
  Predictions other = made_up("ptq8", 4, {});
  other.labels[2] = 7;
  EXPECT_THROW(accuracy_row(other, &reference), DataError);
  for (auto& hash : other.hashes) hash += "other";
  EXPECT_THROW(accuracy_row(other, &reference), DataError);
  other = made_up("ptq8", 4, {});
  other.classes = 9;
  EXPECT_THROW(accuracy_row(other, &reference), DataError);
  EXPECT_THROW(accuracy_row(Predictions{.method = "empty", .classes = 10}, nullptr), DataError);
}

TEST(Report, SegmentationRowsHoldMeanIou) {
  Predictions reference{.method = "float", .classes = 2}, other{.method = "ptq8", .classes = 2};
  for (int i = 0; i < 20; ++i) {
    for (Predictions* p : {&reference, &other}) {
      p->hashes.push_back(std::to_string(i));
      p->images.push_back("street" + std::to_string(i) + ".png");
    }
    reference.confusion.insert(reference.confusion.end(), {90, 10, 10, 90});
    other.confusion.insert(other.confusion.end(), {80 + i % 2, 20 - i % 2, 10, 90});
  }
  const AccuracyRow row = accuracy_row(other, &reference);
  EXPECT_TRUE(row.segmentation);
  const double expected = 50 * (80.5 / 110 + 90 / 119.5);
  EXPECT_NEAR(row.accuracy, expected, 1e-9);
  EXPECT_NEAR(*row.delta, expected - 100 * 90.0 / 110, 1e-9);
  EXPECT_TRUE(row.delta_interval->contains(*row.delta));
  EXPECT_LT(row.delta_interval->hi, 0);
  AccuracyReport report;
  report.rows = {row};
  EXPECT_TRUE(to_json(report)["rows"][0].contains("miou"));
  EXPECT_FALSE(to_json(report)["rows"][0].contains("top1"));
  EXPECT_NE(render(report, Format::text).find("mIoU"), std::string::npos);
}

AccuracyReport small_report() {
  const Predictions reference = made_up("float", 100, {0, 1});
  AccuracyReport report;
  report.rows = {accuracy_row(reference, nullptr), accuracy_row(made_up("ptq8", 100, {0, 1, 2}, 0.25F), &reference)};
  report.rows[1].weight_bits = report.rows[1].activation_bits = 8;
  report.triage = "Triage: said.";
  report.notes = {"n = 100 images."};
  report.config["model"] = "net.onnx";
  return report;
}

TEST(Report, EveryFormatComesFromTheSameStore) {
  const AccuracyReport report = small_report();
  const auto json = nlohmann::json::parse(render(report, Format::json));
  EXPECT_EQ(json["rows"][1]["method"], "ptq8");
  EXPECT_DOUBLE_EQ(json["rows"][1]["top1"].get<double>(), 97);
  EXPECT_DOUBLE_EQ(json["rows"][1]["delta"].get<double>(), -1);
  EXPECT_EQ(json["rows"][1]["delta_interval"].size(), 2U);
  EXPECT_TRUE(json["rows"][0]["delta"].is_null());
  EXPECT_EQ(json["triage"], "Triage: said.");
  for (const char* key : {"method", "top1", "top5", "n", "interval", "delta", "delta_interval", "p_value", "agreement",
                          "sqnr_db", "seconds"}) {
    EXPECT_TRUE(json["rows"][0].contains(key)) << key;
  }

  const std::string csv = render(report, Format::csv);
  EXPECT_EQ(csv.substr(0, csv.find('\n')),
            "method,top1,top5,ties,top1_lowest,n,distinct,interval_lo,interval_hi,delta,delta_interval_lo,delta_"
            "interval_hi,p_"
            "value,agreement,"
            "sqnr_db,seconds,quantize_seconds,weight_bits,activation_bits");
  EXPECT_NE(csv.find("\nptq8,97.0,"), std::string::npos) << csv;
  EXPECT_EQ(std::count(csv.begin(), csv.end(), '\n'), 3);

  for (const Format format : {Format::text, Format::md, Format::latex}) {
    const std::string text = render(report, format);
    EXPECT_NE(text.find("97.00"), std::string::npos) << text;
    EXPECT_NE(text.find("Triage: said."), std::string::npos) << text;
  }
}

TEST(Report, TextAlignsAndEscapes) {
  const Table table{.columns = {{"name", false}, {"Δ"}}, .rows = {{"a|b", "−1"}, {"c,\"d\"", "10"}}, .notes = {"50 %"}};
  EXPECT_EQ(render(table, Format::text), "name    Δ\n---------\na|b    −1\nc,\"d\"  10\n\n50 %\n");
  EXPECT_EQ(render(table, Format::csv), "name,Δ\na|b,−1\n\"c,\"\"d\"\"\",10\n");
  EXPECT_NE(render(table, Format::md).find("| a\\|b"), std::string::npos);
  EXPECT_NE(render(table, Format::latex).find("50 \\%"), std::string::npos);
  EXPECT_NE(render(table, Format::latex).find("$\\Delta$"), std::string::npos);
  EXPECT_EQ(nlohmann::json::parse(render(table, Format::json))[0]["name"], "a|b");
}

TEST(Report, SpreadOfCalibrationSetsIsPrinted) {
  AccuracyReport report = small_report();
  report.rows[1].sets = {{97, 99, 20}, {95, 97, 18}};
  const std::string text = render(report, Format::text);
  EXPECT_NE(text.find("ptq8 over 2 calibration sets: top-1 96.00 ± 1.41 (95.00 … 97.00)"), std::string::npos) << text;
  EXPECT_EQ(to_json(report)["rows"][1]["calibration_sets"].size(), 2U);
}

}  // namespace
}  // namespace binade
