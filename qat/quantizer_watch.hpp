// Looks after the quantizers of a training: moves the grids that follow from others, notices trouble, keeps a record.
#pragma once

#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "calibration/running_range.hpp"
#include "qat/trainer.hpp"
#include "qat/training_graph.hpp"
#include "qat/weight_codes.hpp"

namespace binade {

struct WatchOptions {
  /// pact-ema: activations follow running percentile ranges, weights their maximum; the ranges of one step are the
  /// grids of the next.
  bool running_ranges = false;
  int range_freeze_epoch = -1;  ///< pact-ema: from this epoch (0, 1, ...) on grids of activations stay; -1: never
  /// Before this step (0, 1, ...) biases are set to their codes, once, as TI does it at 85 [docs/ti.md 2.5]; -1:
  /// never.
  int bias_write_back_step = -1;
  int statistics_freeze_epoch =
      -1;                     ///< from this epoch on batch norms use and keep their running statistics; -1: never
  int sample_steps = 10;      ///< steps between two samples of the record; 0: none
  int hold_flips = 4;         ///< tqt: an exponent that changed so often in the last 100 steps is held; 0: never
  double hold_margin = 0.25;  ///< until the learned log2 threshold is that far outside of the exponent's interval
  OscillationOptions oscillation;
  std::uint64_t seed = 0;
};

/// What is known of one quantizer at a sampled step.
struct TelemetryRow {
  std::int64_t step = 0;
  std::string tensor;             ///< what is quantized
  std::string role;               ///< activation, weights
  std::optional<double> learned;  ///< log2 threshold, clip or step
  std::optional<int> exponent;    ///< log2 of the end of the range
  int flips = 0;                  ///< of the exponent, so far
  bool held = false;              ///< the exponent
  double clip_rate = 0;           ///< part of the elements beyond the end codes by half a code or more
  double oscillating = 0;         ///< part of the weights
  double weights_held = 0;        ///< part of the weights
};

/// Header and one line per row.
std::string telemetry_csv(std::span<const TelemetryRow> rows);

class QuantizerWatch final : public StepObserver {
 public:
  /// `network` is what is trained, from training_graph().
  QuantizerWatch(const Graph& network, const WatchOptions& options);

  void start_epoch(Executor<float>& executor, int epoch) override;
  Tap<float> tap(std::int64_t step) override;
  bool wants_batches() const override { return options_.running_ranges && !ranges_frozen_; }
  void after_update(Executor<float>& executor, std::int64_t step) override;
  ObserverState state() const override;
  void restore(const ObserverState& state) override;

  const std::vector<TelemetryRow>& rows() const { return rows_; }
  /// One sentence per trouble, naming the layer: exponents that flip, weights that oscillate, ranges that clip.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  struct Watched {
    QuantizerSite site;
    std::string name;
    std::optional<int> exponent;           ///< at the last step
    double average_exponent = 0;           ///< over some 50 steps
    std::vector<std::int64_t> flip_steps;  ///< of the last 100 steps
    int flips = 0;
    std::pair<double, double> ends;      ///< of the range, half a code beyond the end codes
    double clip_rate = 0;                ///< at the last sample
    std::int64_t clipped = 0, seen = 0;  ///< elements, by the tap of a sampled step
    RunningRange range;
    std::optional<WeightCodes> codes;
    int warned = 0;  ///< bits: clip, oscillation
  };

  bool is_sampled(std::int64_t step) const { return options_.sample_steps > 0 && step % options_.sample_steps == 0; }
  void begin(Executor<float>& executor);
  void see(ValueId id, View<const float> view, std::int64_t step);
  /// The largest magnitude of a parameter or of merged ones.
  double largest(const Executor<float>& executor, ValueId id) const;
  void follow_ranges(Executor<float>& executor, Watched& watched);
  void write_back(Executor<float>& executor, const BiasSite& site) const;
  void note_exponent(Executor<float>& executor, Watched& watched, std::int64_t step);
  void sample(const Executor<float>& executor, Watched& watched, std::int64_t step);
  void warn(Watched& watched, int kind, const std::string& sentence);

  WatchOptions options_;
  std::vector<Watched> watched_;
  std::vector<std::vector<std::size_t>> by_value_;  ///< quantizers of activations by what they quantize
  std::vector<BiasSite> biases_;
  std::vector<std::optional<QuantSpec>> specs_;  ///< by node, now
  std::mutex mutex_;                             ///< taps come from several threads
  bool begun_ = false, restored_ = false, ranges_frozen_ = false;
  std::vector<TelemetryRow> rows_;
  std::vector<std::string> warnings_;
};

}  // namespace binade
