// Every config file of the project is read by the command it is for.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include <gtest/gtest.h>

#include "cli/program.hpp"
#include "cli/target.hpp"
#include "core/base/error.hpp"
#include "tests/harness/paths.hpp"

namespace binade {
namespace {

TEST(Configs, EveryFileParses) {
  const std::filesystem::path configs = testing_tools::source_dir() / "configs";
  std::map<std::string, int> files;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(configs)) {
    if (entry.path().extension() != ".cfg") continue;
    // configs/<command>/<name>.cfg; targets have a reader of their own.
    const std::string command = entry.path().parent_path().filename().string();
    if (command == "targets") continue;
    const auto known = commands();
    ASSERT_TRUE(std::any_of(known.begin(), known.end(), [&](const Command& c) { return c.name == command; }))
        << entry.path() << ": no command is called '" << command << "'";
    testing::internal::CaptureStdout();
    const int code = run_program({command, entry.path().string(), "--dump-config"});
    testing::internal::GetCapturedStdout();
    EXPECT_EQ(code, 0) << entry.path();
    ++files[command];
  }
  for (const char* command : {"calibrate", "qat", "table", "train"}) EXPECT_GE(files[command], 2) << command;
}

TEST(Configs, EveryTargetIsRead) {
  std::set<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(testing_tools::source_dir() / "configs/targets")) {
    const TargetProfile by_path = open_target(entry.path().string());
    EXPECT_EQ(by_path, open_target(by_path.name)) << entry.path();
    names.insert(by_path.name);
  }
  EXPECT_EQ(names, (std::set<std::string>{"cmsis", "generic", "onnxruntime", "tidl", "tidl_bias16"}));
  EXPECT_EQ(open_target("tidl"), TargetProfile{}) << "the file says what the default is";
}

TEST(Configs, ATargetsTextReadsBack) {
  const TargetProfile target{.name = "mine",
                             .join_rounding = Rounding::half_even,
                             .accumulator_bits = 24,
                             .min_shift = -3,
                             .common_concat = true};
  const auto file = std::filesystem::temp_directory_path() / "mine.cfg";
  std::ofstream(file) << target_text(target);
  EXPECT_EQ(open_target(file.string()), target);
  std::ofstream(file) << "join-rounding = half_odd\nbias-bit = 3\n";
  try {
    open_target(file.string());
    FAIL() << "read";
  } catch (const UsageError& error) {
    EXPECT_NE(std::string(error.what()).find("'bias-bit'"), std::string::npos) << error.what();
  }
  std::filesystem::remove(file);
}

}  // namespace
}  // namespace binade
