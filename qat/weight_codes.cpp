// One sweep over the weights per step.
#include "qat/weight_codes.hpp"

#include <algorithm>
#include <cmath>

#include "core/base/parallel.hpp"

namespace binade {
namespace {

constexpr std::int64_t kGrain = 1 << 14;
constexpr float kNever = 2, kHeld = 4;

}  // namespace

WeightCodes::WeightCodes(const OscillationOptions& options, Shape shape)
    : options_(options), memory_(shape, kNever), codes_(static_cast<std::size_t>(shape.count())) {}

void WeightCodes::begin(std::span<const float> weights, QuantSpec spec, Rounding rounding) {
  spec_ = spec;
  for (std::size_t i = 0; i < codes_.size(); ++i) {
    codes_[i] = static_cast<std::int16_t>(quantize(static_cast<double>(weights[i]), spec, rounding));
  }
}

void WeightCodes::step(std::span<float> weights, QuantSpec spec, Rounding rounding) {
  const bool same_grid = spec == spec_;
  const float rate = static_cast<float>(options_.memory), keep = 1 - rate;
  const auto oscillates = static_cast<float>(options_.oscillates);
  const auto freeze = static_cast<float>(options_.freeze_above > 0 ? options_.freeze_above : 2);
  const auto release = static_cast<float>(options_.release_below);
  const auto count = static_cast<std::int64_t>(codes_.size());
  std::vector<std::int64_t> oscillating(static_cast<std::size_t>((count + kGrain - 1) / kGrain)), held(oscillating);
  parallel_for(count, kGrain, [&](std::int64_t begin, std::int64_t end) {
    for (std::int64_t i = begin; i < end; ++i) {
      const auto k = static_cast<std::size_t>(i);
      float& memory = memory_[i];
      bool is_held = std::abs(memory) >= kHeld;
      if (is_held && !same_grid) is_held = false;  // its code means something else now
      const bool never = memory == kNever;
      float frequency = never ? 0 : std::abs(memory) >= kHeld ? std::abs(memory) - kHeld : std::abs(memory);
      bool down = !never && std::signbit(memory);
      bool changed_ever = !never;
      frequency *= keep;
      if (is_held) {
        weights[k] = static_cast<float>(dequantize(codes_[k], spec));
        is_held = frequency > release;
      } else {
        const auto code = static_cast<std::int16_t>(quantize(static_cast<double>(weights[k]), spec, rounding));
        if (same_grid && code != codes_[k]) {
          const bool now_down = code < codes_[k];
          if (changed_ever && now_down != down) frequency += rate;
          down = now_down;
          changed_ever = true;
        }
        codes_[k] = code;
        if (frequency > freeze) {
          is_held = true;
          weights[k] = static_cast<float>(dequantize(code, spec));
        }
      }
      const float magnitude = frequency + (is_held ? kHeld : 0);
      memory = !changed_ever ? kNever : down ? -magnitude : magnitude;
      oscillating[static_cast<std::size_t>(begin / kGrain)] += frequency > oscillates ? 1 : 0;
      held[static_cast<std::size_t>(begin / kGrain)] += is_held ? 1 : 0;
    }
  });
  spec_ = spec;
  oscillating_ = held_ = 0;
  for (const std::int64_t part : oscillating) oscillating_ += part;
  for (const std::int64_t part : held) held_ += part;
}

}  // namespace binade
