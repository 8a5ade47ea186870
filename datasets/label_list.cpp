// Reading of label lists; every bad line is collected before anything is reported.
#include "datasets/label_list.hpp"

#include <algorithm>
#include <charconv>
#include <set>
#include <sstream>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/shown.hpp"
#include "datasets/dataset.hpp"

namespace binade {
namespace fs = std::filesystem;
namespace {

constexpr int kMostClasses = 1 << 20;

/// The whole text as an index; anything else leaves `index` as it was.
bool parse_index(std::string_view text, int& index) {
  int found = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), found);
  if (error != std::errc{} || end != text.data() + text.size() || found < 0 || found >= kMostClasses) return false;
  index = found;
  return true;
}

/// Whether a word is a whole number of any size and sign, and therefore no name.
bool is_number(std::string_view word) {
  if (word.starts_with('-') || word.starts_with('+')) word.remove_prefix(1);
  return !word.empty() && word.find_first_not_of("0123456789") == std::string_view::npos;
}

std::vector<std::string> split(const std::string& line, char separator) {
  std::vector<std::string> cells;
  std::istringstream stream(line);
  for (std::string cell; std::getline(stream, cell, separator);) cells.push_back(cell);
  if (!line.empty() && line.back() == separator) cells.emplace_back();
  return cells;
}

/// Throws when there are offenders: all of them, and what a good line looks like.
void refuse(const fs::path& path, const std::vector<std::string>& offenders, std::string_view wanted) {
  if (offenders.empty()) return;
  throw DataError(fmt::format("the list '{}' cannot be used; wanted {}{}", path.string(), wanted, list_of(offenders)));
}

/// Where the columns of a labels.csv are; -1 for a missing one.
struct Columns {
  int file = -1, wnid = -1, index = -1, count = 0;
};

Columns read_header(const fs::path& path, const std::string& line) {
  const std::vector<std::string> cells = split(line, ',');
  Columns columns;
  columns.count = static_cast<int>(cells.size());
  for (int i = 0; i < columns.count; ++i) {
    const std::string& cell = cells[static_cast<std::size_t>(i)];
    if (cell == "file") columns.file = i;
    if (cell == "wnid") columns.wnid = i;
    if (cell == "class_index") columns.index = i;
  }
  if (columns.file < 0 || (columns.wnid < 0 && columns.index < 0)) {
    throw DataError(
        fmt::format("the first line of '{}' is '{}'; wanted the names of its columns: file, and wnid or "
                    "class_index or both, with commas between",
                    path.string(), line));
  }
  return columns;
}

/// Fills `entry`; an empty result means success, else what is wrong.
std::string read_csv_line(const std::string& line, const Columns& columns, LabelList::Entry& entry) {
  const std::vector<std::string> cells = split(line, ',');
  if (static_cast<int>(cells.size()) != columns.count) {
    return fmt::format("{} columns, wanted {}", cells.size(), columns.count);
  }
  const auto cell = [&](int column) { return column < 0 ? std::string() : cells[static_cast<std::size_t>(column)]; };
  entry.file = cell(columns.file);
  entry.wnid = cell(columns.wnid);
  if (columns.index >= 0 && !parse_index(cell(columns.index), entry.index)) {
    return fmt::format("class_index '{}' is not a whole number from 0 to {}", printable(cell(columns.index)),
                       kMostClasses - 1);
  }
  if (entry.file.empty()) return "no file name";
  if (entry.index < 0 && entry.wnid.empty()) return "neither a wnid nor a class_index";
  return {};
}

std::string read_plain_line(const std::string& line, LabelList::Entry& entry) {
  const std::size_t space = line.find_last_of(" \t");
  if (space == std::string::npos || !parse_index(std::string_view(line).substr(space + 1), entry.index)) {
    return fmt::format("'{}' is not 'file index'", printable(line));
  }
  entry.file = line.substr(0, line.find_last_not_of(" \t", space) + 1);
  return {};
}

}  // namespace

ClassList read_class_list(const fs::path& path) {
  ClassList list;
  list.file = path;
  std::map<int, std::string> names;
  std::vector<std::string> offenders;
  int number = 0, position = 0;
  for (const std::string& line : read_lines(path)) {
    ++number;
    if (line.empty()) continue;
    std::istringstream stream(line);
    std::string first, name, words;
    stream >> first;
    int index = position++;
    if (parse_index(first, index)) {
      stream >> name;
    } else if (is_number(first)) {
      offenders.push_back(
          fmt::format("line {}: '{}' is no index from 0 to {}", number, printable(first), kMostClasses - 1));
      continue;
    } else {
      name = first;
    }
    std::getline(stream >> std::ws, words);
    if (name.empty()) {
      offenders.push_back(fmt::format("line {}: '{}' has no name", number, printable(line)));
    } else if (!list.index.emplace(name, index).second) {
      offenders.push_back(fmt::format("line {}: '{}' is there twice", number, printable(name)));
    } else if (!names.emplace(index, words.empty() ? name : words).second) {
      offenders.push_back(fmt::format("line {}: index {} is there twice", number, index));
    }
  }
  if (names.empty() && offenders.empty()) offenders.emplace_back("the file is empty");
  refuse(path, offenders, "lines 'index name' or 'name', each index and each name once");
  list.names.resize(static_cast<std::size_t>(names.rbegin()->first) + 1);
  for (const auto& [index, name] : names) list.names[static_cast<std::size_t>(index)] = name;
  return list;
}

LabelList read_label_list(const fs::path& path) {
  LabelList list;
  list.file = path;
  const fs::path folder = fs::absolute(path).lexically_normal().parent_path();
  const bool is_csv = path.extension() == ".csv";
  Columns columns;
  std::vector<std::string> offenders;
  std::set<fs::path> files;
  std::map<std::string, int> classes;
  int number = 0;
  for (const std::string& line : read_lines(path)) {
    ++number;
    if (is_csv && number == 1) {
      columns = read_header(path, line);
      continue;
    }
    if (line.empty()) continue;
    LabelList::Entry entry;
    std::string wrong = is_csv ? read_csv_line(line, columns, entry) : read_plain_line(line, entry);
    const std::string name = entry.file.string();
    entry.file = (folder / entry.file).lexically_normal();
    if (wrong.empty() && !files.insert(entry.file).second) wrong = fmt::format("'{}' is there twice", printable(name));
    if (wrong.empty() && !entry.wnid.empty() && entry.index >= 0) {
      const int first = classes.emplace(entry.wnid, entry.index).first->second;
      if (first != entry.index) wrong = fmt::format("{} is class {} here and {} above", entry.wnid, entry.index, first);
    }
    if (wrong.empty()) {
      list.entries.push_back(std::move(entry));
    } else {
      offenders.push_back(fmt::format("line {}: {}", number, wrong));
    }
  }
  if (list.entries.empty() && offenders.empty()) offenders.emplace_back("the file lists no image");
  refuse(path, offenders, is_csv ? "one line per image, as its first line says" : "one line 'file index' per image");
  return list;
}

}  // namespace binade
