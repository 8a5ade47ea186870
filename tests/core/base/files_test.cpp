// Hashes and atomic files.
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/io/atomic_file.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

class Files : public testing::Test {
 protected:
  Files() : folder_(fs::temp_directory_path() / ("binade_files_" + std::to_string(::getpid()))) {
    fs::create_directories(folder_);
  }
  ~Files() override { fs::remove_all(folder_); }
  static std::string read(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  int files_in_folder() const {
    return static_cast<int>(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()));
  }
  fs::path folder_;
};

TEST_F(Files, Sha256EqualsTheVectorsOfTheStandard) {
  // FIPS 180-4 examples, NIST CAVP.
  EXPECT_EQ(sha256_hex(""), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256_hex("abc"), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  EXPECT_EQ(sha256_hex(std::string(1000000, 'a')), "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST_F(Files, Sha256OfAFileEqualsThatOfItsBytes) {
  const std::string text(200001, 'x');  // several pieces, the last one partial
  write_file_atomically(folder_ / "x", text);
  EXPECT_EQ(sha256_file(folder_ / "x"), sha256_hex(text));
}

TEST_F(Files, Sha256OfWhatIsNotAFileIsADataErrorThatNamesIt) {
  for (const fs::path& path : {folder_ / "missing", folder_}) {
    try {
      sha256_file(path);
      FAIL() << path;
    } catch (const DataError& error) {
      EXPECT_NE(std::string(error.what()).find(path.string()), std::string::npos) << error.what();
    }
  }
}

TEST_F(Files, WritesAndReplaces) {
  const fs::path path = folder_ / "a.txt";
  write_file_atomically(path, std::string_view("one"));
  EXPECT_EQ(read(path), "one");
  const std::string binary("t\0wo", 4);
  write_file_atomically(path, std::as_bytes(std::span(binary)));
  EXPECT_EQ(read(path), binary);
  EXPECT_EQ(files_in_folder(), 1);
}

TEST_F(Files, AFailureLeavesTheOldFileAndNothingElse) {
  const fs::path path = folder_ / "a.txt";
  write_file_atomically(path, std::string_view("old"));
  const auto half = [&](const fs::path& temporary) {
    EXPECT_EQ(temporary.parent_path(), folder_);
    std::ofstream(temporary) << "half of the ne";
    throw DataError("disk full");
  };
  EXPECT_THROW(write_file_atomically(path, half), DataError);
  EXPECT_EQ(read(path), "old");
  EXPECT_EQ(files_in_folder(), 1);
}

TEST_F(Files, AMissingFolderIsNamed) {
  try {
    write_file_atomically(folder_ / "none" / "a.txt", std::string_view("x"));
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("folder '" + (folder_ / "none").string() + "' does not exist"),
              std::string::npos)
        << error.what();
  }
}

}  // namespace
}  // namespace binade
