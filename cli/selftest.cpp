// selftest: promises of the program, checked on this machine with data that it makes itself.
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <thread>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include "cli/program.hpp"
#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/base/random.hpp"
#include "core/io/checkpoint.hpp"
#include "core/io/read_file.hpp"
#include "core/models/models.hpp"
#include "datasets/generated.hpp"
#include "qat/checkpoint.hpp"

namespace binade {
namespace {

namespace fs = std::filesystem;

struct SelftestFlags {
  std::string out;
  int kills = 6;
  std::string quantizer = "tqt";
  std::uint64_t seed = 0;
};

std::string read_text_file(const fs::path& path) {
  const std::vector<std::byte> bytes = read_whole_file(path, "a text file");
  std::string text(bytes.size(), ' ');
  std::memcpy(text.data(), bytes.data(), bytes.size());
  return text;
}

/// A folder that is gone afterwards, unless the user named it.
class Workshop {
 public:
  explicit Workshop(const std::string& out) : path_(out), temporary_(out.empty()) {
    if (temporary_) {
      std::string name = (fs::temp_directory_path() / "binade_selftest_XXXXXX").string();
      if (::mkdtemp(name.data()) == nullptr) {
        throw DataError(fmt::format("cannot make a folder like '{}': {}", name, std::strerror(errno)));
      }
      path_ = name;
    }
    fs::create_directories(path_);
  }
  ~Workshop() {
    std::error_code ignored;
    if (temporary_) fs::remove_all(path_, ignored);
  }
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  bool temporary_;
};

/// This program as a child, its output in a file.
class Child {
 public:
  Child(std::vector<std::string> arguments, const fs::path& log) {
    arguments.insert(arguments.begin(), "binade");
    std::vector<char*> words;
    for (std::string& argument : arguments) words.push_back(argument.data());
    words.push_back(nullptr);
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_addopen(&actions, 1, log.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    ::posix_spawn_file_actions_adddup2(&actions, 1, 2);
    const int error = ::posix_spawn(&pid_, "/proc/self/exe", &actions, nullptr, words.data(), environ);
    ::posix_spawn_file_actions_destroy(&actions);
    if (error != 0) throw DataError(fmt::format("cannot start this program again: {}", std::strerror(error)));
  }
  void kill() const { ::kill(pid_, SIGKILL); }
  /// The exit code, or none if a signal ended it.
  std::optional<int> wait() const {
    int status = 0;
    while (::waitpid(pid_, &status, 0) < 0 && errno == EINTR) continue;
    return WIFEXITED(status) ? std::optional(WEXITSTATUS(status)) : std::nullopt;
  }

 private:
  pid_t pid_ = 0;
};

/// Images, a network and the command that trains it.
class ResumeTest {
 public:
  ResumeTest(const SelftestFlags& flags, const fs::path& folder) : flags_(flags), folder_(folder) {
    generate_images(folder_ / "images", {.classes = 4, .train = 96, .val = 16, .size = 32});
    ModelOptions options{.seed = 1, .classes = 4};
    options.input = {1, 32, 32, 3};
    save_checkpoint(build_model("tiny_mobilenet", options), folder_ / "float.h5");
  }

  int run() {
    const auto begin = std::chrono::steady_clock::now();
    finish("whole", 1, false);
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
    Random random(flags_.seed);
    std::vector<std::int64_t> steps;
    TerminalProgress terminal;
    Progress progress({.progress = &terminal}, "kill and continue", flags_.kills, "kills");
    for (int kill = 0; kill < flags_.kills; ++kill) {
      const Child child(command("killed", 1 + kill % 3, true), log("killed"));
      std::this_thread::sleep_for(std::chrono::duration<double>(seconds * random.uniform(0.05, 0.8)));
      child.kill();
      child.wait();
      steps.push_back(step_reached("killed"));
      progress.advance(1);
    }
    finish("killed", 2, true);
    const std::vector<std::string> differences = compare("whole", "killed");
    fmt::print("resume: {} kills, at steps {}, of {} in all; threads 1, 2, 3\n", steps.size(), fmt::join(steps, " "),
               step_reached("whole"));
    if (differences.empty()) {
      fmt::print("network, training state, metrics and telemetry: the same bits as the run that was not killed\n");
      return kDone;
    }
    fmt::print("DIFFERENT from the run that was not killed:\n  {}\n", fmt::join(differences, "\n  "));
    return kCheckFailed;
  }

 private:
  fs::path log(const std::string& run) const { return folder_ / (run + ".log"); }

  std::vector<std::string> command(const std::string& run, int threads, bool resume) const {
    std::vector<std::string> words{"qat",
                                   "--model",
                                   (folder_ / "float.h5").string(),
                                   "--dataset",
                                   "generated",
                                   "--data",
                                   (folder_ / "images").string(),
                                   "--out",
                                   (folder_ / run).string(),
                                   "--threads",
                                   std::to_string(threads),
                                   "--bits",
                                   "4",
                                   "--seed",
                                   "5",
                                   "--qat.start",
                                   "simple",
                                   "--calibration-images",
                                   "32",
                                   "--qat.quantizer",
                                   flags_.quantizer,
                                   "--qat.epochs",
                                   "4",
                                   "--qat.batch",
                                   "8",
                                   "--qat.learning-rate",
                                   "0.001",
                                   "--qat.checkpoint-steps",
                                   "5",
                                   "--qat.loss-jump",
                                   "0",
                                   "--qat.freeze-above",
                                   "0.02",
                                   "--qat.release-below",
                                   "0.01"};
    if (resume) words.emplace_back("--resume");
    return words;
  }

  void finish(const std::string& run, int threads, bool resume) const {
    const std::optional<int> code = Child(command(run, threads, resume), log(run)).wait();
    if (code == kDone) return;
    throw DataError(fmt::format("the {} run ended with {}:\n{}", run, code ? std::to_string(*code) : "a signal",
                                read_text_file(log(run))));
  }

  std::int64_t step_reached(const std::string& run) const {
    const fs::path file = folder_ / run / "training.h5";
    return fs::exists(file) ? load_training(file).checkpoint.trainer.step : 0;
  }

  /// Names of what differs.
  std::vector<std::string> compare(const std::string& a, const std::string& b) const {
    std::vector<std::string> differences;
    const auto graphs = [&](const std::string& what, const Graph& one, const Graph& other) {
      if (one.nodes().size() != other.nodes().size()) return differences.push_back(what + ": number of nodes");
      for (std::size_t i = 0; i < one.nodes().size(); ++i) {
        if (!(one.nodes()[i].op == other.nodes()[i].op)) differences.push_back(what + ": " + one.nodes()[i].name);
      }
      for (const ValueId id : one.parameters()) {
        ValueId twin{};
        if (!other.find(one.name(id), twin) || !(one.tensor(id) == other.tensor(twin))) {
          differences.push_back(what + ": " + one.name(id));
        }
      }
    };
    graphs("network.h5", load_checkpoint(folder_ / a / "network.h5").model.graph,
           load_checkpoint(folder_ / b / "network.h5").model.graph);
    const TrainCheckpoint one = load_training(folder_ / a / "training.h5").checkpoint,
                          other = load_training(folder_ / b / "training.h5").checkpoint;
    graphs("training.h5", one.network, other.network);
    if (one.trainer.tensors != other.trainer.tensors) differences.emplace_back("training.h5: the optimizer's state");
    if (one.trainer.observer.text != other.trainer.observer.text ||
        one.trainer.observer.tensors != other.trainer.observer.tensors) {
      differences.emplace_back("training.h5: the quantizers' state");
    }
    const auto losses = [](const TrainCheckpoint& run) {
      std::vector<std::pair<std::int64_t, double>> rows;
      for (const MetricsRow& row : run.metrics) rows.emplace_back(row.step, row.loss);
      return rows;
    };
    if (losses(one) != losses(other)) differences.emplace_back("the losses");
    if (read_text_file(folder_ / a / "telemetry.csv") != read_text_file(folder_ / b / "telemetry.csv")) {
      differences.emplace_back("telemetry.csv");
    }
    return differences;
  }

  const SelftestFlags& flags_;
  fs::path folder_;
};

int run_resume(const SelftestFlags& flags) {
  const Workshop workshop(flags.out);
  return ResumeTest(flags, workshop.path()).run();
}

struct Selftest {
  std::string_view name, summary;
  int (*run)(const SelftestFlags& flags);
};

constexpr std::array kSelftests{
    Selftest{"resume", "a training that is killed at random moments and continued gives the same bits", run_resume}};

}  // namespace

int run_selftest(const std::vector<std::string>& arguments) {
  SelftestFlags selftest;
  CommandLine flags("selftest");
  flags.section("Tests");
  flags.add("out", selftest.out, "folder to work in, kept afterwards", {.when_unset = "a temporary one"});
  flags.add("seed", selftest.seed, "of the moments");
  flags.add("resume.kills", selftest.kills, "how often the run is killed");
  flags.add("resume.quantizer", selftest.quantizer, "what learns in it",
            {.choices = {"tqt", "pact", "pact-pow2", "pact-ema", "lsq", "fixed"}});
  std::vector<std::string> words;
  if (!flags.read(arguments, &words, "NAME")) return kDone;
  if (words.size() != 1) {
    std::string known;
    for (const Selftest& test : kSelftests) known += fmt::format("\n  {}: {}", test.name, test.summary);
    throw UsageError(fmt::format("wanted is the name of one test:{}", known));
  }
  return find_by_name<Selftest>("selftest", words[0], kSelftests).run(selftest);
}

}  // namespace binade
