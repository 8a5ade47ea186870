// Tables of strings, written as aligned text, Markdown, CSV, LaTeX or JSON.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace binade {

enum class Format { text, md, csv, json, latex };

struct FormatEntry {
  std::string_view name;
  Format format;
};
/// The choices of --format.
std::span<const FormatEntry> formats();

struct Column {
  std::string name;
  bool right = true;  ///< numbers to the right, words to the left
};

/// Every row has as many cells as there are columns. Cells are UTF-8.
struct Table {
  std::vector<Column> columns;
  std::vector<std::vector<std::string>> rows;
  std::vector<std::string> notes;  ///< below the table, one paragraph each; CSV and JSON leave them out
};

/// JSON here is a list of objects, column name to cell.
std::string render(const Table& table, Format format);

/// "+0.31", "−1.20", "0.00": with the minus of mathematics, which is as wide as the plus.
std::string with_sign(double value, int digits = 2);

}  // namespace binade
