// A file format of networks, as a row: how a file is recognised, read and written.
#pragma once

#include <cstddef>
#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/model/model.hpp"

namespace binade {

/// What a file may leave open. Empty and 0: the file must say it.
struct ReadOptions {
  std::string output;         ///< which of several outputs is the network's
  int height = 0, width = 0;  ///< of the input, where the file leaves them open
  /// Outputs before that of class 0, which are left out: 1 for a background class. Empty: as the file says.
  std::optional<int> class_offset;

  bool any() const { return !output.empty() || height != 0 || width != 0 || class_offset; }
};

/// One row of the table of formats (core/formats). A format that is only read has no `write`, and vice versa.
struct ModelFormat {
  std::string_view name;                      ///< what `export --format` calls it: "onnx"
  std::string_view summary;                   ///< one line of help
  std::span<const std::string_view> endings;  ///< of files that are read, lower case, with the dot: ".onnx"
  /// Whether a file that begins with these bytes (up to kSniffedBytes) is of the format; null: the ending decides.
  bool (*sniff)(std::span<const std::byte> head) = nullptr;
  /// @throws DataError for a file that cannot be used, naming everything in it that is not supported
  Model (*read)(const std::filesystem::path& path, const ReadOptions& options) = nullptr;
  /// Writes the file in one step. @throws UsageError or DataError, before anything is written, for a network that the
  /// format cannot hold
  void (*write)(const Model& model, const std::filesystem::path& path) = nullptr;
  std::string_view file;  ///< what `export` calls the file: "network.onnx"
};

/// How much of a file `ModelFormat::sniff` sees.
constexpr std::size_t kSniffedBytes = 4096;

}  // namespace binade
