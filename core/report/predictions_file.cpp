// Writes and reads columns of predictions; what is read is checked before it is believed.
#include "core/report/predictions_file.hpp"

#include <array>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/shown.hpp"
#include "core/io/sealed_file.hpp"

namespace binade {
namespace {

constexpr SealedKind kKind{.first_line = "Binade predictions", .noun = "predictions file"};
constexpr std::int64_t kMostElements = std::int64_t{1} << 33;

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word + '\0';
  return text;
}

std::vector<std::string> split(const std::string& text) {
  std::vector<std::string> words;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t end = std::min(text.find('\0', begin), text.size());
    words.push_back(text.substr(begin, end - begin));
    begin = end + 1;
  }
  return words;
}

void write_column(Hdf5File& file, const Predictions& p) {
  const std::string group = "/" + p.method;
  const std::int64_t n = p.count(), classes = p.classes;
  const std::array<std::int64_t, 1> list{n};
  file.write_text(group + "/images", joined(p.images));
  file.write_text(group + "/hashes", joined(p.hashes));
  if (!p.contents.empty()) file.write_text(group + "/contents", joined(p.contents));
  if (p.confusion.empty()) {
    file.write<std::int32_t>(group + "/labels", p.labels, list);
    file.write<std::int32_t>(group + "/top1", p.top1, list);
    file.write<std::int32_t>(group + "/top5", p.top5, std::array<std::int64_t, 2>{n, Predictions::kBest});
  } else {
    file.write<std::int64_t>(group + "/confusion", p.confusion, std::array<std::int64_t, 3>{n, classes, classes});
  }
  if (p.logits.count() > 0) {
    file.write<float>(group + "/logits", p.logits.span(), std::array<std::int64_t, 2>{n, classes});
  }
  file.set_attribute(group, "classes", classes);
  file.set_attribute(group, "seconds", p.seconds);
}

template <class T>
std::vector<T> read_vector(const Hdf5File& file, const std::string& path, const std::vector<std::int64_t>& dims) {
  H5Array<T> array = file.read<T>(path, kMostElements);
  if (array.dims != dims)
    throw DataError(fmt::format("'{}' has another number of elements than the images ask for", path));
  return std::move(array.elements);
}

Predictions read_column(const Hdf5File& file, const std::string& name) {
  const std::string group = "/" + name;
  Predictions p{.method = name};
  if (printable(name) != name) throw DataError(fmt::format("'{}' is no name of a column", printable(name)));
  const std::int64_t classes = file.integer_attribute(group, "classes");
  if (classes < 1 || classes > std::numeric_limits<int>::max()) throw DataError("a column with no classes: " + name);
  p.classes = static_cast<int>(classes);
  p.seconds = file.real_attribute(group, "seconds");
  p.images = split(file.read_text(group + "/images"));
  p.hashes = split(file.read_text(group + "/hashes"));
  if (file.contains(group + "/contents")) p.contents = split(file.read_text(group + "/contents"));
  const auto n = static_cast<std::int64_t>(p.hashes.size());
  if (n > std::numeric_limits<int>::max()) throw DataError(fmt::format("column '{}' has {} images", name, n));
  if (p.images.size() != p.hashes.size()) {
    throw DataError(fmt::format("column '{}' has {} images and {} hashes", name, p.images.size(), p.hashes.size()));
  }
  if (file.contains(group + "/confusion")) {
    p.confusion = read_vector<std::int64_t>(file, group + "/confusion", {n, classes, classes});
  } else {
    p.labels = read_vector<std::int32_t>(file, group + "/labels", {n});
    p.top1 = read_vector<std::int32_t>(file, group + "/top1", {n});
    p.top5 = read_vector<std::int32_t>(file, group + "/top5", {n, Predictions::kBest});
  }
  if (file.contains(group + "/logits")) {
    const auto logits = read_vector<float>(file, group + "/logits", {n, classes});
    p.logits = Tensor<float>(Shape{static_cast<int>(n), 1, 1, p.classes}, logits);
  }
  validate(p);
  return p;
}

}  // namespace

void write_predictions(const std::filesystem::path& path, const std::vector<Predictions>& columns) {
  save_sealed(path, kKind, [&](Hdf5File& file) {
    for (const Predictions& column : columns) write_column(file, column);
  });
}

std::vector<Predictions> read_predictions(const std::filesystem::path& path) {
  return with_context("reading " + shown(path), [&] {
    const Hdf5File file = open_sealed(path, kKind);
    std::vector<Predictions> columns;
    for (const std::string& name : file.names("/")) columns.push_back(read_column(file, name));
    return columns;
  });
}

Predictions read_predictions(const std::filesystem::path& path, const std::string& column) {
  return with_context("reading " + shown(path), [&] {
    const Hdf5File file = open_sealed(path, kKind);
    const std::vector<std::string> names = file.names("/");
    if (column.empty() && names.size() == 1) return read_column(file, names.front());
    const std::vector<std::string_view> known(names.begin(), names.end());
    for (const std::string& name : names) {
      if (name == column) return read_column(file, name);
    }
    throw DataError(unknown_name("column", column, known));
  });
}

}  // namespace binade
