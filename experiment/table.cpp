// Float first, then each method on its calibration images, all on the same evaluation images.
#include "experiment/table.hpp"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <list>
#include <map>
#include <optional>
#include <tuple>
#include <utility>

#include <fmt/format.h>

#include "core/base/cpu.hpp"
#include "core/base/error.hpp"
#include "core/base/hash.hpp"
#include "core/base/revision.hpp"
#include "core/passes/apply_target.hpp"
#include "core/report/verdict.hpp"
#include "experiment/calibrate.hpp"
#include "experiment/integer.hpp"
#include "experiment/kept_rows.hpp"
#include "experiment/qat.hpp"

namespace binade {
namespace {

/// Images and networks of one table, and what has been found so far.
class TableRun {
 public:
  TableRun(const TableJob& table, const JobControl& control)
      : table_(table), control_(control), methods_(parse_methods(table.methods)), model_(open_network(table.network)) {}

  TableResult run();

 private:
  bool wants_calibration() const {
    return std::any_of(methods_.begin(), methods_.end(),
                       [](const Method& m) { return m.kind != Method::Kind::reference; });
  }
  bool has_failed(const Method& method) const {
    const auto& failed = result_.report.failed;
    return std::any_of(failed.begin(), failed.end(), [&](const FailedRow& row) { return row.method == method.name; });
  }
  const AccuracyRow& row_of(const Method& method) const {
    const auto& rows = result_.report.rows;
    return *std::find_if(rows.begin(), rows.end(), [&](const AccuracyRow& row) { return row.method == method.name; });
  }
  bool wants_training() const {
    return std::any_of(methods_.begin(), methods_.end(), [](const Method& m) { return m.kind == Method::Kind::qat; });
  }
  struct Quantized {
    Graph graph;
    double seconds = 0;
    nlohmann::ordered_json details = {};
  };
  struct PtqRun {
    PtqOptions options;
    std::size_t set = 0;
    double seconds = 0;
    PtqResult result;
  };
  static std::string column_name(const Method& method, std::size_t set) {
    return set == 0 ? method.name : fmt::format("{}.set{}", method.name, set + 1);
  }
  void open_images();
  AccuracyRow quantized_row(const Method& method);
  /// What a row is made from: rows of another key are not taken.
  std::string key_of_rows() const;
  /// The row made now, and kept if the job says where.
  void make_row(const Method& method);
  /// The row, or why there is none; the rows before it stay as they are.
  void add_quantized_row(const Method& method);
  /// Quantizes on calibration set `set` and evaluates; seconds of the quantization go to `seconds`.
  Predictions quantize_and_evaluate(const Method& method, std::size_t set, double& seconds);
  /// Post-training quantization; rows that want the same one share it.
  const PtqRun& post_training(const std::string& name, const PtqOptions& options, std::size_t set);
  /// Post-training quantization, then training; seconds of both.
  Graph quantize_and_train(const std::string& name, const Method& method, std::size_t set, double& seconds);
  /// The network that a method has on a calibration set, for the target. Rows of the same network share it.
  const Graph& quantized(const Method& method, std::size_t set, double& seconds);
  /// How fast calibrations were, also against full post-training quantization and an epoch of training.
  void compare_speeds();
  void describe();

  const TableJob& table_;
  const JobControl& control_;
  const std::vector<Method> methods_;
  Model model_;
  /// By what the network depends on: kind, widths, simplicity and calibration set.
  std::map<std::tuple<Method::Kind, int, int, bool, std::size_t>, Quantized> quantized_;
  std::list<PtqRun> ptq_runs_;
  std::unique_ptr<LoadedImages> evaluation_;
  std::vector<std::unique_ptr<LoadedImages>> calibration_;  ///< one per calibration set
  std::unique_ptr<TrainingLoader> training_;
  std::optional<Predictions> reference_;
  std::string row_key_;
  TableResult result_;
};

void TableRun::open_images() {
  const DataSource& data = table_.data;
  const Dataset evaluation = open_evaluation_data(data, model_, control_);
  std::vector<Dataset> sets;
  if (wants_calibration()) {
    const Dataset all = open_calibration_data(calibration_source(table_.qat, data), model_, control_);
    for (int k = 0; k < table_.calibration_sets; ++k) sets.push_back(chosen_calibration(all, data, k));
  }
  auto& notes = result_.report.notes;
  for (std::size_t k = 0; k < sets.size(); ++k) {
    calibration_.push_back(
        read_images(k == 0 ? "read calibration images" : fmt::format("read calibration set {}", k + 1), sets[k], data,
                    model_, control_));
    note_bad_images("calibration", calibration_.back()->bad(), notes);
  }
  evaluation_ = read_images("read evaluation images", evaluation, data, model_, control_);
  note_bad_images("evaluation", evaluation_->bad(), notes);
  for (const auto& images : calibration_) {
    refuse_shared_images("calibration", images->dataset(), images->identities(), data, *evaluation_, notes);
  }
  if (!wants_training()) return;
  const bool labels = std::any_of(methods_.begin(), methods_.end(), [&](const Method& m) {
    return m.kind == Method::Kind::qat && qat_options(m, table_.qat, data.seed).train.loss.labels;
  });
  training_ = read_training_images({.qat = table_.qat, .data = data, .model = model_, .labels = labels}, *evaluation_,
                                   notes, control_);
}

const TableRun::PtqRun& TableRun::post_training(const std::string& name, const PtqOptions& options, std::size_t set) {
  for (const PtqRun& run : ptq_runs_) {
    if (run.set == set && run.options == options) return run;
  }
  PtqRun run{.options = options, .set = set, .seconds = 0, .result = {}};
  run.result = quantize_with_progress(name, model_.graph, *calibration_[set], options, run.seconds, control_);
  return ptq_runs_.emplace_back(std::move(run));
}

Graph TableRun::quantize_and_train(const std::string& name, const Method& method, std::size_t set, double& seconds) {
  const PtqRun& start = post_training(name + " start", start_options(method, table_), set);
  const Graph free = with_free_weights(start.result.quantized, start.result.reference);
  const auto begin = std::chrono::steady_clock::now();
  const QatOptions options = qat_options(method, table_.qat, table_.data.seed);
  QatResult result = train_quantized(
      {.name = name, .model = model_, .start = free, .training = *training_, .options = options}, false, control_);
  const double training_seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  seconds = start.seconds + training_seconds;
  result_.report.details[name] = details_of(result);
  const double epochs =
      static_cast<double>(result.checkpoint.trainer.step) / (training_->count() / options.train.batch);
  result_.report.details[name]["epoch_seconds"] = training_seconds / std::max(1.0, epochs);
  for (const std::string& warning : result.warnings) result_.report.notes.push_back(name + ": " + warning);
  return std::move(result.quantized);
}

const Graph& TableRun::quantized(const Method& method, std::size_t set, double& seconds) {
  const std::string name = column_name(method, set);
  Method source = method;
  if (method.kind == Method::Kind::integer) source.kind = Method::Kind::ptq;
  const auto key = std::tuple{source.kind, source.weight_bits, source.activation_bits, source.simple, set};
  if (const auto known = quantized_.find(key); known != quantized_.end()) {
    seconds = known->second.seconds;
    if (method.kind == source.kind) result_.report.details[name] = known->second.details;
    return known->second.graph;
  }
  Graph graph;
  if (source.kind == Method::Kind::qat) {
    graph = quantize_and_train(name, source, set, seconds);
  } else if (source.kind == Method::Kind::calibration) {
    const CalibrateOptions options = calibrate_options(source, table_);
    CalibrateResult result = calibrate_with_progress(name, model_.graph, *calibration_[set], options, control_);
    seconds = result.report["seconds"].get<double>();
    result_.report.details[name] = std::move(result.report);
    graph = std::move(result.quantized);
  } else {
    const PtqRun& run = post_training(name, ptq_options(source, table_), set);
    seconds = run.seconds;
    result_.report.details[name] = run.result.report;
    graph = run.result.quantized;
  }
  return quantized_
      .insert_or_assign(key, Quantized{apply_target(graph, table_.target), seconds, result_.report.details[name]})
      .first->second.graph;
}

Predictions TableRun::quantize_and_evaluate(const Method& method, std::size_t set, double& seconds) {
  const std::string name = column_name(method, set);
  const Graph& graph = quantized(method, set, seconds);
  result_.networks.insert_or_assign(name, graph);
  if (method.kind != Method::Kind::integer) return evaluate_graph(name, graph, *evaluation_, table_.batch, control_);
  const Lowered lowered = lower(graph, table_.target);
  Engine engine(lowered.program);
  result_.report.details[name]["program"] = describe_program(lowered, engine);
  return evaluate_program(name, lowered.program, engine, *evaluation_, table_.batch, control_);
}

AccuracyRow TableRun::quantized_row(const Method& method) {
  AccuracyRow row;
  std::vector<CalibrationSetResult> sets;
  for (std::size_t set = 0; set < calibration_.size(); ++set) {
    double seconds = 0;
    Predictions predictions = quantize_and_evaluate(method, set, seconds);
    const AccuracyRow found = accuracy_row(predictions, &*reference_, table_.data.bootstrap_block);
    if (set == 0) {
      row = found;
      row.quantize_seconds = seconds;
    }
    sets.push_back({found.accuracy, found.agreement.value_or(0), found.sqnr_db.value_or(0)});
    keep_overlays(table_.folder, table_.data, *evaluation_, predictions);
    predictions.maps.clear();  // only float's are compared with
    result_.columns.push_back(std::move(predictions));
  }
  row.weight_bits = method.weight_bits;
  row.activation_bits = method.activation_bits;
  if (sets.size() > 1) row.sets = std::move(sets);
  return row;
}

std::string TableRun::key_of_rows() const {
  nlohmann::ordered_json key{{"config", table_.config},
                             {"model", model_hash(model_)},
                             {"preprocessing", to_string(model_.preprocessing)},
                             {"target", table_.target.name},
                             {"revision", revision()},
                             {"isa", to_string(active_isa())},
                             {"evaluation", list_hash(*evaluation_)}};
  for (const auto& images : calibration_) key["calibration"].push_back(list_hash(*images));
  if (training_) key["training"] = training_->hashes();
  for (const char* name : {"out", "force", "format", "threads", "resume", "methods"}) key["config"].erase(name);
  return sha256_hex(key.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
}

void TableRun::make_row(const Method& method) {
  AccuracyReport& report = result_.report;
  const auto columns = static_cast<std::ptrdiff_t>(result_.columns.size());
  const auto notes = static_cast<std::ptrdiff_t>(report.notes.size());
  report.rows.push_back(quantized_row(method));
  if (table_.rows.empty()) return;
  KeptRow kept{.row = report.rows.back(),
               .columns = {result_.columns.begin() + columns, result_.columns.end()},
               .notes = {report.notes.begin() + notes, report.notes.end()},
               .details = nlohmann::ordered_json::object()};
  for (const Predictions& column : kept.columns) {
    if (report.details.contains(column.method)) kept.details[column.method] = report.details[column.method];
  }
  keep_row(table_.rows, row_key_, kept);
}

void TableRun::add_quantized_row(const Method& method) {
  if (table_.resume) {
    if (std::optional<KeptRow> kept =
            kept_row(table_.rows, row_key_, method.name, *reference_, table_.data.bootstrap_block)) {
      AccuracyReport& report = result_.report;
      report.rows.push_back(std::move(kept->row));
      report.notes.insert(report.notes.end(), kept->notes.begin(), kept->notes.end());
      report.details.update(kept->details);
      std::move(kept->columns.begin(), kept->columns.end(), std::back_inserter(result_.columns));
      return;
    }
  }
  const std::size_t columns = result_.columns.size();
  try {
    make_row(method);
  } catch (const DataError& error) {
    result_.columns.resize(columns);
    result_.report.details.erase(method.name);
    result_.networks.erase(method.name);
    result_.report.failed.push_back({method.name, error.what()});
  }
}

void TableRun::compare_speeds() {
  for (const Method& method : methods_) {
    if (method.kind != Method::Kind::calibration || has_failed(method)) continue;
    nlohmann::ordered_json& details = result_.report.details[method.name];
    const double seconds = details["seconds"].get<double>();
    std::string text = speed_text(method.name, details);
    for (const Method& other : methods_) {
      const bool same = other.weight_bits == method.weight_bits && other.activation_bits == method.activation_bits;
      if (!same || other.simple || has_failed(other) ||
          (other.kind != Method::Kind::ptq && other.kind != Method::Kind::qat))
        continue;
      const bool trains = other.kind == Method::Kind::qat;
      const double theirs =
          trains ? result_.report.details[other.name]["epoch_seconds"].get<double>() : row_of(other).quantize_seconds;
      details["speed"][trains ? "qat_epoch" : "ptq"] = theirs / seconds;
      text += fmt::format(", {:.1f} times as fast as {}{}", theirs / seconds, trains ? "an epoch of " : "", other.name);
    }
    result_.report.notes.push_back(text + ".");
  }
}

void TableRun::describe() {
  AccuracyReport& report = result_.report;
  const Conclusions found = conclude(report.rows, reference_->classes, {.margin = table_.margin});
  report.triage = found.triage;
  report.notes.insert(report.notes.end(), found.alarms.begin(), found.alarms.end());
  if (const std::string shift = label_shift_alarm(*reference_); !shift.empty()) report.notes.push_back(shift);
  std::string images = fmt::format("n = {} images of '{}'", evaluation_->count(), table_.data.data);
  if (!calibration_.empty()) images += fmt::format(", calibrated on {} other images", calibration_.front()->count());
  if (training_) images += fmt::format(", trained on {}", training_->count());
  report.notes.insert(report.notes.begin(), images + ".");
  describe_segmentation(table_.data, *evaluation_, report);
  compare_speeds();
  describe_run(report, {.config = table_.config,
                        .model = model_,
                        .evaluation = *evaluation_,
                        .calibration = calibration_,
                        .layer_bits = table_.layer_bits});
}

TableResult TableRun::run() {
  open_images();
  if (!table_.rows.empty()) row_key_ = key_of_rows();
  reference_ = evaluate_graph("float", model_.graph, *evaluation_, table_.batch, control_);
  for (const Method& method : methods_) {
    if (method.kind == Method::Kind::reference) {
      result_.report.rows.push_back(accuracy_row(*reference_, nullptr, table_.data.bootstrap_block));
      keep_overlays(table_.folder, table_.data, *evaluation_, *reference_);
      result_.columns.push_back(*reference_);
      result_.columns.back().maps.clear();
    } else {
      add_quantized_row(method);
    }
  }
  describe();
  return std::move(result_);
}

}  // namespace

PtqOptions ptq_options(const Method& method, const TableJob& job) {
  PtqOptions options = ptq_preset(method.simple ? "simple" : job.preset, method.weight_bits, method.activation_bits);
  options.seed = job.data.seed;
  options.layer_bits = job.layer_bits;
  return method.simple ? options : patched(std::move(options), job.ptq);
}

PtqResult quantize_with_progress(const std::string& name, const Graph& graph, ImageSource& images,
                                 const PtqOptions& options, double& seconds, const JobControl& control) {
  const auto start = std::chrono::steady_clock::now();
  const auto passes = static_cast<std::int64_t>(options.passes.size());
  Progress progress(control, "quantize " + name, passes, "passes");
  int before = 0;
  PtqResult result = post_training_quantize(graph, images, options, [&](const std::string& pass, int done, int) {
    progress.note(pass);
    progress.advance(done - std::exchange(before, done));
  });
  progress.note("");
  progress.advance(passes - before);
  seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return result;
}

TableResult run(const TableJob& job, const JobControl& control) {
  return TableRun(job, control).run();
}

}  // namespace binade
