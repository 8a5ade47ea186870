// Programs as files: every field under its name, in the order of core/integer/fields.hpp.
#include "core/io/program_file.hpp"

#include <algorithm>
#include <iterator>
#include <limits>
#include <span>
#include <string_view>
#include <type_traits>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/integer/fields.hpp"
#include "core/io/json_text.hpp"
#include "core/io/sealed_file.hpp"

namespace binade {
namespace {

using Json = nlohmann::ordered_json;  // in our order
namespace fs = std::filesystem;

constexpr int kFormat = 1;
constexpr SealedKind kKind{.first_line = "Binade program", .noun = "program"};

template <class T>
Json to_json(const T& value) {
  if constexpr (std::is_same_v<T, Rounding>) {
    return std::string(to_string(value));
  } else if constexpr (std::is_integral_v<T>) {
    return value;
  } else {
    Json fields = Json::object();
    visit_fields(value, [&](std::string_view name, const auto& field) { fields[std::string(name)] = to_json(field); });
    return fields;
  }
}

const Json& member(const Json& j, std::string_view key) {
  const auto found = j.is_object() ? j.find(std::string(key)) : j.end();
  if (found == j.end()) throw DataError(fmt::format("'{}' is missing", key));
  return *found;
}

std::string text(const Json& j, std::string_view key) {
  const Json& found = member(j, key);
  if (!found.is_string()) throw DataError(fmt::format("'{}' is {}, want text", key, quoted(found)));
  return found.get<std::string>();
}

const Json& list(const Json& j, std::string_view key) {
  const Json& found = member(j, key);
  if (!found.is_array()) throw DataError(fmt::format("'{}' is not a list", key));
  return found;
}

/// That an object has no members but those that `T` has, and those named.
void refuse_others(const Json& j, const std::vector<std::string_view>& known) {
  for (const auto& [name, value] : j.items()) {
    if (std::find(known.begin(), known.end(), name) == known.end()) throw DataError(unknown_name("field", name, known));
  }
}

template <class T>
void read_value(const Json& j, T& value);

/// The members of `j` into the fields of `value`; `known` names the members that are something else.
template <class T>
void read_fields(const Json& j, T& value, std::vector<std::string_view> known = {}) {
  visit_fields(value, [&](std::string_view name, auto& field) {
    known.push_back(name);
    const Json& found = member(j, name);
    with_context(fmt::format("reading '{}'", name), [&] { read_value(found, field); });
  });
  refuse_others(j, known);
}

template <class T>
void read_value(const Json& j, T& value) {
  if constexpr (std::is_same_v<T, bool>) {
    if (!j.is_boolean()) throw DataError(fmt::format("want true or false, found {}", quoted(j)));
    value = j.get<bool>();
  } else if constexpr (std::is_same_v<T, Rounding>) {
    const std::optional<Rounding> rounding =
        j.is_string() ? rounding_of_name(j.get_ref<const std::string&>()) : std::nullopt;
    if (!rounding) throw DataError(unknown_name("rounding", quoted(j), kRoundingNames));
    value = *rounding;
  } else if constexpr (std::is_integral_v<T>) {
    constexpr auto lo = static_cast<std::int64_t>(std::numeric_limits<T>::min());
    constexpr auto hi = static_cast<std::int64_t>(std::numeric_limits<T>::max());
    const bool huge = j.is_number_unsigned() && j.get<std::uint64_t>() > std::uint64_t{INT64_MAX};
    if (!j.is_number_integer() || huge || j.get<std::int64_t>() < lo || j.get<std::int64_t>() > hi) {
      throw DataError(fmt::format("want an integer in {} .. {}, found {}", lo, hi, quoted(j)));
    }
    value = static_cast<T>(j.get<std::int64_t>());
  } else {
    read_fields(j, value);
  }
}

template <class T>
void read_member(const Json& j, std::string_view name, T& value) {
  const Json& found = member(j, name);
  with_context(fmt::format("reading '{}'", name), [&] { read_value(found, value); });
}

template <std::size_t... I>
Operation read_operation(const Json& j, std::index_sequence<I...>) {
  constexpr std::string_view names[] = {std::variant_alternative_t<I, Operation>::name...};
  const std::string wanted = text(j, "op");
  Operation operation;
  const auto read = [&]<class O>(O instr) {
    if (O::name != wanted) return false;
    read_fields(j, instr, {"name", "op"});
    operation = instr;
    return true;
  };
  if (!(read(std::variant_alternative_t<I, Operation>{}) || ...)) {
    throw DataError(unknown_name("operation", wanted, names));
  }
  return operation;
}

Json code_to_json(const std::vector<Instruction>& code) {
  Json entries = Json::array();
  for (const Instruction& instruction : code) {
    Json entry = {{"name", instruction.name}, {"op", std::string(operation_name(instruction.operation))}};
    std::visit([&](const auto& operation) { entry.update(to_json(operation)); }, instruction.operation);
    entries.push_back(std::move(entry));
  }
  return entries;
}

std::vector<Instruction> code_from_json(const Json& entries) {
  std::vector<Instruction> code;
  for (const Json& entry : entries) {
    with_context(fmt::format("reading instruction {}", code.size()), [&] {
      std::string name = text(entry, "name");
      constexpr auto kinds = std::make_index_sequence<std::variant_size_v<Operation>>();
      code.push_back({std::move(name), read_operation(entry, kinds)});
    });
  }
  return code;
}

std::vector<ProgramTensor> tensors_from_json(const Json& entries) {
  std::vector<ProgramTensor> tensors;
  for (const Json& entry : entries) {
    with_context(fmt::format("reading tensor {}", tensors.size()), [&] {
      ProgramTensor tensor{.name = text(entry, "name")};
      read_member(entry, "after", tensor.after);
      read_member(entry, "region", tensor.region);
      refuse_others(entry, {"name", "after", "region"});
      tensors.push_back(std::move(tensor));
    });
  }
  return tensors;
}

}  // namespace

std::string program_to_json(const Program& program) {
  Json tensors = Json::array();
  for (const ProgramTensor& tensor : program.tensors) {
    tensors.push_back({{"name", tensor.name}, {"after", tensor.after}, {"region", to_json(tensor.region)}});
  }
  const Json j = {{"format", kFormat},
                  {"target", program.target},
                  {"accumulator_bits", program.accumulator_bits},
                  {"input_rounding", to_json(program.input_rounding)},
                  {"arena_bytes", program.arena_bytes},
                  {"input", to_json(program.input)},
                  {"output", to_json(program.output)},
                  {"code", code_to_json(program.code)},
                  {"tensors", tensors}};
  try {
    return j.dump(1);
  } catch (const Json::exception&) {
    throw DataError("the program holds a name that is not UTF-8 text");
  }
}

Program program_from_json(const std::string& content, std::vector<std::byte> constants) {
  const auto j = parse_json<Json>(content, "the description of the program");
  if (!j.is_object()) throw DataError("the description of the program is no object");
  std::int32_t format = 0;
  read_member(j, "format", format);
  if (format < 1 || format > kFormat) {
    throw DataError(fmt::format("it has format {}, this program reads 1 .. {}; was it written by a newer version?",
                                format, kFormat));
  }
  Program program{.constants = std::move(constants), .target = text(j, "target")};
  read_member(j, "accumulator_bits", program.accumulator_bits);
  read_member(j, "input_rounding", program.input_rounding);
  read_member(j, "arena_bytes", program.arena_bytes);
  read_member(j, "input", program.input);
  read_member(j, "output", program.output);
  program.code = code_from_json(list(j, "code"));
  program.tensors = tensors_from_json(list(j, "tensors"));
  refuse_others(j, {"format", "target", "accumulator_bits", "input_rounding", "arena_bytes", "input", "output", "code",
                    "tensors"});
  validate(program);
  return program;
}

void save_program(const Program& program, const fs::path& path) {
  save_sealed(path, kKind, [&](Hdf5File& file) {
    file.write_text("/program", program_to_json(program));
    const std::int64_t dims[] = {static_cast<std::int64_t>(program.constants.size())};
    const auto* bytes = reinterpret_cast<const std::uint8_t*>(program.constants.data());
    file.write<std::uint8_t>("/constants", {bytes, program.constants.size()}, dims);
  });
}

Program load_program(const fs::path& path) {
  const Hdf5File file = open_sealed(path, kKind);
  return with_context(fmt::format("reading the program {}", shown(path)), [&] {
    const H5Array<std::uint8_t> bytes = file.read<std::uint8_t>("/constants");
    const auto* first = reinterpret_cast<const std::byte*>(bytes.elements.data());
    return program_from_json(file.read_text("/program"), {first, first + bytes.elements.size()});
  });
}

}  // namespace binade
