// The house as a test: who may include whom, which libraries live in which room, how a file begins and how long it is.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "tests/harness/paths.hpp"

namespace {

namespace fs = std::filesystem;

const std::vector<std::string> kRooms{"core", "calibration", "ptq", "qat", "datasets", "experiment", "cli"};

/// Design, section 2: which rooms a room may look at, besides itself.
const std::map<std::string, std::set<std::string>> kDirections{
    {"core", {}},
    {"datasets", {"core"}},
    {"calibration", {"core"}},
    {"ptq", {"calibration", "core"}},
    {"qat", {"calibration", "core"}},
    {"experiment", {"core", "calibration", "ptq", "qat", "datasets"}},
    {"cli", {"core", "calibration", "ptq", "qat", "datasets", "experiment"}},
};

/// Inside core a folder looks at itself and at folders below it; folders of the same height do not see each other,
/// except for the headers in `kBeside`.
const std::map<std::string, int> kHeights{{"base", 0},    {"isa", 1},     {"ops", 2},    {"graph", 3},
                                          {"execute", 4}, {"integer", 4}, {"passes", 5}, {"model", 6},
                                          {"models", 7},  {"io", 7},      {"report", 7}, {"formats", 8}};
/// Predictions are kept in files, through what io has for all of them.
const std::set<std::pair<std::string, std::string>> kBeside{{"report", "core/io/sealed_file.hpp"},
                                                            {"report", "core/io/atomic_file.hpp"}};

struct Include {
  std::string file, target;  ///< both relative to the source tree
  int line;
  bool quoted;
};

std::string first_part(const std::string& path) {
  return path.substr(0, path.find('/'));
}
std::string second_part(const std::string& path) {
  const auto from = path.find('/') + 1;
  return path.substr(from, path.find('/', from) - from);
}

std::vector<std::string> lines_of(const fs::path& path) {
  std::ifstream in(path);
  std::vector<std::string> lines;
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

/// The C++ files of a folder of the source tree, as paths relative to it, sorted.
std::vector<std::string> files_of(const std::string& folder) {
  std::vector<std::string> files;
  const fs::path root = binade::testing_tools::source_dir();
  if (!fs::exists(root / folder)) return files;
  for (const auto& entry : fs::recursive_directory_iterator(root / folder)) {
    const auto extension = entry.path().extension();
    if (extension == ".cpp" || extension == ".hpp") files.push_back(fs::relative(entry.path(), root).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

std::vector<std::string> all_files() {
  std::vector<std::string> files;
  for (const auto& room : kRooms) {
    for (auto& file : files_of(room)) files.push_back(std::move(file));
  }
  return files;
}

/// The include directives of a file; the target without its brackets or quotes.
std::vector<Include> includes_of(const std::string& file) {
  std::vector<Include> includes;
  const auto lines = lines_of(binade::testing_tools::source_dir() / file);
  for (std::size_t i = 0; i < lines.size(); ++i) {
    const std::string& line = lines[i];
    const auto hash = line.find_first_not_of(" \t");
    if (hash == std::string::npos || line[hash] != '#') continue;
    const auto word = line.find("include", hash);
    if (word == std::string::npos) continue;
    const auto open = line.find_first_of("\"<", word);
    if (open == std::string::npos) continue;
    const auto close = line.find_first_of("\">", open + 1);
    includes.push_back({file, line.substr(open + 1, close - open - 1), static_cast<int>(i) + 1, line[open] == '"'});
  }
  return includes;
}

std::string place(const Include& include) {
  return include.file + ":" + std::to_string(include.line) + " includes " + include.target;
}

TEST(Architecture, there_is_something_to_check) {
  EXPECT_GT(files_of("core").size(), 40u);
  std::size_t includes = 0;
  for (const auto& file : all_files()) includes += includes_of(file).size();
  EXPECT_GT(includes, 200u);
}

TEST(Architecture, rooms_look_where_they_may) {
  for (const auto& file : all_files()) {
    const std::string room = first_part(file);
    for (const auto& include : includes_of(file)) {
      if (!include.quoted) continue;
      const std::string target = first_part(include.target);
      EXPECT_TRUE(fs::exists(binade::testing_tools::source_dir() / include.target))
          << place(include) << ": our own headers are named from the root of the tree";
      EXPECT_TRUE(target == room || kDirections.at(room).contains(target))
          << place(include) << ": " << room << " may not look at " << target;
    }
  }
}

TEST(Architecture, folders_of_core_look_down) {
  for (const auto& file : files_of("core")) {
    const std::string folder = second_part(file);
    ASSERT_TRUE(kHeights.contains(folder)) << file << ": core has no folder of that name; give it a height here";
    for (const auto& include : includes_of(file)) {
      if (!include.quoted || first_part(include.target) != "core") continue;
      const std::string target = second_part(include.target);
      EXPECT_TRUE(target == folder || kBeside.contains({folder, include.target}) ||
                  kHeights.at(target) < kHeights.at(folder))
          << place(include) << ": inside core, " << folder << " may not look at " << target;
    }
  }
}

TEST(Architecture, libraries_stay_in_their_rooms) {
  struct Library {
    std::string what;                  ///< how an include of it begins
    std::vector<std::string> allowed;  ///< where its paths may begin
  };
  const std::vector<Library> libraries{
      {"opencv2/", {"datasets/"}},
      {"hdf5", {"core/io/"}},
      {"H5", {"core/io/"}},
      {"onnx", {"core/io/"}},
      {"google/protobuf", {"core/io/"}},
      {"dnnl", {"core/ops/"}},
      {"oneapi/dnnl", {"core/ops/"}},
      {"boost/program_options", {"cli/"}},
      {"Eigen",
       {"core/base/", "core/ops/", "core/graph/", "core/passes/", "core/report/", "core/io/", "core/models/",
        "calibration/", "ptq/", "qat/"}},
  };
  for (const auto& file : all_files()) {
    for (const auto& include : includes_of(file)) {
      if (include.quoted) continue;
      for (const auto& library : libraries) {
        if (!include.target.starts_with(library.what)) continue;
        EXPECT_TRUE(std::any_of(library.allowed.begin(), library.allowed.end(),
                                [&](const std::string& prefix) { return file.starts_with(prefix); }))
            << place(include) << ": not the room of that library";
      }
    }
  }
}

// A kernel compiled for one processor must not emit an inline function that the linker could pick for all.
TEST(Architecture, kernels_of_one_instruction_set_include_no_inline_library_code) {
  const std::set<std::string> plain{"immintrin.h", "cstdint", "cstddef"};
  int kernels = 0;
  for (const auto& file : all_files()) {
    if (!file.ends_with("_avx512.cpp") && !file.ends_with("_avx2.cpp")) continue;
    ++kernels;
    std::vector<std::string> open{file};
    std::set<std::string> seen{file};
    while (!open.empty()) {  // our own headers too, and theirs
      const std::string current = open.back();
      open.pop_back();
      for (const auto& include : includes_of(current)) {
        if (!include.quoted) {
          EXPECT_TRUE(plain.contains(include.target)) << file << ": " << place(include);
        } else if (seen.insert(include.target).second) {
          open.push_back(include.target);
        }
      }
    }
  }
  EXPECT_GT(kernels, 0);
}

// The compiler checks the same of what runs (integer_without_floats in tests/CMakeLists.txt); constants it folds.
TEST(Architecture, the_integer_reference_names_no_float_and_stands_alone) {
  int checked = 0;
  for (const auto& file : files_of("core/integer")) {
    if (!file.ends_with(".cpp") || fs::path(file).parent_path() != "core/integer") continue;
    ++checked;
    for (const auto& include : includes_of(file)) {
      EXPECT_FALSE(include.target == "cmath" || include.target == "math.h") << place(include);
      for (const char* other : {"core/integer/engine", "core/integer/simd", "core/integer/lower"})
        EXPECT_FALSE(include.target.starts_with(other)) << place(include);
    }
    for (const auto& line : lines_of(binade::testing_tools::source_dir() / file)) {
      const std::string code = line.substr(0, line.find("//"));
      for (const char* word : {"float", "double"})
        EXPECT_EQ(code.find(word), std::string::npos) << file << " has a " << word << ": " << line;
    }
  }
  EXPECT_GE(checked, 12);
}

TEST(Architecture, a_file_begins_with_a_sentence) {
  auto files = all_files();
  for (const char* folder : {"tests", "bench"}) {
    for (auto& file : files_of(folder)) files.push_back(std::move(file));
  }
  for (const auto& file : files) {
    const auto lines = lines_of(binade::testing_tools::source_dir() / file);
    ASSERT_FALSE(lines.empty()) << file << " is empty";
    EXPECT_TRUE(lines[0].starts_with("// ") && lines[0].size() > 15)
        << file << " does not begin with a `//` sentence that says what it is";
  }
}

TEST(Architecture, headers_are_guarded) {
  for (const auto& file : all_files()) {
    if (!file.ends_with(".hpp")) continue;
    const auto lines = lines_of(binade::testing_tools::source_dir() / file);
    EXPECT_NE(std::find(lines.begin(), lines.end(), "#pragma once"), lines.end()) << file;
  }
}

TEST(Architecture, no_source_is_longer_than_400_lines) {
  auto files = all_files();
  for (const char* folder : {"tests", "bench", "examples"}) {
    for (auto& file : files_of(folder)) files.push_back(std::move(file));
  }
  for (const auto& file : files) {
    if (file == "core/ops/ops.hpp") continue;  // the one page of all ops
    const std::size_t lines = lines_of(binade::testing_tools::source_dir() / file).size();
    EXPECT_LE(lines, 400u) << file << " has " << lines << " lines";
  }
}

/// Passes that are about one op, and may ask for it.
const std::set<std::string> kOwnPasses{"core/passes/fold_batch_norm.cpp", "core/passes/measure_batch_norm.cpp",
                                       "core/passes/uncap_relu.cpp", "qat/merge.cpp"};

/// Whether a line asks a variant of ops for one of them. Instructions and the importer's values are other variants.
bool asks_for_an_op(const std::string& line) {
  for (const char* question : {"holds_alternative<", "get_if<"}) {
    const auto at = line.find(question);
    if (at == std::string::npos) continue;
    const auto begin = at + std::string(question).size();
    const std::string type = line.substr(begin, line.find('>', begin) - begin);
    if (type != "Activation" && type != "Constant" && !type.ends_with("Instr")) return true;
  }
  return false;
}

/// What is true of several ops is a trait. An op that is added must not have to be found in lists elsewhere.
TEST(Architecture, few_places_ask_for_one_op) {
  constexpr std::size_t kMost = 40;
  ASSERT_TRUE(asks_for_an_op("  if (std::holds_alternative<Relu>(node.op)) {"));
  ASSERT_TRUE(asks_for_an_op("  const auto* conv = std::get_if<Conv2d>(&node.op);"));
  ASSERT_FALSE(asks_for_an_op("  const auto* conv = std::get_if<ConvInstr>(&operation);"));
  std::vector<std::string> places;
  for (const auto& file : all_files()) {
    if (file.starts_with("core/ops/") || kOwnPasses.contains(file)) continue;
    const auto lines = lines_of(binade::testing_tools::source_dir() / file);
    for (std::size_t i = 0; i < lines.size(); ++i) {
      if (asks_for_an_op(lines[i])) places.push_back(file + ":" + std::to_string(i + 1) + ": " + lines[i]);
    }
  }
  std::string all;
  for (const std::string& place : places) all += place + "\n";
  EXPECT_LE(places.size(), kMost) << "ask a trait instead (core/ops/traits.hpp):\n" << all;
  EXPECT_GE(places.size(), 10u) << "the count counts nothing";
}

}  // namespace
