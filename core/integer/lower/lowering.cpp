// Tensors, constants and requantization of the program under construction; the arena is planned at the end.
#include "core/integer/lower/lowering.hpp"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/memory_plan.hpp"
#include "core/ops/clamp.hpp"

namespace binade {
namespace {

const FakeQuant* quantizer_of(const Graph& graph, ValueId id) {
  const Node* node = graph.producer(id);
  return node == nullptr ? nullptr : fixed_quantizer(node->op);
}

/// The slopes of a PReLU as multiples of 2^-slope_frac; nothing is rounded beyond the quantizer's own rounding.
struct Slopes {
  std::vector<std::int32_t> codes;
  int frac = 0;
};

Slopes with_positive_frac(std::vector<std::int32_t> codes, int frac) {
  while (frac > 0 && std::all_of(codes.begin(), codes.end(), [](std::int32_t c) { return c % 2 == 0; })) {
    if (std::all_of(codes.begin(), codes.end(), [](std::int32_t c) { return c == 0; })) return {std::move(codes), 0};
    for (std::int32_t& c : codes) c /= 2;
    --frac;
  }
  if (frac > 24) throw DataError(fmt::format("its slopes have fraction length {}; integers take up to 24", frac));
  for (; frac < 0; ++frac) {
    for (std::int32_t& c : codes) {
      if (std::abs(c) > (1 << 24)) throw DataError("its slopes are above 2^24");
      c *= 2;
    }
  }
  return {std::move(codes), frac};
}

}  // namespace

Lowering::Lowering(const Graph& graph, const TargetProfile& target)
    : graph_(graph), target_(target), codes_(graph.values().size()) {
  program_.target = target.name;
}

Region Lowering::tensor(const std::string& name, const Shape& shape, QuantSpec spec) {
  tensors_.push_back({.name = name, .shape = shape, .spec = spec});
  return {.shape = shape, .spec = spec, .offset = static_cast<std::uint32_t>(tensors_.size() - 1)};
}

int Lowering::emit(ValueId value, Operation operation) {
  const int index = static_cast<int>(program_.code.size());
  const Region* written = nullptr;
  for_each_region(operation, [&](Region& region) {
    if (!region.constant) tensors_[region.offset].last = index;
    written = &region;
  });
  TensorPlan& result = tensors_[written->offset];
  if (result.first < 0) result.first = index;
  program_.code.push_back({graph_.name(value), std::move(operation)});
  return index;
}

Lowering::Quantized Lowering::quantized_parameter(ValueId id) const {
  const FakeQuant* quantizer = quantizer_of(graph_, id);
  const ValueId source = quantizer == nullptr ? id : graph_.producer(id)->in[0];
  if (quantizer == nullptr || !graph_.is_parameter(source)) {
    throw DataError(fmt::format("its input '{}' is no parameter with a quantizer", graph_.name(id)));
  }
  Quantized result{.reals = &graph_.tensor(source), .spec = quantizer->spec};
  const double least = static_cast<double>(result.spec.min_code()), most = static_cast<double>(result.spec.max_code());
  for (const float real : result.reals->span()) {
    if (!std::isfinite(real)) throw DataError(fmt::format("parameter '{}' holds {}", graph_.name(source), real));
    result.codes.push_back(quantize(static_cast<double>(real), result.spec, quantizer->rounding));
    const double scaled = std::ldexp(static_cast<double>(real), result.spec.frac);
    result.saturated += scaled < least - 0.5 || scaled > most + 0.5 ? 1 : 0;
  }
  return result;
}

Region Lowering::codes(ValueId id, bool constants) {
  const auto& known = codes_[index_of(id)];
  if (known && (constants || !known->constant)) return *known;
  if (!constants || quantizer_of(graph_, id) == nullptr || !graph_.is_parameter(graph_.producer(id)->in[0])) {
    throw NoGrid(fmt::format("its input '{}' lies on no grid", graph_.name(id)));
  }
  const Quantized parameter = quantized_parameter(id);
  if (parameter.spec.bits > 16) throw DataError(fmt::format("operand '{}' has more than 16 bits", graph_.name(id)));
  Region region{.shape = graph_.shape(id), .spec = parameter.spec, .constant = true};
  region.offset = constants_codes(parameter.codes, code_bytes(parameter.spec));
  set_codes(id, region);
  return region;
}

std::uint32_t Lowering::constants_bytes(std::span<const std::byte> bytes) {
  const auto [known, fresh] =
      pool_.try_emplace(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()), 0u);
  if (!fresh) return known->second;
  auto& block = program_.constants;
  block.resize((block.size() + kRegionAlignment - 1) / kRegionAlignment * kRegionAlignment);
  known->second = static_cast<std::uint32_t>(block.size());
  block.insert(block.end(), bytes.begin(), bytes.end());
  return known->second;
}

std::uint32_t Lowering::constants_int32(std::span<const std::int32_t> values) {
  static_assert(std::endian::native == std::endian::little, "constants are little-endian");
  return constants_bytes(std::as_bytes(values));
}

std::uint32_t Lowering::constants_codes(std::span<const std::int32_t> codes, int bytes_per_code) {
  std::vector<std::byte> bytes(codes.size() * static_cast<std::size_t>(bytes_per_code));
  const QuantSpec storage{.frac = 0, .bits = static_cast<std::uint8_t>(8 * bytes_per_code)};
  for (std::size_t i = 0; i < codes.size(); ++i) {
    store_code(bytes.data(), static_cast<std::int64_t>(i), storage, codes[i]);
  }
  return constants_bytes(bytes);
}

Requant Lowering::keep(QuantSpec spec) {
  return {.lo = static_cast<std::int32_t>(spec.min_code()), .hi = static_cast<std::int32_t>(spec.max_code())};
}

Requant Lowering::requant(const Chain& chain, int acc_frac) {
  Requant result = keep(chain.spec);
  result.rounding = chain.rounding;
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  double lo = -kInfinity, hi = kInfinity;
  Slopes slopes;
  for (const Node* node : chain.activations) {
    if (is_clamp(node->op)) {
      const Limits<double> limits = limits_of<double>(&node->op);
      lo = std::clamp(lo, limits.lo, limits.hi);
      hi = std::clamp(hi, limits.lo, limits.hi);
    } else if (lo < 0) {
      // min(x, hi) with hi >= 0 and a slope below zero do not touch each other; max(x, lo) would.
      if (lo > -kInfinity || hi < 0 || !slopes.codes.empty()) {
        throw DataError(fmt::format("'{}' follows another activation that reaches below zero", node->name));
      }
      if (node->in.size() == 1) {
        const LeakyRelu& leaky = std::get<LeakyRelu>(node->op);
        if (leaky.slope_bits == 0) throw DataError(fmt::format("'{}' has a slope on no grid", node->name));
        const QuantSpec grid = leaky.slope_spec();
        slopes = with_positive_frac({quantize(leaky.slope, grid, Rounding::half_away)}, grid.frac);
      } else {
        const Quantized parameter = quantized_parameter(node->in[1]);
        slopes = with_positive_frac(parameter.codes, parameter.spec.frac);
      }
    }
  }
  if (lo > -kInfinity) result.lo = quantize(lo, chain.spec, chain.rounding);
  if (hi < kInfinity) result.hi = quantize(hi, chain.spec, chain.rounding);
  if (!slopes.codes.empty()) {
    result.slope_count = static_cast<std::int32_t>(slopes.codes.size());
    result.slope_frac = slopes.frac;
    result.slopes = constants_int32(slopes.codes);
  }
  result.shift = acc_frac + result.slope_frac - chain.spec.frac;
  return result;
}

void Lowering::plan_arena() {
  std::vector<Lifetime> lifetimes;
  for (const TensorPlan& tensor : tensors_) {
    const Region region{.shape = tensor.shape, .spec = tensor.spec};
    // The input is there before the first instruction.
    lifetimes.push_back({tensor.first + 1, tensor.last + 1, static_cast<std::size_t>(bytes_of(region))});
  }
  const MemoryPlan plan = plan_memory(lifetimes);
  if (plan.bytes > (std::size_t{1} << 31)) throw DataError("the network needs more than 2 GiB for one image");
  const auto place = [&](Region& region) {
    if (!region.constant) region.offset = static_cast<std::uint32_t>(plan.offsets[region.offset]);
  };
  for (Instruction& instruction : program_.code) for_each_region(instruction.operation, place);
  for (ProgramTensor& tensor : program_.tensors) place(tensor.region);
  place(program_.input);
  place(program_.output);
  program_.arena_bytes = static_cast<std::uint32_t>(plan.bytes);
}

bool Lowering::is_wide() const {
  return std::any_of(tensors_.begin(), tensors_.end(), [](const TensorPlan& t) { return t.spec.bits > 8; }) ||
         std::any_of(program_.code.begin(), program_.code.end(), [](const Instruction& instruction) {
           const auto* conv = std::get_if<ConvInstr>(&instruction.operation);
           return conv != nullptr && conv->weight_bits > 8;
         });
}

Lowered Lowering::finish(ValueId output) {
  program_.output = codes(output);
  tensors_[program_.output.offset].last = static_cast<int>(program_.code.size());
  std::vector<int> written(tensors_.size(), -1);
  for (std::size_t i = 0; i < program_.code.size(); ++i) {
    written[output_of(program_.code[i].operation).offset] = static_cast<int>(i);
  }
  for (std::size_t i = 0; i < tensors_.size(); ++i) {
    const TensorPlan& tensor = tensors_[i];
    if (tensor.name.empty()) continue;
    const Region region{.shape = tensor.shape, .spec = tensor.spec, .offset = static_cast<std::uint32_t>(i)};
    program_.tensors.push_back({tensor.name, region, written[i]});
    if (written[i] < 0) program_.input = region;
  }
  std::stable_sort(program_.tensors.begin(), program_.tensors.end(),
                   [](const ProgramTensor& a, const ProgramTensor& b) { return a.after < b.after; });
  for (const Node& node : graph_.nodes()) {
    const FakeQuant* quantizer = fixed_quantizer(node.op);
    if (quantizer != nullptr && graph_.value(node.in[0]).kind == ValueKind::input) {
      program_.input_rounding = quantizer->rounding;
    }
  }
  program_.accumulator_bits = is_wide() ? target_.wide_accumulator_bits : target_.accumulator_bits;
  for (LayerBounds& layer : layers_) layer.fits = layer.acc_bits <= program_.accumulator_bits;
  plan_arena();
  validate(program_);
  return {std::move(program_), std::move(layers_)};
}

}  // namespace binade
