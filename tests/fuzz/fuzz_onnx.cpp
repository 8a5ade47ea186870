// fuzz_onnx --inputs N --seed S [--weights FOLDER]: imports N damaged ONNX files; exit 1 unless each is either imported
// or refused with a DataError, in bounded time and memory. A failing input is named by its index: --first I --inputs 1.
#include <sys/resource.h>
#include <unistd.h>
#include <csignal>

#include <cstdlib>
#include <ctime>
#include <iostream>
#include <map>
#include <string>

#include "core/base/error.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/onnx_import.hpp"
#include "tests/harness/onnx_mutator.hpp"
#include "tests/harness/paths.hpp"

namespace {

volatile std::sig_atomic_t current_input = 0;

/// Names the input that crashed or hung, then lets the signal do its work.
void report_signal(int signal) {
  char text[64] = "fuzz_onnx: died at input ";
  std::size_t length = 25;
  char digits[16];
  int count = 0;
  for (long v = current_input; v > 0 || count == 0; v /= 10) digits[count++] = static_cast<char>('0' + v % 10);
  while (count > 0) text[length++] = digits[--count];
  text[length++] = '\n';
  if (::write(STDERR_FILENO, text, length) < 0) std::_Exit(1);
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

struct Options {
  std::uint64_t inputs = 100000, seed = 1, first = 0;
  std::string weights = (binade::testing_tools::shared_data() / "weights").string();
};

Options read_options(int count, char** words) {
  Options options;
  for (int i = 1; i + 1 < count; i += 2) {
    const std::string flag = words[i];
    if (flag == "--inputs")
      options.inputs = std::strtoull(words[i + 1], nullptr, 10);
    else if (flag == "--seed")
      options.seed = std::strtoull(words[i + 1], nullptr, 10);
    else if (flag == "--first")
      options.first = std::strtoull(words[i + 1], nullptr, 10);
    else if (flag == "--weights")
      options.weights = words[i + 1];
    else
      throw binade::UsageError("unknown flag '" + flag + "'; known: --inputs, --seed, --first, --weights");
  }
  return options;
}

}  // namespace

int main(int count, char** words) try {
  const Options options = read_options(count, words);
  for (const int signal : {SIGSEGV, SIGABRT, SIGFPE, SIGBUS, SIGALRM}) std::signal(signal, report_signal);
  const binade::testing_tools::OnnxMutator mutator(options.weights);
  std::uint64_t imported = 0, refused = 0, failed = 0;
  double slowest = 0;
  std::uint64_t slowest_input = 0;
  for (std::uint64_t i = options.first; i < options.first + options.inputs; ++i) {
    current_input = static_cast<std::sig_atomic_t>(i);
    const std::string bytes = mutator.mutate(options.seed, i);
    ::alarm(20);                              // a hang ends here
    const std::clock_t start = std::clock();  // of the CPU: the machine may be busy
    try {
      const binade::Model model = binade::import_onnx(std::as_bytes(std::span(bytes)), "damaged.onnx");
      if (i % 16 == 0) binade::model_from_json(binade::model_to_json(model));  // what is accepted can be kept
      ++imported;
    } catch (const binade::DataError& error) {
      ++refused;
      if (options.inputs == 1) std::cout << error.what() << "\n";
    } catch (const std::exception& error) {
      ++failed;
      std::cerr << "input " << i << ": not a DataError: " << error.what() << "\n";
    }
    const double seconds = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    if (seconds > slowest) slowest = seconds, slowest_input = i;
  }
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  std::cout << options.inputs << " inputs from " << mutator.seed_files() << " files: " << imported << " imported, "
            << refused << " refused, " << failed << " failed; slowest " << slowest * 1e3 << " ms (input "
            << slowest_input << "), peak memory " << usage.ru_maxrss / 1024 << " MiB\n";
  return failed == 0 ? 0 : 1;
} catch (const binade::Error& error) {
  std::cerr << "fuzz_onnx: " << error.what() << "\n";
  return 2;
}
