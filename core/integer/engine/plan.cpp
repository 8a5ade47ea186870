// Fuses instructions, lays tensors out and makes the steps.
#include "core/integer/engine/plan.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include "core/base/error.hpp"
#include "core/base/memory_plan.hpp"
#include "core/integer/engine/finish.hpp"
#include "core/integer/engine/values.hpp"
#include "core/integer/engine/wide_packing.hpp"

namespace binade::integer {
namespace {

constexpr int kPixelBytes = 16;     ///< pitches are multiples of it
constexpr int kPackedChannels = 4;  ///< an input of so few channels has no gaps: rows of a patch are one run of bytes

class Planner {
 public:
  Planner(const Program& program, const Kernels& kernels, bool keep_all)
      : program_(program), context_{program, kernels}, keep_all_(keep_all), flow_(values_of(program)) {}

  EnginePlan plan() && {
    if (!keep_all_) find_fusions();
    lay_out();
    place();
    for (std::size_t i = 0; i < program_.code.size(); ++i) add_steps(static_cast<int>(i));
    made_.input = tensors_[index(flow_.input)];
    made_.output = tensors_[index(flow_.output)];
    if (keep_all_) {
      for (std::size_t i = 0; i < program_.tensors.size(); ++i) {
        made_.taps.push_back({program_.tensors[i].after, tensors_[index(flow_.tensors[i])]});
      }
    }
    return std::move(made_);
  }

 private:
  static std::size_t index(int i) { return static_cast<std::size_t>(i); }
  const Operation& operation(int instruction) const { return program_.code[index(instruction)].operation; }

  /// An addition joins the later of the convolutions that make its operands, if nobody else reads that one's result.
  void find_fusions() {
    fused_.assign(program_.code.size(), -1);
    for (int i = 0; i < static_cast<int>(program_.code.size()); ++i) {
      const auto* add = std::get_if<AddInstr>(&operation(i));
      if (add == nullptr || add->a.shape != add->out.shape || add->b.shape != add->out.shape) continue;
      if (add->a.spec.bits > 8 || add->b.spec.bits > 8 || add->out.spec.bits > 8) continue;
      if (!finishing_of_add(program_, *add)) continue;
      const auto& operands = flow_.inputs[index(i)];
      const int later = last_writer(operands[0]) > last_writer(operands[1]) ? 0 : 1;
      const ProgramValue& value = flow_.values[index(operands[index(later)])];
      const int maker = value.writers.back();
      if (maker < 0 || value.writers.size() != 1 || value.readers.size() != 1 || value.is_output) continue;
      if (last_writer(operands[index(1 - later)]) >= maker) continue;
      const auto* conv = std::get_if<ConvInstr>(&operation(maker));
      if (conv == nullptr || conv->transposed || !fits_bytes(*conv) || is_depthwise(*conv)) continue;
      fused_[index(maker)] = i;
      absorbed_.push_back(i);
      conv_is_a_.resize(program_.code.size());
      conv_is_a_[index(maker)] = later == 0;
    }
  }

  int last_writer(int value) const {
    const ProgramValue& of = flow_.values[index(value)];
    return of.region.constant ? -1 : of.writers.back();
  }

  bool fits_bytes(const ConvInstr& conv) const {
    return has_byte_kernels() && conv.in.spec.bits <= 8 && conv.out.spec.bits <= 8 && conv.weight_bits <= 8 &&
           finishing_of(program_, conv.requant, conv.out, conv.acc_bound, true).has_value();
  }
  /// Otherwise everything goes through wide kernels.
  bool has_byte_kernels() const { return context_.kernels.gemm != nullptr; }
  static bool is_depthwise(const ConvInstr& conv) {
    return conv.groups > 1 && conv.groups == conv.in.shape.c && conv.groups == conv.out.shape.c;
  }

  /// The addition that an instruction does too, or -1.
  int fused_with(int instruction) const { return fused_.empty() ? -1 : fused_[index(instruction)]; }
  bool is_absorbed(int instruction) const {
    return std::find(absorbed_.begin(), absorbed_.end(), instruction) != absorbed_.end();
  }

  void lay_out() {
    for (std::size_t v = 0; v < flow_.values.size(); ++v) {
      const ProgramValue& value = flow_.values[v];
      const Region& region = value.region;
      EngineTensor tensor{.shape = region.shape, .spec = region.spec, .constant = region.constant};
      const int row = region.shape.c * code_bytes(region.spec);
      tensor.pitch = round_up(row, kPixelBytes);
      if (static_cast<int>(v) == flow_.input && row <= kPackedChannels * code_bytes(region.spec) &&
          read_by_dense_only(value))
        tensor.pitch = row;
      tensors_.push_back(tensor);
    }
  }

  bool read_by_dense_only(const ProgramValue& value) const {
    return !value.is_output && std::all_of(value.readers.begin(), value.readers.end(), [&](int reader) {
      const auto* conv = std::get_if<ConvInstr>(&operation(reader));
      return conv != nullptr && conv->groups == 1;
    });
  }

  /// When an instruction's step runs, counted in instructions.
  int time_of(int instruction) const {
    for (std::size_t i = 0; i < fused_.size(); ++i) {
      if (fused_[i] == instruction) return static_cast<int>(i);
    }
    return instruction;
  }

  void place() {
    const int end = static_cast<int>(program_.code.size());
    std::vector<Lifetime> lifetimes;
    std::vector<std::size_t> planned;
    std::size_t constant_bytes = 0;
    for (std::size_t v = 0; v < tensors_.size(); ++v) {
      const ProgramValue& value = flow_.values[v];
      EngineTensor& tensor = tensors_[v];
      const std::size_t bytes = tensor.bytes() + kTailBytes;
      if (tensor.constant) {
        tensor.offset = constant_bytes;
        constant_bytes += round_up(bytes, 64);
        continue;
      }
      tensor.first = time_of(value.writers.front());
      tensor.last = time_of(value.writers.back());
      for (const int reader : value.readers) tensor.last = std::max(tensor.last, time_of(reader));
      if (value.is_output) tensor.last = end;
      if (keep_all_) {
        tensor.first = -1;
        tensor.last = end;
      }
      lifetimes.push_back({tensor.first, tensor.last, bytes});
      planned.push_back(v);
    }
    const MemoryPlan memory = plan_memory(lifetimes);
    for (std::size_t i = 0; i < planned.size(); ++i) tensors_[planned[i]].offset = memory.offsets[i];
    made_.arena_bytes = memory.bytes + kTailBytes;
    made_.constants = Block<std::byte>(constant_bytes + kTailBytes);
    for (std::size_t v = 0; v < tensors_.size(); ++v) {
      const EngineTensor& tensor = tensors_[v];
      if (!tensor.constant) continue;
      import_codes(tensor, program_.constants.data() + flow_.values[v].region.offset,
                   made_.constants.data() + tensor.offset);
    }
  }

  void add_steps(int instruction) {
    if (is_absorbed(instruction)) return;
    std::vector<EngineTensor> in;
    for (const int value : flow_.inputs[index(instruction)]) in.push_back(tensors_[index(value)]);
    const EngineTensor& out = tensors_[index(flow_.outputs[index(instruction)])];
    auto step =
        std::visit([&](const auto& instr) { return make(instr, instruction, in, out); }, operation(instruction));
    if (!step) step = make_reference(context_, operation(instruction), in, out);
    made_.scratch_bytes = std::max(made_.scratch_bytes, step->scratch_bytes());
    made_.weight_bytes += step->weight_bytes();
    made_.steps.push_back({instruction, std::move(step)});
  }

  std::unique_ptr<Step> make(const ConvInstr& conv, int instruction, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    const int add = fused_with(instruction);
    if (add >= 0) {
      const auto& operands = flow_.inputs[index(add)];
      const bool conv_is_a = conv_is_a_[index(instruction)];
      const FusedAdd fused{.instr = std::get<AddInstr>(operation(add)),
                           .conv_is_a = conv_is_a,
                           .other = tensors_[index(operands[conv_is_a ? 1 : 0])]};
      auto step = make_conv(context_, conv, in[0], tensors_[index(flow_.outputs[index(add)])], fused);
      require(step != nullptr, "Engine: an addition was given to a convolution that has no kernel");
      return step;
    }
    std::unique_ptr<Step> step;
    if (has_byte_kernels()) step = make_depthwise(context_, conv, in[0], out);
    if (!step && has_byte_kernels()) step = make_conv(context_, conv, in[0], out, std::nullopt);
    if (!step) step = make_wide_depthwise(context_, conv, in[0], out);
    return step ? std::move(step) : make_wide_conv(context_, conv, in[0], out);
  }
  std::unique_ptr<Step> make(const AddInstr& add, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    std::unique_ptr<Step> step;
    if (has_byte_kernels()) step = make_add(context_, add, in[0], in[1], out);
    return step ? std::move(step) : make_wide_pair(context_, add, in[0], in[1], out);
  }
  std::unique_ptr<Step> make(const MulInstr& mul, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    return make_wide_pair(context_, mul, in[0], in[1], out);
  }
  std::unique_ptr<Step> make(const RescaleInstr& rescale, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    std::unique_ptr<Step> step;
    if (has_byte_kernels()) step = make_rescale(context_, rescale, in[0], out);
    return step ? std::move(step) : make_wide_rescale(context_, rescale, in[0], out);
  }
  std::unique_ptr<Step> make(const MaxPoolInstr& pool, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    std::unique_ptr<Step> step;
    if (has_byte_kernels()) step = make_max_pool(context_, pool, in[0], out);
    return step ? std::move(step) : make_wide_max_pool(context_, pool, in[0], out);
  }
  std::unique_ptr<Step> make(const AvgPoolInstr& pool, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    std::unique_ptr<Step> step;
    if (has_byte_kernels()) step = make_average_pool(context_, pool, in[0], out);
    return step ? std::move(step) : make_wide_average_pool(context_, pool, in[0], out);
  }
  std::unique_ptr<Step> make(const ResizeInstr& resize, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    return make_wide_resize(context_, resize, in[0], out);
  }
  std::unique_ptr<Step> make(const SliceInstr& slice, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    return make_slice(slice, in[0], out);
  }
  std::unique_ptr<Step> make(const PadInstr& pad, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    return make_pad(pad, in[0], out);
  }
  std::unique_ptr<Step> make(const TableInstr& table, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    auto step = make_table(context_, table, in[0], out);
    return step ? std::move(step) : make_wide_table(context_, table, in[0], out);
  }
  std::unique_ptr<Step> make(const ReshapeInstr&, int, const std::vector<EngineTensor>& in,
                             const EngineTensor& out) const {
    return make_reshape(in[0], out);
  }
  template <class Instr>
  std::unique_ptr<Step> make(const Instr&, int, const std::vector<EngineTensor>&, const EngineTensor&) const {
    return nullptr;
  }

  const Program& program_;
  const StepContext context_;
  const bool keep_all_;
  const ProgramValues flow_;
  std::vector<int> fused_;             ///< per instruction: the addition it does too, or -1; empty without fusion
  std::vector<bool> conv_is_a_;        ///< per fused convolution
  std::vector<int> absorbed_;          ///< additions that convolutions do
  std::vector<EngineTensor> tensors_;  ///< per value
  EnginePlan made_;
};

}  // namespace

EnginePlan plan_engine(const Program& program, const Kernels& kernels, bool keep_all) {
  return Planner(program, kernels, keep_all).plan();
}

}  // namespace binade::integer
