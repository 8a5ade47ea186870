// Dispatch, help and exit codes.
#include "cli/program.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <exception>
#include <filesystem>
#include <new>

#include <fmt/format.h>

#include "cli/interrupt.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/parallel.hpp"
#include "core/base/shown.hpp"
#include "experiment/machine.hpp"

namespace binade {
namespace {

constexpr std::array<Command, 12> kCommands{{
    {"table", "the accuracy table: one row per method, compared image by image", run_table},
    {"train", "trains a network in float", run_train},
    {"ptq", "post-training quantization: a quantized checkpoint and its report", run_ptq},
    {"calibrate", "the fast mode, no labels, no gradients: a quantized checkpoint and its report", run_calibrate},
    {"qat", "quantization-aware training: a quantized checkpoint and its report", run_qat},
    {"evaluate", "accuracy of a network as it is stored", run_evaluate},
    {"verify", "the integer engine against the quantized graph, code by code", run_verify},
    {"inspect", "layers, shapes, parameters, MACs and sizes of a network, or of the whole zoo", run_inspect},
    {"export", "a network as a file that other tools read", run_export},
    {"selftest", "checks promises on this machine", run_selftest},
    {"bench", "time, memory and size, in float and as integers", run_bench},
    {"report", "compares columns of kept predictions, also of different runs", run_report},
}};

std::string program_help() {
  std::string text =
      "binade: from a float network and images to fixed-point networks and what they cost in accuracy\n\n"
      "Usage: binade COMMAND [CONFIG.cfg] [--flag value ...]\n\nCommands:\n";
  for (const Command& command : commands()) text += fmt::format("  {:<10}{}\n", command.name, command.summary);
  return text +
         "\nFlags win over the config file, the file over defaults; every flag is a key of the file: `--ptq.range mse` "
         "is\n"
         "`range = mse` below `[ptq]`. `binade COMMAND --help` lists them, `--dump-config` prints them with their "
         "values.\n"
         "Exit codes: 0 done, 1 a check failed, 2 usage, 3 data, 70 a bug of ours.\n";
}

int dispatch(const std::vector<std::string>& arguments) {
  if (arguments.empty()) throw UsageError("no command.\n\n" + program_help());
  const std::string& name = arguments.front();
  if (name == "--help" || name == "-h" || name == "help") {
    fmt::print("{}", program_help());
    return kDone;
  }
  if (name == "--version") {
    fmt::print("binade {}\n", version_text());
    return kDone;
  }
  std::vector<std::string_view> known;
  for (const Command& command : commands()) {
    if (command.name == name) return command.run({arguments.begin() + 1, arguments.end()});
    known.push_back(command.name);
  }
  throw UsageError(unknown_name("command", name, known));
}

int fail(int code, const std::string& message) {
  std::fflush(stdout);
  fmt::print(stderr, "error: {}\n", printable_lines(message));
  return code;
}

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

int run_program(const std::vector<std::string>& arguments) noexcept {
  std::signal(SIGXFSZ, SIG_IGN);  // a write beyond the limit of file sizes fails like one to a full disk
  try {
    const int code = dispatch(arguments);
    if (std::fflush(stdout) != 0 || std::ferror(stdout) != 0) {
      return fail(kData, fmt::format("cannot write the results to the standard output: {}", std::strerror(errno)));
    }
    return code;
  } catch (const Interrupted& stop) {
    std::fflush(stdout);
    fmt::print(stderr, "stopped by {}: {}\n", stop.signal == SIGINT ? "SIGINT" : "SIGTERM", printable_lines(stop.hint));
    return 128 + stop.signal;
  } catch (const UsageError& error) {
    return fail(kUsage, error.what());
  } catch (const DataError& error) {
    return fail(kData, error.what());
  } catch (const ContractError& error) {
    return fail(kOurBug,
                fmt::format("{}\nThis is a bug in binade {}, not a mistake of yours.", error.what(), version_text()));
  } catch (const std::filesystem::filesystem_error& error) {
    return fail(kData, fmt::format("cannot use {}: {}", shown(error.path1()), error.code().message()));
  } catch (const std::bad_alloc&) {
    return fail(kData,
                "there is not enough memory for this; fewer images, smaller batches or a smaller network need less");
  } catch (const std::exception& error) {
    return fail(kOurBug, fmt::format("unexpected: {}\nThis is a bug in binade {}, not a mistake of yours.",
                                     error.what(), version_text()));
  }
}

JobControl CommandLine::control() {
  remember_signals();
  const Json settings = config();
  const std::string out = settings.value("out", "");
  const std::string hint = !settings.contains("resume") ? "nothing was written"
                           : out.empty()                ? "nothing was kept, since there is no --out"
                                                        : fmt::format(
                                                              "the same command with --resume goes on from what "
                                                                             "is kept in '{}'",
                                                              out);
  return {.progress = &terminal_, .cancelled = [hint]() -> bool {
            if (const int number = remembered_signal(); number != 0) throw Interrupted(number, hint);
            return false;
          }};
}

bool CommandLine::read(std::vector<std::string> arguments, std::vector<std::string>* words, std::string_view usage) {
  section("Every command");
  add("threads", threads_, "of the pool, 0: as many as there are CPUs; results do not depend on it");
  const auto asked = [&](std::string_view word) { return std::erase(arguments, word) > 0; };
  if (asked("--help")) {
    const auto is_this = [&](const Command& command) { return command.name == command_; };
    fmt::print("binade {}: {}\n\nUsage: binade {} {} [--flag value ...]\n{}{}", command_,
               std::find_if(kCommands.begin(), kCommands.end(), is_this)->summary, command_, usage, help(),
               "  --dump-config             print the resolved configuration, which can be read back, and stop\n"
               "  --version, --help\n");
    return false;
  }
  if (asked("--version")) {
    fmt::print("binade {}\n", version_text());
    return false;
  }
  const bool dump_config = asked("--dump-config");
  try {
    parse(arguments, words);
  } catch (const UsageError& error) {
    throw UsageError(fmt::format("{}\nbinade {} --help lists the flags.", error.what(), command_));
  }
  if (threads_ < 0) throw UsageError(fmt::format("--threads: {}; wanted is a number of threads, or 0", threads_));
  set_thread_count(threads_);
  if (dump_config) fmt::print("{}", config_text());
  return !dump_config;
}

}  // namespace binade
