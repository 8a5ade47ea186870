// What a table says about its images in footnotes.
#pragma once

#include <string>
#include <vector>

#include "core/model/model.hpp"
#include "datasets/loader.hpp"

namespace binade {

/// How images become the network's input, where it was assumed, and an alarm for numbers that are of other pixels.
std::vector<std::string> preprocessing_notes(const Model& model);

/// Classes that are in no label map, and many pixels without a class.
void note_missing_labels(LoadedImages& images, std::vector<std::string>& notes);

}  // namespace binade
