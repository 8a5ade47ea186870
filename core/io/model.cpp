// The single door for `--model`: a file by its ending, or a name of the zoo.
#include "core/io/model.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/onnx_import.hpp"
#include "core/models/models.hpp"

namespace binade {

Model load_model(const std::string& path_or_name) {
  const std::filesystem::path path(path_or_name);
  std::string ending = path.extension().string();
  std::transform(ending.begin(), ending.end(), ending.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  if (ending == ".onnx") return import_onnx(path);
  if (ending == ".h5" || ending == ".hdf5") return load_checkpoint(path).model;
  std::error_code error;
  const bool exists = std::filesystem::exists(path, error);
  if (exists || path.has_parent_path()) {
    throw DataError(
        fmt::format("'{}'{} is not a model that can be read; want a file ending in .onnx (a network) or .h5 (a "
                    "checkpoint), or a name of the zoo (see `binade inspect --model all`)",
                    path_or_name, exists ? "" : " does not exist and"));
  }
  return build_model(path_or_name);
}

}  // namespace binade
