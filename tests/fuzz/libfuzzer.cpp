// The same readers for libFuzzer, which sees what the code does with an input: one program for each reader, built by
// clang with -DBINADE_FUZZER=ON; the build defines BINADE_FUZZ_READER. A ContractError aborts and is a finding.
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <string>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "tests/fuzz/readers.hpp"

namespace {

const binade::fuzz::Reader& reader() {
  static const binade::fuzz::Reader& found =
      binade::find_by_name("reader", BINADE_FUZZ_READER, binade::fuzz::readers());
  return found;
}

const std::filesystem::path& folder() {
  static const std::filesystem::path made = [] {
    const auto path = std::filesystem::temp_directory_path() / ("binade_libfuzzer_" + std::to_string(::getpid()));
    std::filesystem::create_directories(path);
    return path;
  }();
  return made;
}

}  // namespace

/// Writes the good inputs into the first corpus folder that is given, so that libFuzzer begins with them.
extern "C" int LLVMFuzzerInitialize(int* count, char*** words) {  // NOLINT: names and types are libFuzzer's
  for (int i = 1; i < *count; ++i) {
    const std::filesystem::path corpus((*words)[i]);
    if (!std::filesystem::is_directory(corpus)) continue;
    int number = 0;
    for (const std::string& seed : reader().seeds()) {
      std::ofstream(corpus / ("seed" + std::to_string(number++)), std::ios::binary) << seed;
    }
    break;
  }
  return 0;
}

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {  // NOLINT: libFuzzer's name
  try {
    reader().read({reinterpret_cast<const char*>(data), size}, folder());
  } catch (const binade::ContractError& error) {
    std::cerr << error.what() << "\n";
    std::abort();
  } catch (const binade::Error&) {
    return 0;  // refused, as it should be
  }
  return 0;
}
