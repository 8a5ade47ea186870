// Operators to JSON and back, generic over `fields`.
#include "core/io/op_json.hpp"

#include <cmath>
#include <utility>
#include <vector>

#include <fmt/format.h>

#include "core/base/error.hpp"
#include "core/base/names.hpp"
#include "core/io/json_text.hpp"
#include "core/ops/words.hpp"

namespace binade {
namespace {

using nlohmann::json;

constexpr std::int64_t kMaxField = 1 << 20;  ///< larger extents, strides or pads are not believed

json to_json(int v) {
  return v;
}
json to_json(bool v) {
  return v;
}
json to_json(double v) {
  if (!std::isfinite(v)) throw DataError(fmt::format("a field is {}, which cannot be saved", v));
  return v;
}
json to_json(const QuantSpec& spec) {
  return {{"frac", int{spec.frac}}, {"bits", int{spec.bits}}, {"is_signed", spec.is_signed}};
}
template <class E>
requires std::is_enum_v<E> json to_json(E v) {
  return std::string(word_of(v));
}

void from_json(const json& j, int& v) {
  if (!j.is_number_integer()) throw DataError("want an integer, found " + quoted(j));
  const bool huge = j.is_number_unsigned() && j.get<std::uint64_t>() > std::uint64_t{INT64_MAX};
  const auto wide = j.get<std::int64_t>();
  if (huge || wide < -kMaxField || wide > kMaxField) throw DataError(fmt::format("{} is absurd", quoted(j)));
  v = static_cast<int>(wide);
}
void from_json(const json& j, bool& v) {
  if (!j.is_boolean()) throw DataError("want true or false, found " + quoted(j));
  v = j.get<bool>();
}
void from_json(const json& j, double& v) {
  if (!j.is_number()) throw DataError("want a number, found " + quoted(j));
  v = j.get<double>();
  if (!std::isfinite(v)) throw DataError("want a finite number");
}
template <class E>
requires std::is_enum_v<E>
void from_json(const json& j, E& v) {
  if (!j.is_string()) throw DataError("want a word, found " + quoted(j));
  const auto known = words(v);
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (j.get<std::string>() == known[i]) {
      v = static_cast<E>(i);
      return;
    }
  }
  throw DataError(unknown_name("word", j.get<std::string>(), known));
}
void from_json(const json& j, QuantSpec& spec) {
  if (!j.is_object() || !j.contains("frac") || !j.contains("bits") || !j.contains("is_signed")) {
    throw DataError("want frac, bits and is_signed, found " + quoted(j));
  }
  int frac = 0, bits = 0;
  from_json(j["frac"], frac);
  from_json(j["bits"], bits);
  from_json(j["is_signed"], spec.is_signed);
  if (frac < -128 || frac > 127 || bits < 2 || bits > 32) {
    throw DataError(fmt::format("frac {} and bits {} are no grid; want -128 .. 127 and 2 .. 32", frac, bits));
  }
  spec.frac = static_cast<std::int8_t>(frac);
  spec.bits = static_cast<std::uint8_t>(bits);
}

/// Fills the fields that `fields` names; each must be one that the operator has.
template <class O>
void read_fields(const json& fields, O& op) {
  for (const auto& [name, value] : fields.items()) {
    bool found = false;
    std::vector<std::string_view> known;
    std::apply(
        [&](const auto&... field) {
          [[maybe_unused]] const auto read = [&](const auto& f) {
            known.push_back(f.name);
            if (f.name != name) return;
            found = true;
            try {
              from_json(value, op.*f.member);
            } catch (const DataError& error) {
              throw DataError(fmt::format("field '{}': {}", name, error.what()));
            }
          };
          (read(field), ...);
        },
        O::fields);
    if (!found) throw DataError(unknown_name("field", name, known));
  }
}

template <std::size_t... I>
Op make_op(const std::string& name, const json& fields, std::index_sequence<I...>) {
  Op op;
  bool found = false;
  std::vector<std::string_view> known;
  const auto attempt = [&]<class O>(O candidate) {
    known.push_back(O::name);
    if (found || O::name != name) return;
    found = true;
    read_fields(fields, candidate);
    op = candidate;
  };
  (attempt(std::variant_alternative_t<I, Op>{}), ...);
  if (!found) throw DataError(unknown_name("operator", name, known));
  return op;
}

}  // namespace

json op_to_json(const Op& op) {
  json fields = json::object();
  std::visit(
      [&](const auto& o) {
        std::apply([&](const auto&... field) { ((fields[std::string(field.name)] = to_json(o.*field.member)), ...); },
                   std::remove_cvref_t<decltype(o)>::fields);
      },
      op);
  return {{"op", std::string(op_name(op))}, {"fields", fields}};
}

Op op_from_json(const json& j) {
  if (!j.is_object() || !j.contains("op") || !j["op"].is_string()) throw DataError("a node names no operator");
  const json fields = j.value("fields", json::object());
  if (!fields.is_object()) throw DataError("the fields of a node are no object");
  return make_op(j["op"].get<std::string>(), fields, std::make_index_sequence<std::variant_size_v<Op>>());
}

}  // namespace binade
