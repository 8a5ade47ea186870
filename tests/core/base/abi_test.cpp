// The version is one, wherever it is written.
#include "core/base/abi.hpp"

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>
#include <string>

#include "tests/harness/paths.hpp"

namespace binade {
namespace {

TEST(Abi, HeadersLibraryAndChangelogHaveOneVersion) {
  EXPECT_EQ(abi::kHeaders, version());
  std::string symbol(abi::kHeaders);
  for (char& c : symbol) c = c == '.' ? '_' : c;
  std::ostringstream header, changelog;
  header << std::ifstream(testing_tools::source_dir() / "core/base/abi.hpp").rdbuf();
  changelog << std::ifstream(testing_tools::source_dir() / "CHANGELOG.md").rdbuf();
  EXPECT_NE(header.str().find("version_" + symbol), std::string::npos);
  EXPECT_NE(changelog.str().find("## " + std::string(abi::kHeaders)), std::string::npos);
}

}  // namespace
}  // namespace binade
