// Runs a network over labelled images and keeps what it said about each.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "core/model/image_source.hpp"
#include "core/report/predictions.hpp"
#include "datasets/loader.hpp"

namespace binade {

/// Anything that turns a batch {n, h, w, c} into logits {n, 1, 1, classes}, or scores {n, h', w', classes} of a
/// segmentation, valid until the next call: an executor, an integer program, another runtime.
using Network = std::function<View<const float>(View<const float> images)>;

struct EvaluateOptions {
  std::string method = "float";                       ///< goes into the predictions
  int batch = 32;                                     ///< images per call; predictions do not depend on it
  std::function<void(int done, int total)> progress;  ///< after every batch; may be empty
};

/// Classification of every image, in order. `images` and `hashes` of the result stay empty.
/// @throws DataError if the network's output is not {n, 1, 1, classes}, a label is not one of its classes, or a logit
/// is
///   NaN (naming the image's position)
Predictions evaluate(const Network& network, ImageSource& images, std::span<const int> labels,
                     const EvaluateOptions& options = {});

/// Classification or segmentation, as the images are labelled, with paths and hashes of the files.
Predictions evaluate(const Network& network, LoadedImages& images, const EvaluateOptions& options = {});

/// Segmentation: the class of the largest score of every pixel of the label maps, counted; scores of another size are
/// stretched to theirs bilinearly (centres of pixels, as align_corners = false). Of the network's classes only those
/// that the data set has can win, so that an output for void never does. `images` and `hashes` of the result stay
/// empty; `maps` holds the classes found.
/// @throws DataError if the network's output is no map, has fewer classes than the data set, or holds NaN
Predictions evaluate_segmentation(const Network& network, LoadedImages& images, const EvaluateOptions& options = {});

/// The class of the largest of the first `classes` scores of every pixel, at the size of `best`; of equal ones the
/// lowest class. @shape scores: {1, h, w, c >= classes}; best: {1, h', w', 1}
void best_labels(View<const float> scores, int classes, Pixels& best);

}  // namespace binade
