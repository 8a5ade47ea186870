// The digest of a program: over its fields as little-endian 64-bit words, in the order of fields.hpp.
#include "core/base/hash.hpp"
#include "core/integer/fields.hpp"

namespace binade {
namespace {

class Writer {
 public:
  void word(std::int64_t value) {
    for (int i = 0; i < 8; ++i) bytes_.push_back(static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i)));
  }
  void text(std::string_view characters) {
    word(static_cast<std::int64_t>(characters.size()));
    bytes_.append(characters);
  }
  /// Whatever has fields, down to its numbers.
  template <class T>
  void fields(const T& value) {
    if constexpr (std::is_integral_v<T> || std::is_enum_v<T>) {
      word(static_cast<std::int64_t>(value));
    } else {
      visit_fields(value, [&](std::string_view, const auto& field) { fields(field); });
    }
  }
  std::string digest() const { return sha256_hex(bytes_); }

 private:
  std::string bytes_;
};

}  // namespace

std::string program_hash(const Program& program) {
  Writer writer;
  writer.text("program 1");
  writer.word(static_cast<std::int64_t>(program.code.size()));
  for (const Instruction& instruction : program.code) {
    writer.text(operation_name(instruction.operation));
    std::visit([&](const auto& operation) { writer.fields(operation); }, instruction.operation);
  }
  writer.word(static_cast<std::int64_t>(program.tensors.size()));
  for (const ProgramTensor& tensor : program.tensors) {
    writer.fields(tensor.region);
    writer.word(tensor.after);
  }
  writer.fields(program.input);
  writer.fields(program.output);
  writer.word(program.arena_bytes);
  writer.fields(program.input_rounding);
  writer.text(program.target);
  writer.word(program.accumulator_bits);
  writer.word(static_cast<std::int64_t>(program.constants.size()));
  writer.text(sha256_hex(program.constants));
  return writer.digest();
}

}  // namespace binade
