// The rows of all formats, the choice among them by ending and first bytes, and load_model.
#include "core/formats/formats.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/onnx_export.hpp"
#include "core/io/onnx_import.hpp"
#include "core/io/read_file.hpp"
#include "core/models/models.hpp"

namespace binade {
namespace {

std::string ending_of(const std::filesystem::path& path) {
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return ending;
}

bool has_ending(const ModelFormat& format, std::string_view ending) {
  return std::find(format.endings.begin(), format.endings.end(), ending) != format.endings.end();
}

/// ".onnx (a float network as ONNX), .h5, .hdf5 (...)"
std::string known_endings() {
  std::string text;
  for (const ModelFormat& format : model_formats()) {
    if (format.read == nullptr) continue;
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", fmt::join(format.endings, ", "), format.summary);
  }
  return text;
}

/// Null if no format that is read has the ending.
const ModelFormat* find_format(const std::filesystem::path& path) {
  const std::string ending = ending_of(path);
  std::vector<const ModelFormat*> candidates;
  for (const ModelFormat& format : model_formats()) {
    if (format.read != nullptr && has_ending(format, ending)) candidates.push_back(&format);
  }
  if (candidates.empty()) return nullptr;
  if (candidates.size() > 1) {
    const std::vector<std::byte> head = read_head(path, "a model", kSniffedBytes);
    for (const ModelFormat* format : candidates) {
      if (format->sniff != nullptr && format->sniff(head)) return format;
    }
  }
  return candidates.front();
}

Model build_from_zoo(const std::string& name, const ReadOptions& options) {
  if (!options.output.empty())
    throw UsageError(fmt::format("--output: the network '{}' of the zoo has one output", name));
  if (options.class_offset.value_or(0) != 0) {
    throw UsageError(fmt::format("--class-offset: the network '{}' of the zoo begins with class 0", name));
  }
  ModelOptions built;
  if (options.height != 0) built.input = {1, options.height, options.width, find_model(name).input.c};
  return build_model(name, built);
}

}  // namespace

std::span<const ModelFormat> model_formats() {
  static const std::array formats{kOnnxFormat, kCheckpointFormat, kOnnxQdqFormat, kOnnxClipFormat};
  return formats;
}

const ModelFormat& format_of_file(const std::filesystem::path& path) {
  const ModelFormat* format = find_format(path);
  if (format != nullptr) return *format;
  std::error_code error;
  throw DataError(
      fmt::format("'{}'{} is not a model that can be read; want a file ending in {}, or a name of the zoo "
                  "(see `binade inspect --model all`)",
                  path.string(), std::filesystem::exists(path, error) ? "" : " does not exist and", known_endings()));
}

Model load_model(const std::string& path_or_name, const ReadOptions& options) {
  const std::filesystem::path path(path_or_name);
  std::error_code error;
  const bool is_file = path.has_parent_path() || std::filesystem::exists(path, error);
  if (!is_file && find_format(path) == nullptr) return build_from_zoo(path_or_name, options);
  return format_of_file(path).read(path, options);
}

}  // namespace binade
