// Temporary folders and small images for the tests of this room.
#pragma once

#include <unistd.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <opencv2/imgcodecs.hpp>

#include "core/base/random.hpp"

namespace binade::test {

/// A folder that is removed at the end.
class TemporaryFolder {
 public:
  TemporaryFolder() {
    const auto* test = testing::UnitTest::GetInstance()->current_test_info();
    path_ = std::filesystem::temp_directory_path() /
            fmt::format("binade-{}-{}-{}", test->test_suite_name(), test->name(), ::getpid());
    std::filesystem::remove_all(path_);
    std::filesystem::create_directories(path_);
  }
  ~TemporaryFolder() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TemporaryFolder(const TemporaryFolder&) = delete;
  TemporaryFolder& operator=(const TemporaryFolder&) = delete;
  const std::filesystem::path& path() const { return path_; }
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }

 private:
  std::filesystem::path path_;
};

inline void write_file(const std::filesystem::path& path, const std::string& text) {
  std::filesystem::create_directories(path.parent_path());
  std::ofstream(path, std::ios::binary) << text;
}

/// BGR noise, smoothed so that JPEG keeps it; another picture for another seed.
inline cv::Mat random_picture(int height, int width, std::uint64_t seed, int channels = 3) {
  cv::Mat image(height, width, CV_8UC(channels));
  const Random random(seed, 7);
  for (int y = 0; y < height; ++y) {
    for (int x = 0; x < width * channels; ++x) {
      image.ptr(y)[x] =
          static_cast<unsigned char>(random.word(static_cast<std::uint64_t>(y / 4 * 10000 + x / 12)) >> 56);
    }
  }
  return image;
}

inline std::vector<unsigned char> encode(const cv::Mat& image, const std::string& ending,
                                         const std::vector<int>& settings = {}) {
  std::vector<unsigned char> bytes;
  EXPECT_TRUE(cv::imencode(ending, image, bytes, settings));
  return bytes;
}

inline std::span<const std::byte> as_bytes(const std::vector<unsigned char>& bytes) {
  return std::as_bytes(std::span(bytes));
}

/// A picture on disk, in the format that the name says.
inline void write_picture(const std::filesystem::path& path, int height, int width, std::uint64_t seed) {
  const std::string ending = path.extension() == ".png" ? ".png" : ".jpg";
  const std::vector<unsigned char> bytes = encode(random_picture(height, width, seed), ending);
  write_file(path, std::string(bytes.begin(), bytes.end()));
}

/// The message of the Expected that `body` must throw.
template <class Expected, class Body>
std::string message_of(Body&& body) {
  try {
    body();
  } catch (const Expected& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another kind of error: " << error.what();
    return {};
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline bool contains(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

}  // namespace binade::test
