// What a table lets one conclude: a verdict per row, alarms and the triage, all from one decision.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/report/accuracy.hpp"

namespace binade {

enum class Verdict : std::uint8_t {
  no_loss,      ///< the whole interval of the difference lies above -margin
  loss,         ///< it lies below 0, also after correction for the number of rows
  cannot_tell,  ///< neither: the images are too few for an answer
};

struct VerdictOptions {
  double margin = 1;  ///< points: a smaller loss counts as none (--equivalence-margin)
};

/// The conclusion about one row that has a difference to the reference.
struct RowVerdict {
  const AccuracyRow* row = nullptr;
  Verdict verdict = Verdict::cannot_tell;
  bool above = false;                ///< better than the reference beyond noise: something is wrong
  bool agreement_low = false;        ///< below kSoundAgreement, which is never "no loss"
  bool at_chance = false;            ///< the accuracy's interval reaches that of guessing
  std::optional<int> images_needed;  ///< cannot_tell: about so many would give an answer
};

/// Percent of the images on which a network must agree with float before it can be said to lose nothing.
inline constexpr double kSoundAgreement = 90;

/// One verdict per quantized row with a difference, in the order of the rows, which must outlive the result.
/// @math A row differs if its p-value passes Holm's step-down procedure at 5 % over all these rows; rows without an
///   exact test (segmentation) have the p-value that their interval implies for a normal difference.
///   images_needed = n * min((h / (d + margin))^2 for d > -margin, (h / d)^2 for d < 0), h the interval's half width
/// @source Holm 1979; equivalence by the inclusion of an interval: Schuirmann 1987
std::vector<RowVerdict> judge(const std::vector<AccuracyRow>& rows, int classes, const VerdictOptions& options = {});

/// A sentence if labels moved by one class explain far more of a column than the labels as they are: then class 0 of
/// the network is not class 0 of the data. Empty otherwise, and for segmentations.
/// @math accuracy at a shift of +-1 above 10 % and more than three times that at 0
std::string label_shift_alarm(const Predictions& predictions);

/// What a report says with it: a sentence per row, then what that means together.
struct Conclusions {
  std::string triage;
  std::vector<std::string> alarms;  ///< what cannot be right
};
Conclusions conclude(const std::vector<AccuracyRow>& rows, int classes, const VerdictOptions& options = {});

}  // namespace binade
