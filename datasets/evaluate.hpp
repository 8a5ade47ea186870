// Runs a network over labelled images and keeps what it said about each.
#pragma once

#include <functional>
#include <span>
#include <string>

#include "core/io/image_source.hpp"
#include "core/report/predictions.hpp"
#include "datasets/loader.hpp"

namespace binade {

/// Anything that turns a batch {n, h, w, c} into logits {n, 1, 1, classes}, valid until the next call: an executor, an
/// integer program, another runtime.
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

/// The same with paths and hashes of the files.
Predictions evaluate(const Network& network, LoadedImages& images, const EvaluateOptions& options = {});

}  // namespace binade
