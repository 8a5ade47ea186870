// Writers of tables: one function per format.
#include "core/report/table.hpp"

#include <algorithm>
#include <array>
#include <cmath>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"

namespace binade {
namespace {

constexpr std::array<FormatEntry, 5> kFormats{{{"text", Format::text},
                                               {"md", Format::md},
                                               {"csv", Format::csv},
                                               {"json", Format::json},
                                               {"latex", Format::latex}}};

/// Characters, not bytes: a continuation byte of UTF-8 takes no column.
std::size_t width_of(std::string_view text) {
  return static_cast<std::size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xc0) != 0x80; }));
}

std::vector<std::size_t> widths_of(const Table& table) {
  std::vector<std::size_t> widths;
  for (std::size_t c = 0; c < table.columns.size(); ++c) {
    std::size_t width = width_of(table.columns[c].name);
    for (const auto& row : table.rows) width = std::max(width, width_of(row[c]));
    widths.push_back(width);
  }
  return widths;
}

std::string padded(const std::string& cell, std::size_t width, bool right) {
  const std::string space(width - std::min(width, width_of(cell)), ' ');
  return right ? space + cell : cell + space;
}

std::vector<std::string> header_of(const Table& table) {
  std::vector<std::string> header;
  for (const Column& column : table.columns) header.push_back(column.name);
  return header;
}

std::string aligned(const Table& table, const std::vector<std::size_t>& widths, const std::vector<std::string>& cells,
                    std::string_view between) {
  std::string line;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    line += (c == 0 ? "" : std::string(between)) + padded(cells[c], widths[c], table.columns[c].right);
  }
  return line;
}

std::string without_trailing_space(std::string line) {
  line.erase(line.find_last_not_of(' ') + 1);
  return line;
}

std::string render_text(const Table& table) {
  const auto widths = widths_of(table);
  std::string text = without_trailing_space(aligned(table, widths, header_of(table), "  ")) + "\n";
  std::size_t total = 0;
  for (const std::size_t width : widths) total += width + 2;
  text += std::string(total - std::min<std::size_t>(total, 2), '-') + "\n";
  for (const auto& row : table.rows) text += without_trailing_space(aligned(table, widths, row, "  ")) + "\n";
  for (const auto& note : table.notes) text += "\n" + note + "\n";
  return text;
}

std::string render_markdown(const Table& table) {
  const auto widths = widths_of(table);
  std::string text = "| " + aligned(table, widths, header_of(table), " | ") + " |\n|";
  for (std::size_t c = 0; c < widths.size(); ++c) {
    text += table.columns[c].right ? std::string(widths[c] + 1, '-') + ":|" : std::string(widths[c] + 2, '-') + "|";
  }
  text += "\n";
  for (auto row : table.rows) {
    for (auto& cell : row) {
      for (std::size_t at = 0; (at = cell.find('|', at)) != std::string::npos; at += 2) cell.insert(at, "\\");
    }
    text += "| " + aligned(table, widths, row, " | ") + " |\n";
  }
  for (const auto& note : table.notes) text += "\n" + note + "\n";
  return text;
}

/// @source RFC 4180
std::string csv_line(const std::vector<std::string>& cells) {
  std::string line;
  for (std::size_t c = 0; c < cells.size(); ++c) {
    std::string cell = cells[c];
    if (cell.find_first_of(",\"\r\n") != std::string::npos) {
      for (std::size_t at = 0; (at = cell.find('"', at)) != std::string::npos; at += 2) cell.insert(at, "\"");
      cell = "\"" + cell + "\"";
    }
    line += (c == 0 ? "" : ",") + cell;
  }
  return line + "\n";
}

std::string render_csv(const Table& table) {
  std::string text = csv_line(header_of(table));
  for (const auto& row : table.rows) text += csv_line(row);
  return text;
}

std::string latex_text(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (std::string_view("%_&#${}").find(c) != std::string_view::npos) {
      result += std::string("\\") + c;
    } else if (c == '\\') {
      result += "\\textbackslash{}";
    } else if (c == '^' || c == '~') {
      result += std::string("\\") + c + "{}";
    } else {
      result += c;
    }
  }
  // What our own headers and cells use beyond ASCII.
  constexpr std::array<std::array<std::string_view, 2>, 4> kSymbols{
      {{"Δ", "$\\Delta$"}, {"−", "$-$"}, {"–", "--"}, {"…", "\\dots{}"}}};
  for (const auto& [symbol, latex] : kSymbols) {
    for (std::size_t at = 0; (at = result.find(symbol, at)) != std::string::npos; at += latex.size()) {
      result.replace(at, symbol.size(), latex);
    }
  }
  return result;
}

std::string latex_line(const std::vector<std::string>& cells) {
  std::string line = "  ";
  for (std::size_t c = 0; c < cells.size(); ++c) line += (c == 0 ? "" : " & ") + latex_text(cells[c]);
  return line + " \\\\\n";
}

std::string render_latex(const Table& table) {
  std::string alignment;
  for (const Column& column : table.columns) alignment += column.right ? 'r' : 'l';
  std::string text = "\\begin{tabular}{" + alignment + "}\n  \\hline\n" + latex_line(header_of(table)) + "  \\hline\n";
  for (const auto& row : table.rows) text += latex_line(row);
  text += "  \\hline\n\\end{tabular}\n";
  for (const auto& note : table.notes) text += "\n" + latex_text(note) + "\n";
  return text;
}

std::string render_json(const Table& table) {
  auto list = nlohmann::ordered_json::array();
  for (const auto& row : table.rows) {
    nlohmann::ordered_json object;
    for (std::size_t c = 0; c < row.size(); ++c) object[table.columns[c].name] = row[c];
    list.push_back(std::move(object));
  }
  return list.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

std::span<const FormatEntry> formats() {
  return kFormats;
}

std::string render(const Table& table, Format format) {
  for (const auto& row : table.rows) {
    require(row.size() == table.columns.size(), "render: every row has a cell for every column");
  }
  switch (format) {
    case Format::text: return render_text(table);
    case Format::md: return render_markdown(table);
    case Format::csv: return render_csv(table);
    case Format::json: return render_json(table);
    case Format::latex: return render_latex(table);
  }
  return {};
}

std::string with_sign(double value, int digits) {
  // The minus of mathematics is as wide as the plus, and a rounded zero has no sign.
  const std::string text = fmt::format("{:.{}f}", std::abs(value), digits);
  if (text.find_first_not_of("0.") == std::string::npos) return text;
  return (value < 0 ? "−" : "+") + text;
}

}  // namespace binade
