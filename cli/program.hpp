// The program: its commands, and from an exception to an exit code.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cli/flags.hpp"
#include "cli/terminal_progress.hpp"
#include "core/base/progress.hpp"

namespace binade {

enum ExitCode : int { kDone = 0, kCheckFailed = 1, kUsage = 2, kData = 3, kOurBug = 70 };

struct Command {
  std::string_view name, summary;
  /// Prints results to stdout, progress to stderr. Returns kDone or kCheckFailed; errors are exceptions.
  int (*run)(const std::vector<std::string>& arguments);
};

/// What exists: nothing is listed that does not run.
std::span<const Command> commands();

/// The whole program, without its own name in `arguments`. Never throws.
int run_program(const std::vector<std::string>& arguments) noexcept;

/// The flags of one command with those that all commands share: help, version, dump-config, threads.
class CommandLine : public Flags {
 public:
  explicit CommandLine(std::string_view command) : command_(command) {}

  /// Parses and sets the number of threads. Returns false when the answer is already on stdout and nothing is left to
  /// do. With `words`, see Flags::parse; `usage` is what stands for them in --help.
  bool read(std::vector<std::string> arguments, std::vector<std::string>* words = nullptr,
            std::string_view usage = "[CONFIG.cfg]");

  /// What jobs are given: a progress bar on stderr, and SIGINT and SIGTERM as cancellation.
  JobControl control();

 private:
  std::string_view command_;
  int threads_ = 0;
  TerminalProgress terminal_;
};

// The commands, one file each.
int run_table(const std::vector<std::string>& arguments);
int run_train(const std::vector<std::string>& arguments);
int run_ptq(const std::vector<std::string>& arguments);
int run_calibrate(const std::vector<std::string>& arguments);
int run_qat(const std::vector<std::string>& arguments);
int run_verify(const std::vector<std::string>& arguments);
int run_evaluate(const std::vector<std::string>& arguments);
int run_bench(const std::vector<std::string>& arguments);
int run_inspect(const std::vector<std::string>& arguments);
int run_export(const std::vector<std::string>& arguments);
int run_selftest(const std::vector<std::string>& arguments);
int run_report(const std::vector<std::string>& arguments);

}  // namespace binade
