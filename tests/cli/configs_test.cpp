// Every config file of the project is read by the command it is for.
#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include "cli/program.hpp"

namespace binade {
namespace {

TEST(Configs, EveryFileParses) {
  const std::filesystem::path configs = std::filesystem::path(BINADE_SOURCE_DIR) / "configs";
  int files = 0;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(configs)) {
    if (entry.path().extension() != ".cfg") continue;
    // configs/<command>/<name>.cfg; other folders (targets) belong to their own readers.
    const std::string command = entry.path().parent_path().filename().string();
    const auto known = commands();
    if (std::none_of(known.begin(), known.end(), [&](const Command& c) { return c.name == command; })) continue;
    testing::internal::CaptureStdout();
    const int code = run_program({command, entry.path().string(), "--dump-config"});
    testing::internal::GetCapturedStdout();
    EXPECT_EQ(code, 0) << entry.path();
    ++files;
  }
  EXPECT_GE(files, 2);
}

}  // namespace
}  // namespace binade
