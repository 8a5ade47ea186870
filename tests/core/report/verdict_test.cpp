// Verdicts: what may be concluded from a difference and what not, row by row; alarms and sentences from one decision.
#include <gtest/gtest.h>

#include "core/report/verdict.hpp"

namespace binade {
namespace {

AccuracyRow row_with(const std::string& method, int weight_bits, int activation_bits, double delta, double half) {
  AccuracyRow row{.method = method,
                  .weight_bits = weight_bits,
                  .activation_bits = activation_bits,
                  .accuracy = 70 + delta,
                  .n = 650};
  row.interval = Interval{row.accuracy - 3, row.accuracy + 3};
  if (weight_bits > 0) {
    row.delta = delta;
    row.delta_interval = Interval{delta - half, delta + half};
    row.agreement = 97;
    row.sqnr_db = weight_bits == 16 ? 20.0 : 12.0;
  }
  return row;
}

const AccuracyRow kFloat = row_with("float", 0, 0, 0, 0);

testing::AssertionResult says(const Conclusions& found, const std::string& words) {
  if (found.triage.find(words) != std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "wanted \"" << words << "\" in: " << found.triage;
}
testing::AssertionResult lacks(const Conclusions& found, const std::string& words) {
  if (found.triage.find(words) == std::string::npos) return testing::AssertionSuccess();
  return testing::AssertionFailure() << "\"" << words << "\" is in: " << found.triage;
}

Verdict verdict_of(const AccuracyRow& row) {
  return judge({kFloat, row}, 1000).at(0).verdict;
}

TEST(Verdict, NoLossNeedsTheWholeIntervalAboveTheMargin) {
  EXPECT_EQ(verdict_of(row_with("ptq8", 8, 8, -0.2, 0.7)), Verdict::no_loss);
  EXPECT_EQ(verdict_of(row_with("ptq8", 8, 8, -0.2, 0.9)), Verdict::cannot_tell);
  EXPECT_EQ(verdict_of(row_with("ptq8", 8, 8, -3, 1)), Verdict::loss);
  const AccuracyRow wide = row_with("ptq8", 8, 8, -0.2, 1.5);
  EXPECT_EQ(judge({kFloat, wide}, 1000, {.margin = 2}).at(0).verdict, Verdict::no_loss);
}

// 12 images and -25 points were "within noise ... no loss to explain".
TEST(Verdict, FewImagesProveNothing) {
  AccuracyRow row = row_with("ptq8", 8, 8, -25, 30);
  row.n = 12;
  const Conclusions found = conclude({kFloat, row, row_with("ptq16", 16, 16, 0, 0.4)}, 10);
  EXPECT_TRUE(says(found, "ptq8 (−25.00 points, 95 % −55.00 … +5.00): cannot tell with 12 images; about 18 would do"));
  EXPECT_TRUE(lacks(found, "no loss to explain"));
}

// A bad ptq-w4a4 beside a good ptq-w8a16 was "no loss"; ptq-w2a4 was blamed on 8 bit.
TEST(Verdict, EveryRowAndWidthHasItsOwn) {
  const Conclusions found = conclude({kFloat, row_with("ptq-w4a4", 4, 4, -4.3, 1), row_with("ptq-w8a16", 8, 16, 0, 0.5),
                                      row_with("ptq-w2a4", 2, 4, -26, 3), row_with("ptq16", 16, 16, 0, 0.2)},
                                     1000);
  EXPECT_TRUE(says(found, "ptq-w4a4 (−4.30 points, 95 % −5.30 … −3.30): a loss.\n"));
  EXPECT_TRUE(says(found, "ptq-w8a16 (0.00 points, 95 % −0.50 … +0.50): no loss of 1 points or more.\n"));
  EXPECT_TRUE(says(found, "so few bits is the cause of the losses of ptq-w4a4 (4 bit), ptq-w2a4 (w2a4)."));
  EXPECT_TRUE(lacks(found, "8 bit is the cause"));
}

// Where 16 bit alone lost, it said "do not blame 8 bit but look elsewhere".
TEST(Verdict, SixteenBitAloneIsBlamedItself) {
  const Conclusions alone = conclude({kFloat, row_with("ptq8", 8, 8, 0, 0.5), row_with("ptq16", 16, 16, -9, 1)}, 1000);
  EXPECT_TRUE(says(alone, "16 bit alone loses (ptq16), which more bits never should"));
  const Conclusions both = conclude({kFloat, row_with("ptq8", 8, 8, -9, 1), row_with("ptq16", 16, 16, -5, 0.4)}, 1000);
  EXPECT_TRUE(says(both, "16 bit (ptq16) loses already"));
  EXPECT_TRUE(says(both, "clipped"));
}

// One report said "above float beyond noise" and "within noise" at once.
TEST(Verdict, AlarmsAndVerdictsAgree) {
  const Conclusions found = conclude({kFloat, row_with("ptq8", 8, 8, 2, 1), row_with("ptq16", 16, 16, 0, 0.2)}, 1000);
  ASSERT_EQ(found.alarms.size(), 1U);
  EXPECT_NE(found.alarms[0].find("ptq8 is above float beyond noise"), std::string::npos);
  EXPECT_TRUE(lacks(found, "noise of float"));
  EXPECT_TRUE(conclude({kFloat, row_with("ptq8", 8, 8, -2, 1)}, 1000).alarms.empty());
}

TEST(Verdict, LowAgreementIsNeverNoLoss) {
  AccuracyRow row = row_with("ptq8", 8, 8, 0, 0.5);
  row.agreement = 89;
  EXPECT_EQ(verdict_of(row), Verdict::cannot_tell);
  EXPECT_TRUE(says(conclude({kFloat, row}, 1000), "89.0 % agreement is too little for \"no loss\""));
}

TEST(Verdict, LossesAreCorrectedForTheNumberOfRows) {
  AccuracyRow row = row_with("ptq8", 8, 8, -1.5, 1.4);
  row.p_value = 0.03;
  EXPECT_EQ(verdict_of(row), Verdict::loss);
  const auto found = judge({kFloat, row, row_with("a", 8, 8, 0, 1), row_with("b", 8, 8, 0, 1)}, 1000);
  EXPECT_EQ(found.at(0).verdict, Verdict::cannot_tell);  // 0.03 > 0.05 / 3
}

TEST(Verdict, ASmallLossIsStillOne) {
  const AccuracyRow row = row_with("ptq8", 8, 8, -0.5, 0.3);
  EXPECT_EQ(verdict_of(row), Verdict::loss);
  EXPECT_TRUE(says(conclude({kFloat, row}, 1000), "a loss, smaller than 1 points"));
}

TEST(Verdict, ImagesNeededGrowWithTheSquareOfTheInterval) {
  // d = -0.2: to rule out a loss of 1 point the half width must fall from 1.6 to 0.8: 4 times as many images.
  const auto found = judge({kFloat, row_with("ptq8", 8, 8, -0.2, 1.6)}, 1000);
  EXPECT_EQ(found.at(0).images_needed, 2600);
}

TEST(Verdict, NothingIsConcludedAtChanceLevel) {
  AccuracyRow chance = kFloat;
  chance.accuracy = 10;
  chance.interval = Interval{7, 13};
  const Conclusions found = conclude({chance, row_with("ptq8", 8, 8, 0, 0.5)}, 10);
  ASSERT_EQ(found.alarms.size(), 1U);
  EXPECT_TRUE(lacks(found, "no loss"));
}

Predictions with_logits(const std::string& method, const std::vector<std::vector<float>>& logits,
                        const std::vector<std::int32_t>& labels) {
  Predictions p{.method = method, .classes = static_cast<int>(logits[0].size()), .labels = labels};
  p.logits = Tensor<float>({static_cast<int>(logits.size()), 1, 1, p.classes});
  for (std::size_t i = 0; i < logits.size(); ++i) {
    p.images.push_back(std::to_string(i));
    p.hashes.push_back(std::to_string(i));
    std::copy(logits[i].begin(), logits[i].end(), p.logits.data() + i * logits[i].size());
    p.top1.push_back(
        static_cast<std::int32_t>(std::max_element(logits[i].begin(), logits[i].end()) - logits[i].begin()));
    for (int k = 0; k < Predictions::kBest; ++k) p.top5.push_back(k == 0 ? p.top1.back() : -1);
  }
  return p;
}

TEST(Ties, CountInPart) {
  const Predictions p = with_logits("ptq8", {{3, 3, 1}, {3, 3, 1}, {2, 2, 2}, {0, 5, 1}}, {0, 1, 2, 1});
  EXPECT_EQ(p.credit(0, 1), 0.5);
  EXPECT_EQ(p.credit(1, 1), 0.5);
  EXPECT_DOUBLE_EQ(p.credit(2, 1), 1.0 / 3);
  EXPECT_DOUBLE_EQ(p.credit(2, 2), 2.0 / 3);
  EXPECT_EQ(p.credit(3, 1), 1);
  EXPECT_EQ(p.top_classes(2), (std::vector<std::int32_t>{0, 1, 2}));
  const AccuracyRow row = accuracy_row(p, nullptr);
  EXPECT_DOUBLE_EQ(row.accuracy, 100 * (0.5 + 0.5 + 1.0 / 3 + 1) / 4);
  EXPECT_EQ(row.ties, 3);
  EXPECT_DOUBLE_EQ(*row.lowest, 50);  // images 0 and 3
}

TEST(Ties, AreNeutralInDifferencesAndAgreement) {
  const Predictions reference = with_logits("float", {{3, 2, 1}, {2, 3, 1}}, {0, 0});
  const Predictions tied = with_logits("ptq8", {{3, 3, 1}, {3, 3, 1}}, {0, 0});
  const AccuracyRow row = accuracy_row(tied, &reference);
  EXPECT_DOUBLE_EQ(*row.delta, 0);  // half lost, half gained
  EXPECT_DOUBLE_EQ(*row.agreement, 50);
}

TEST(LabelShift, IsNamed) {
  std::vector<std::vector<float>> logits;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 20; ++i) {
    logits.push_back({0, 0, 0, 0});
    logits.back()[static_cast<std::size_t>(1 + i % 3)] = 1;
    labels.push_back(i % 3);
  }
  const Predictions moved = with_logits("float", logits, labels);
  EXPECT_NE(label_shift_alarm(moved).find("100.00 % if every label is moved by +1"), std::string::npos);
  for (std::int32_t& label : labels) ++label;
  EXPECT_EQ(label_shift_alarm(with_logits("float", logits, labels)), "");
}

}  // namespace
}  // namespace binade
