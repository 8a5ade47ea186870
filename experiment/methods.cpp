// The grammar of method names: KIND BITS or KIND-wBITSaBITS, of PTQ and its integer form also with -simple after; and
// of widths of layers.
#include "experiment/methods.hpp"

#include <array>
#include <regex>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"

namespace binade {

namespace {

Method::Kind kind_named(const std::string& word) {
  if (word == "qat") return Method::Kind::qat;
  if (word == "calibration") return Method::Kind::calibration;
  return word == "ptq" ? Method::Kind::ptq : Method::Kind::integer;
}

}  // namespace

const char* const kMethodHelp =
    "rows, separated by commas: float, ptq8-simple (min-max, no correction), ptq8, ptq16, qat8, integer8 (the ptq8 "
    "row, by the integer engine), integer16, calibration8, ptq-w4a8, qat-w4a4, calibration-w4a8 and other widths from "
    "2 "
    "to 16";

Method parse_method(const std::string& name) {
  if (name == "float") return {.name = name};
  static const std::regex kGrammar(
      "(ptq|qat|calibration|integer)(?:([0-9]{1,2})|-w([0-9]{1,2})a([0-9]{1,2}))(-simple)?");
  std::smatch match;
  if (!std::regex_match(name, match, kGrammar) ||
      (match[5].matched && (match[1].str() == "qat" || match[1].str() == "calibration"))) {
    constexpr std::array<std::string_view, 11> kKnown{
        "float",    "ptq8-simple", "ptq8",         "ptq16",           "qat8", "integer8", "integer16",
        "ptq-w4a8", "qat-w4a4",    "calibration8", "calibration-w4a8"};
    throw UsageError(unknown_name("method", name, kKnown));
  }
  const auto bits = [&](std::size_t group) {
    return std::stoi(match[group].matched ? match[group].str() : match[2].str());
  };
  const Method method{.name = name,
                      .kind = kind_named(match[1].str()),
                      .weight_bits = bits(3),
                      .activation_bits = bits(4),
                      .simple = match[5].matched};
  for (const int width : {method.weight_bits, method.activation_bits}) {
    if (width < 2 || width > 16) {
      throw UsageError(fmt::format("method '{}': {} bits; weights and activations have 2 to 16", name, width));
    }
  }
  return method;
}

std::vector<LayerWidth> parse_layer_bits(std::span<const std::string> texts) {
  std::vector<LayerWidth> layers;
  for (const std::string& text : texts) {
    static const std::regex kGrammar("(.+)=([0-9]{1,2})");
    std::smatch match;
    const bool fits = std::regex_match(text, match, kGrammar);
    const int bits = fits ? std::stoi(match[2]) : 0;
    if (bits < 2 || bits > 16) {
      throw UsageError(
          fmt::format("--layer-bits: '{}'; wanted is a layer and its bits, 2 to 16, such as first=8", text));
    }
    layers.push_back({match[1], bits});
  }
  return layers;
}

std::string to_string(std::span<const LayerWidth> layers) {
  std::string text;
  for (const LayerWidth& layer : layers) {
    text += fmt::format("{}{}={}", text.empty() ? "" : ", ", layer.layer, layer.bits);
  }
  return text;
}

std::vector<Method> parse_methods(const std::vector<std::string>& names) {
  std::vector<Method> methods;
  for (const std::string& name : names) {
    for (const Method& earlier : methods) {
      if (earlier.name == name) throw UsageError("method '" + name + "' is given twice");
    }
    methods.push_back(parse_method(name));
  }
  if (methods.empty()) throw UsageError("no method: --methods wants at least one, for example float,ptq8");
  return methods;
}

}  // namespace binade
