// fuzz_readers READER|all [--inputs N] [--seconds S] [--seed S] [--first I]: reads damaged inputs; exit 1 unless each
// is read or refused with a DataError or UsageError, within 5 s and 1 GiB. A finding is replayed with --first I
// --inputs 1.
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdlib>
#include <ctime>
#include <fstream>
#include <iostream>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "tests/fuzz/readers.hpp"
#include "tests/harness/byte_mutator.hpp"

namespace {

namespace fs = std::filesystem;
using binade::fuzz::Reader;

constexpr double kMostSeconds = 5;
constexpr long kMostMemoryKib = 1 << 20;

struct Options {
  std::string reader = "all";
  std::uint64_t inputs = ~std::uint64_t{0}, seed = 1, first = 0;
  double seconds = 10;
};

std::string current_input = "nothing";  // for who asks what crashed

/// Names the input that crashed or hung, then lets the signal do its work.
void report_signal(int signal) {
  const std::string text = "fuzz_readers: died at " + current_input + "\n";
  if (::write(STDERR_FILENO, text.data(), text.size()) < 0) std::_Exit(1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

Options read_options(int count, char** words) {
  Options options;
  if (count > 1) options.reader = words[1];
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string flag = words[i];
    if (flag == "--inputs") {
      options.inputs = std::strtoull(words[i + 1], nullptr, 10);
      options.seconds = 1e9;
    } else if (flag == "--seconds") {
      options.seconds = std::strtod(words[i + 1], nullptr);
    } else if (flag == "--seed") {
      options.seed = std::strtoull(words[i + 1], nullptr, 10);
    } else if (flag == "--first") {
      options.first = std::strtoull(words[i + 1], nullptr, 10);
    } else {
      throw binade::UsageError("unknown flag '" + flag + "'; known: --inputs, --seconds, --seed, --first");
    }
  }
  return options;
}

long peak_kib() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return usage.ru_maxrss;
}

/// False if something was found.
bool fuzz(const Reader& reader, const Options& options, const fs::path& folder) {
  const binade::testing_tools::ByteMutator mutator(reader.seeds(), reader.words());
  std::uint64_t read = 0, refused = 0, found = 0, count = 0;
  double slowest = 0;
  const auto begin = std::chrono::steady_clock::now();
  const auto finding = [&](std::uint64_t input, const std::string& what) {
    ++found;
    std::cerr << "finding: " << reader.name << " --seed " << options.seed << " --first " << input
              << " --inputs 1: " << what << "\n";
  };
  for (std::uint64_t i = options.first; count < options.inputs; ++i, ++count) {
    if (std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() > options.seconds) break;
    current_input =
        std::string(reader.name) + " --seed " + std::to_string(options.seed) + " --first " + std::to_string(i);
    const std::string input = mutator.mutate(options.seed, i);
    if (options.inputs == 1) std::ofstream(folder.string() + ".input", std::ios::binary) << input;
    const long before = peak_kib();
    ::alarm(60);                              // a hang ends here
    const std::clock_t start = std::clock();  // of the CPU: the machine may be busy
    try {
      reader.read(input, folder);
      ++read;
    } catch (const binade::ContractError& error) {
      finding(i, error.what());
    } catch (const binade::Error& error) {
      ++refused;
      if (options.inputs == 1) std::cout << error.what() << "\n";
    } catch (const std::exception& error) {
      finding(i, std::string("not an error of ours: ") + error.what());
    }
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    slowest = std::max(slowest, seconds);
    if (seconds > kMostSeconds) finding(i, "took " + std::to_string(seconds) + " s");
    if (before <= kMostMemoryKib && peak_kib() > kMostMemoryKib) finding(i, "took more than 1 GiB");
  }
  ::alarm(0);
  std::cout << reader.name << ": " << count << " inputs, " << read << " read, " << refused << " refused, " << found
            << " findings; slowest " << slowest * 1e3 << " ms, peak memory " << peak_kib() / 1024 << " MiB\n";
  return found == 0;
}

}  // namespace

int main(int count, char** words) try {
  const Options options = read_options(count, words);
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGILL, SIGALRM}) std::signal(signal, report_signal);
  const fs::path folder = fs::temp_directory_path() / ("binade_fuzz_" + std::to_string(::getpid()));
  fs::create_directories(folder);
  bool good = true;
  std::vector<std::string_view> known{"all"};
  bool any = false;
  for (const Reader& reader : binade::fuzz::readers()) {
    known.push_back(reader.name);
    if (options.reader != "all" && options.reader != reader.name) continue;
    any = true;
    good = fuzz(reader, options, folder) && good;
  }
  fs::remove_all(folder);
  if (!any) throw binade::UsageError(binade::unknown_name("reader", options.reader, known));
  return good ? 0 : 1;
} catch (const binade::Error& error) {
  std::cerr << "fuzz_readers: " << error.what() << "\n";
  return 2;
}
