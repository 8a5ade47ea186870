// Opens networks and lays on them what the source of a job says.
#include "experiment/network.hpp"

#include <filesystem>
#include <regex>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/formats/formats.hpp"
#include "experiment/weights.hpp"

namespace binade {

namespace fs = std::filesystem;

ReadOptions read_options(const NetworkSource& network) {
  ReadOptions options{.output = network.output};
  if (network.input_size.empty()) return options;
  static const std::regex kGrammar("([1-9][0-9]{0,3})(?:x([1-9][0-9]{0,3}))?");
  std::smatch match;
  if (!std::regex_match(network.input_size, match, kGrammar)) {
    throw UsageError(
        fmt::format("--input-size: '{}'; wanted are pixels, 224 or 360x480 (height x width)", network.input_size));
  }
  options.height = std::stoi(match[1]);
  options.width = std::stoi(match[match[2].matched ? 2 : 1]);
  return options;
}

Model open_network(const NetworkSource& network, LoadedWeights* loaded) {
  if (network.model.empty()) {
    throw UsageError("--model is missing: wanted is an .onnx file, a checkpoint (.h5) or a name of the zoo");
  }
  return with_preprocessing(with_weights(load_model(network.model, read_options(network)), network, loaded), network);
}

Model with_preprocessing(Model model, const NetworkSource& network) {
  std::string overlay;
  const auto add = [&](const char* key, const std::string& value) {
    if (!value.empty()) overlay += fmt::format("{}={} ", key, value);
  };
  add("resize", network.resize);
  add("size", network.size == 0 ? "" : std::to_string(network.size));
  add("interpolation", network.interpolation);
  add("color", network.color);
  add("mean", network.mean);
  add("scale", network.scale);
  try {
    model.preprocessing = parse_preprocessing(overlay, model.preprocessing);
  } catch (const DataError& error) {
    throw UsageError(error.what());  // the words came from flags
  }
  return model;
}

std::string model_hash(const NetworkSource& network) {
  const std::string hash = fs::is_regular_file(network.model) ? sha256_file(network.model) : sha256_hex(network.model);
  if (network.weights.empty()) return hash;
  const std::string names = network.weights_names.empty() ? "" : sha256_file(network.weights_names);
  return sha256_hex(hash + sha256_file(network.weights) + network.weights_map + network.weights_part + names);
}

}  // namespace binade
