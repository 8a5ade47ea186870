// External data: locations stay below the folder of the model, and every length is checked before memory is taken.
#include "core/io/onnx/external_data.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/io/onnx/proto.hpp"

namespace binade::importer {
namespace {

namespace fs = std::filesystem;
using Type = ::onnx::TensorProto;

/// Where a tensor says that its elements are.
struct Place {
  std::string location;
  std::uint64_t offset = 0;
  std::uint64_t length = 0;  ///< 0: not said
};

std::uint64_t read_number(const Type& tensor, const std::string& key, const std::string& text) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || rest != end) {
    throw DataError(fmt::format("tensor '{}': the {} of its external data is '{}', want a number of bytes",
                                tensor.name(), key, text));
  }
  return value;
}

Place read_place(const Type& tensor) {
  Place place;
  for (const auto& entry : tensor.external_data()) {
    if (entry.key() == "location") place.location = entry.value();
    if (entry.key() == "offset") place.offset = read_number(tensor, "offset", entry.value());
    if (entry.key() == "length") place.length = read_number(tensor, "length", entry.value());
  }
  if (place.location.empty()) {
    throw DataError(fmt::format("tensor '{}' is kept in another file, but does not say in which", tensor.name()));
  }
  return place;
}

/// The file, which lies in `folder` or below, links resolved.
fs::path resolve(const Type& tensor, const Place& place, const fs::path& folder) {
  const fs::path relative(place.location);
  const bool climbs = std::find(relative.begin(), relative.end(), "..") != relative.end();
  if (relative.is_absolute() || climbs || place.location.find('\0') != std::string::npos) {
    throw DataError(
        fmt::format("tensor '{}' is kept in '{}'; external data must lie in the model's own folder or below",
                    tensor.name(), place.location));
  }
  std::error_code error;
  const fs::path root = fs::canonical(folder.empty() ? fs::path(".") : folder, error);
  const fs::path file = fs::canonical(root / relative, error);
  if (error || !fs::is_regular_file(file, error)) {
    throw DataError(fmt::format("tensor '{}' is kept in '{}', which is missing beside the model; copy it there",
                                tensor.name(), place.location));
  }
  const auto [end, ignored] = std::mismatch(root.begin(), root.end(), file.begin(), file.end());
  if (end != root.end()) {
    throw DataError(fmt::format("tensor '{}' is kept in '{}', a link that leads out of the model's folder",
                                tensor.name(), place.location));
  }
  return file;
}

std::uint64_t wanted_bytes(const Type& tensor) {
  const std::int64_t count = element_count(tensor);
  const int size = element_bytes(tensor.data_type());
  if (size == 0) {
    throw DataError(fmt::format("tensor '{}' has elements of {}; want a float, integer or bool type", tensor.name(),
                                type_name(tensor.data_type())));
  }
  return static_cast<std::uint64_t>(count) * static_cast<std::uint64_t>(size);
}

std::size_t read_tensor(Type& tensor, const fs::path& folder) {
  const Place place = read_place(tensor);
  const fs::path file = resolve(tensor, place, folder);
  const std::uint64_t wanted = wanted_bytes(tensor);
  if (place.length != 0 && place.length != wanted) {
    throw DataError(fmt::format("tensor '{}' has {} bytes in '{}', its extents want {}", tensor.name(), place.length,
                                place.location, wanted));
  }
  const std::uint64_t size = fs::file_size(file);
  if (place.offset > size || wanted > size - place.offset) {
    throw DataError(
        fmt::format("tensor '{}' lies at byte {} of '{}' and has {} bytes, but the file ends at {}; is it cut "
                    "off, or of another export?",
                    tensor.name(), place.offset, place.location, wanted, size));
  }
  std::string bytes(wanted, '\0');
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(place.offset));
  if (!in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()))) {
    throw DataError(fmt::format("reading '{}' failed", file.string()));
  }
  tensor.set_raw_data(std::move(bytes));
  tensor.clear_external_data();
  tensor.clear_data_location();
  return static_cast<std::size_t>(wanted);
}

}  // namespace

std::size_t read_external_data(::onnx::ModelProto& model, const fs::path& folder) {
  std::size_t bytes = 0;
  const auto visit = [&](Type& tensor) {
    if (tensor.data_location() == Type::EXTERNAL || tensor.external_data_size() > 0)
      bytes += read_tensor(tensor, folder);
  };
  for (Type& tensor : *model.mutable_graph()->mutable_initializer()) visit(tensor);
  for (auto& node : *model.mutable_graph()->mutable_node()) {
    for (auto& attribute : *node.mutable_attribute()) {
      if (attribute.has_t()) visit(*attribute.mutable_t());
    }
  }
  return bytes;
}

}  // namespace binade::importer
