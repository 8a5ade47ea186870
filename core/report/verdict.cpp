// The decision about every row, and the sentences that follow from it.
#include "core/report/verdict.hpp"

#include <algorithm>
#include <cmath>
#include <numeric>

#include <fmt/format.h>

#include "core/report/table.hpp"

namespace binade {
namespace {

/// Logits of a sound 16-bit network are far above this; below, values are clipped or an operator differs.
constexpr double kSoundSixteenBitDb = 30;

double half_width(const AccuracyRow& row) {
  return (row.delta_interval->hi - row.delta_interval->lo) / 2;
}

/// The exact test's p-value, or the one that the interval implies for a normal difference.
double p_value(const AccuracyRow& row) {
  if (row.p_value) return *row.p_value;
  const double h = half_width(row);
  if (h <= 0) return *row.delta == 0 ? 1 : 0;
  return std::erfc(std::abs(*row.delta) / h * normal_quantile(kConfidence) / std::sqrt(2.0));
}

/// Which of the p-values stand after Holm's correction.
std::vector<bool> holm(const std::vector<double>& p) {
  std::vector<std::size_t> order(p.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return p[a] < p[b]; });
  std::vector<bool> stands(p.size());
  for (std::size_t k = 0; k < order.size(); ++k) {
    if (p[order[k]] > (1 - kConfidence) / static_cast<double>(order.size() - k)) break;
    stands[order[k]] = true;
  }
  return stands;
}

/// Two digits are all that such an estimate is worth.
int rounded_up(double images) {
  const double scale = std::pow(10.0, std::max(0.0, std::floor(std::log10(images)) - 1));
  return static_cast<int>(std::min(1e9, std::ceil(images / scale) * scale));
}

std::optional<int> images_needed(const AccuracyRow& row, double margin) {
  const double d = *row.delta, h = half_width(row);
  double factor = HUGE_VAL;
  if (d > -margin) factor = std::pow(h / (d + margin), 2);
  if (d < 0) factor = std::min(factor, std::pow(h / d, 2));
  if (!std::isfinite(factor) || factor <= 1) return std::nullopt;
  return rounded_up((row.distinct > 0 ? row.distinct : row.n) * factor);
}

std::string difference_text(const AccuracyRow& row) {
  return fmt::format("{} points, 95 % {} … {}", with_sign(*row.delta), with_sign(row.delta_interval->lo),
                     with_sign(row.delta_interval->hi));
}

std::string width_text(const AccuracyRow& row) {
  if (row.weight_bits == row.activation_bits) return fmt::format("{} bit", row.weight_bits);
  return fmt::format("w{}a{}", row.weight_bits, row.activation_bits);
}

std::string sentence(const RowVerdict& found, double margin) {
  const AccuracyRow& row = *found.row;
  const std::string head = fmt::format("{} ({}): ", row.method, difference_text(row));
  switch (found.verdict) {
    case Verdict::loss:
      return head +
             (row.delta_interval->lo > -margin ? fmt::format("a loss, smaller than {:g} points", margin) : "a loss");
    case Verdict::no_loss: return head + fmt::format("no loss of {:g} points or more", margin);
    case Verdict::cannot_tell: break;
  }
  std::string why = fmt::format("cannot tell with {} images", row.distinct > 0 ? row.distinct : row.n);
  if (found.images_needed) why += fmt::format("; about {} would do", *found.images_needed);
  if (found.agreement_low) why += fmt::format("; {:.1f} % agreement is too little for \"no loss\"", *row.agreement);
  return head + why;
}

std::string where_to_look(const AccuracyRow& sixteen) {
  if (sixteen.sqnr_db && *sixteen.sqnr_db < kSoundSixteenBitDb) {
    return fmt::format(
        "its logits are only {:.1f} dB above the error, which speaks of values that are clipped or overflow "
        "(calibration images unlike the evaluation images, too few of them, outliers beyond the ranges) or of an "
        "operator whose fixed-point form differs",
        *sixteen.sqnr_db);
  }
  return "its logits are close to float, which speaks of preprocessing, labels or images that differ between the "
         "columns";
}

int bits_of(const AccuracyRow& row) {
  return std::min(row.weight_bits, row.activation_bits);
}

/// The best row of 16 bit throughout, or the best of at most 8 bit somewhere.
const RowVerdict* best_of(const std::vector<RowVerdict>& verdicts, int lowest, int highest) {
  const RowVerdict* best = nullptr;
  for (const RowVerdict& found : verdicts) {
    const int bits = bits_of(*found.row);
    if (bits < lowest || bits > highest) continue;
    if (best == nullptr || found.row->accuracy > best->row->accuracy) best = &found;
  }
  return best;
}

/// The rows of at most 8 bit that lose, with their widths: "ptq8 (8 bit), ptq-w4a4 (4 bit)".
std::string losing_rows(const std::vector<RowVerdict>& verdicts) {
  std::string text;
  for (const RowVerdict& found : verdicts) {
    if (found.verdict != Verdict::loss || bits_of(*found.row) >= 16) continue;
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", found.row->method, width_text(*found.row));
  }
  return text;
}

/// TI's triage: what the rows of 16 bit say about the causes of losses at fewer bits.
std::string cause(const std::vector<RowVerdict>& verdicts) {
  const RowVerdict* sixteen = best_of(verdicts, 16, 32);
  const RowVerdict* fewer = best_of(verdicts, 2, 15);
  if (sixteen == nullptr || fewer == nullptr) {
    return fmt::format("What causes a loss cannot be told without {}; add it to --methods, with float first.",
                       sixteen == nullptr && fewer == nullptr ? "a 16-bit row (ptq16) and one of fewer bits (ptq8)"
                       : sixteen == nullptr                   ? "a 16-bit row (ptq16)"
                                                              : "a row of fewer bits (ptq8)");
  }
  const std::string losing = losing_rows(verdicts);
  if (sixteen->verdict == Verdict::loss) {
    if (losing.empty()) {
      return fmt::format("16 bit alone loses ({}), which more bits never should: look at how it was quantized: {}.",
                         sixteen->row->method, where_to_look(*sixteen->row));
    }
    return fmt::format("16 bit ({}) loses already, so that fewer bits are not the first cause of the losses of {}: {}.",
                       sixteen->row->method, losing, where_to_look(*sixteen->row));
  }
  if (!losing.empty()) {
    return sixteen->verdict == Verdict::no_loss
               ? fmt::format("16 bit loses nothing, so quantization to so few bits is the cause of the losses of {}.",
                             losing)
               : fmt::format(
                     "{} lose, and whether 16 bit does cannot be told: more images will say whether "
                     "quantization is the cause.",
                     losing);
  }
  const bool all_sound = std::all_of(verdicts.begin(), verdicts.end(),
                                     [](const RowVerdict& found) { return found.verdict == Verdict::no_loss; });
  return all_sound ? "There is no loss to explain." : "No row loses beyond noise, but not every row is cleared.";
}

}  // namespace

std::vector<RowVerdict> judge(const std::vector<AccuracyRow>& rows, int classes, const VerdictOptions& options) {
  const double chance = 100.0 / std::max(1, classes);
  std::vector<RowVerdict> verdicts;
  std::vector<double> p;
  for (const AccuracyRow& row : rows) {
    if (row.weight_bits == 0 || !row.delta || !row.delta_interval) continue;
    verdicts.push_back({.row = &row});
    p.push_back(p_value(row));
  }
  const std::vector<bool> differs = holm(p);
  for (std::size_t i = 0; i < verdicts.size(); ++i) {
    RowVerdict& found = verdicts[i];
    const AccuracyRow& row = *found.row;
    found.agreement_low = row.agreement && *row.agreement < kSoundAgreement;
    found.at_chance = !row.segmentation && row.interval && row.interval->lo <= chance;
    found.above = differs[i] && row.delta_interval->lo > 0;
    if (differs[i] && row.delta_interval->hi < 0) {
      found.verdict = Verdict::loss;
    } else if (row.delta_interval->lo > -options.margin && !found.agreement_low) {
      found.verdict = Verdict::no_loss;
    } else {
      found.images_needed = images_needed(row, options.margin);
    }
  }
  return verdicts;
}

std::string label_shift_alarm(const Predictions& predictions) {
  const int n = static_cast<int>(predictions.top1.size());
  const auto right = [&](int shift) {
    int count = 0;
    for (std::size_t i = 0; i < predictions.top1.size(); ++i) {
      count += predictions.top1[i] == predictions.labels[i] + shift ? 1 : 0;
    }
    return count;
  };
  if (n == 0) return "";
  const int here = right(0);
  for (const int shift : {1, -1}) {
    const int there = right(shift);
    if (10 * there <= n || there <= 3 * here) continue;
    return fmt::format(
        "Alarm: {}: {:.2f} % of the labels are right, but {:.2f} % if every label is moved by {:+d}: class 0 of the "
        "network is not class 0 of the data{}.",
        predictions.method, 100.0 * here / n, 100.0 * there / n, shift,
        shift > 0 ? "; does it begin with a background class (--class-offset 1)?" : "; look at its list of classes");
  }
  return "";
}

Conclusions conclude(const std::vector<AccuracyRow>& rows, int classes, const VerdictOptions& options) {
  Conclusions conclusions;
  const double chance = 100.0 / std::max(1, classes);
  for (const AccuracyRow& row : rows) {
    if (row.weight_bits != 0 || row.segmentation || !row.interval || row.interval->lo > chance) continue;
    // Then the other rows say nothing, neither good nor bad.
    conclusions.alarms.push_back(
        fmt::format("Alarm: {} is at chance level ({:.2f} % of {} classes): check labels, their order and the "
                    "preprocessing before all else.",
                    row.method, row.accuracy, classes));
    conclusions.triage = "Verdict: none, since the float network is at chance level.";
    return conclusions;
  }
  const std::vector<RowVerdict> verdicts = judge(rows, classes, options);
  for (const RowVerdict& found : verdicts) {
    if (found.at_chance) {
      conclusions.alarms.push_back(
          fmt::format("Alarm: {} is at chance level ({:.2f} % of {} classes): the network did not survive this method.",
                      found.row->method, found.row->accuracy, classes));
    }
    if (found.above) {
      conclusions.alarms.push_back(
          fmt::format("Alarm: {} is above float beyond noise ({}): a quantized network is not better than its float "
                      "one; check that "
                      "both saw the same input.",
                      found.row->method, difference_text(*found.row)));
    }
    conclusions.triage +=
        fmt::format("{}{}.\n", conclusions.triage.empty() ? "Verdict: " : "", sentence(found, options.margin));
  }
  if (!verdicts.empty()) conclusions.triage += cause(verdicts);
  return conclusions;
}

}  // namespace binade
