// Opens networks and lays on them what the source of a job says.
#include "experiment/network.hpp"

#include <charconv>
#include <regex>
#include <span>
#include <utility>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/formats/formats.hpp"
#include "core/io/checkpoint.hpp"
#include "experiment/weights.hpp"

namespace binade {
namespace {

/// --mean01 and --std01 laid over the preprocessing; the words that were given.
std::string overlay_of_unit_pixels(const NetworkSource& network, Preprocessing& preprocessing) {
  if ((!network.mean01.empty() && !network.mean.empty()) || (!network.std01.empty() && !network.scale.empty())) {
    throw UsageError(
        "--mean01 and --preprocessing.mean, or --std01 and --preprocessing.scale, say the same thing: "
        "give one of them");
  }
  if (!network.mean01.empty()) {
    preprocessing.mean = parse_preprocessing("mean=" + network.mean01).mean;
    for (double& mean : preprocessing.mean) mean *= 255;
  }
  if (!network.std01.empty()) {
    preprocessing.scale = parse_preprocessing("scale=" + network.std01).scale;
    for (double& scale : preprocessing.scale) {
      if (!(scale > 0)) throw UsageError(fmt::format("--std01: '{}'; wanted are numbers above 0", network.std01));
      scale = 1 / (255 * scale);
    }
  }
  return network.mean01 + network.std01;
}

}  // namespace

ReadOptions read_options(const NetworkSource& network) {
  ReadOptions options{.output = network.output};
  if (network.class_offset != "auto") {
    int offset = 0;
    const char* end = network.class_offset.data() + network.class_offset.size();
    const auto [rest, error] = std::from_chars(network.class_offset.data(), end, offset);
    if (error != std::errc{} || rest != end || offset < 0) {
      throw UsageError(
          fmt::format("--class-offset: '{}'; wanted is auto, or a number of outputs", network.class_offset));
    }
    options.class_offset = offset;
  }
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
    overlay += overlay_of_unit_pixels(network, model.preprocessing);
  } catch (const DataError& error) {
    throw UsageError(error.what());  // the words came from flags
  }
  const auto assumed = model.notes.find("preprocessing");
  if (assumed != model.notes.end() && assumed->second == "assumed" && !overlay.empty()) {
    assumed->second = "assumed where no flag says otherwise";
  }
  return model;
}

std::string model_hash(const Model& model) {
  Model bare;  // name, notes, classes and preprocessing are described elsewhere
  bare.graph = model.graph;
  std::string text = model_to_json(bare);
  for (const ValueId id : model.graph.parameters()) {
    text += sha256_hex(std::as_bytes(std::span(model.graph.tensor(id).span())));
  }
  return sha256_hex(text);
}

}  // namespace binade
