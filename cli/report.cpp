// report: what kept results say; now the comparison of columns, also of different runs.
#include <filesystem>

#include <fmt/format.h>

#include "cli/output_folder.hpp"
#include "cli/program.hpp"
#include "core/base/error.hpp"
#include "core/report/accuracy.hpp"
#include "core/report/predictions_file.hpp"

namespace binade {
namespace {

/// "out/predictions.h5:ptq8"; the column may be left out where the file holds one only.
Predictions read_column(const std::string& word) {
  const std::size_t colon = word.rfind(':');
  if (colon == std::string::npos || std::filesystem::exists(word)) return read_predictions(word, "");
  return read_predictions(word.substr(0, colon), word.substr(colon + 1));
}

}  // namespace

int run_report(const std::vector<std::string>& arguments) {
  bool compare = false;
  std::string format = "text";
  int block = 0;
  std::vector<std::string> words;
  CommandLine flags("report");
  flags.section("Report");
  flags.add("compare", compare, "columns of kept predictions, FILE:COLUMN each, with the first one");
  flags.add("format", format, "of what is printed", {.choices = names_of(formats())});
  flags.add("bootstrap-block", block, "segmentation: frames of a video that intervals take as one; 0: by names");
  if (!flags.read(arguments, &words, "--compare A/predictions.h5:ptq8 B/predictions.h5:ptq8 ...")) return kDone;
  if (!compare || words.size() < 2) {
    throw UsageError(
        "wanted is --compare and two or more columns: --compare A/predictions.h5:ptq8 B/predictions.h5:ptq8");
  }

  if (block < 0) throw UsageError(fmt::format("--bootstrap-block: {}; wanted are frames, or 0", block));
  AccuracyReport report;
  std::vector<Predictions> columns;
  for (const std::string& word : words) {
    columns.push_back(read_column(word));
    columns.back().method = word;
  }
  for (std::size_t i = 0; i < columns.size(); ++i) {
    report.rows.push_back(accuracy_row(columns[i], i == 0 ? nullptr : &columns[0], block));
    const auto common = static_cast<int>(matching_images(columns[0], columns[i]).size());
    if (common < columns[0].count() || common < columns[i].count()) {
      report.notes.push_back(
          fmt::format("{}: {} of its {} images are also among the {} of {}; differences are of these.", words[i],
                      common, columns[i].count(), columns[0].count(), words[0]));
    }
  }
  report.reference = words[0];
  report.config = flags.config();
  fmt::print("{}", render(report, format_of(format)));
  return kDone;
}

}  // namespace binade
