// What one method said about every image of one data set: the raw material of tables, intervals and paired tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/base/tensor.hpp"

namespace binade {

/// n images, in the order in which they were evaluated; every per-image vector has n entries (times the stated width).
struct Predictions {
  static constexpr int kBest = 5;  ///< classes kept per image in `top5`

  std::string method;               ///< "float", "ptq8", ...
  int classes = 0;                  ///< of the network's output
  std::vector<std::string> images;  ///< path below the data set's root: for people
  std::vector<std::string> hashes;  ///< SHA-256 of the file's bytes, 64 hex digits: what pairs two runs
  /// SHA-256 of the decoded pixels: what tells copies of an image. Empty: `hashes` do.
  std::vector<std::string> contents;
  std::vector<std::int32_t> labels;  ///< class index, 0 .. classes - 1
  std::vector<std::int32_t> top1;    ///< class of the largest logit; of equal logits the lowest class wins
  std::vector<std::int32_t> top5;    ///< n x kBest, best first, -1 after the last when classes < kBest
  Tensor<float> logits;              ///< {n, 1, 1, classes}; empty for segmentation
  /// Segmentation: pixel counts n x classes x classes, [image][label][predicted], ignored pixels left out.
  /// Empty for classification. There `labels`, `top1` and `top5` are empty instead.
  std::vector<std::int64_t> confusion;
  /// Segmentation: the predicted classes {1, h, w, 1} of every image, to compare with another method's on the way; not
  /// kept in files. May be empty.
  std::vector<Tensor<std::uint8_t>> maps;
  double seconds = 0;  ///< wall clock of the evaluation

  /// The part of the image's accuracy over its `best` best classes that counts when ties are broken at random: 1 or 0,
  /// and in between where the label ties at the edge. Without logits, ties go to the lowest class.
  /// @math g classes have a larger logit than the label, t the same (the label among them): clamp((best - g) / t, 0, 1)
  double credit(int image, int best) const;
  /// The classes that share the largest logit, ascending; without logits top1 alone.
  std::vector<std::int32_t> top_classes(int image) const;

  const std::string& content(int image) const {
    return (contents.empty() ? hashes : contents)[static_cast<std::size_t>(image)];
  }
  int count() const { return static_cast<int>(hashes.size()); }
  bool top1_is_right(int image) const {
    return top1[static_cast<std::size_t>(image)] == labels[static_cast<std::size_t>(image)];
  }
  bool top5_is_right(int image) const {
    for (int k = 0; k < kBest; ++k) {
      if (top5[static_cast<std::size_t>(image) * kBest + static_cast<std::size_t>(k)] ==
          labels[static_cast<std::size_t>(image)]) {
        return true;
      }
    }
    return false;
  }
};

/// @throws DataError unless every vector has its length, labels and predictions are classes, `top1` and `top5` rank the
/// logits, no logit is NaN and pixel counts can be added up
void validate(const Predictions& predictions);

}  // namespace binade
